"""One node per data folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING, Final

from dicom_node.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["LOCK_FILE", "sole_owner"]

LOCK_FILE: Final = "node.lock"
"""In data_dir. It stays there after the node ended; what counts is the lock on it."""


@contextlib.contextmanager
def sole_owner(data_dir: Path) -> Iterator[None]:
    """Own a data folder while inside; the folder is made when it is not there.

    The lock goes with the process, however that ends.

    Raises:
        ConfigurationError: Another process owns it, or it cannot be used.
    """
    path = data_dir / LOCK_FILE
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = path.open("a+")
    except OSError as error:
        raise ConfigurationError(
            f"node.data_dir: {data_dir} cannot be used: {error.strerror}"
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read(20).strip() or "unknown"
            raise ConfigurationError(
                f"node.data_dir: another node is running in {data_dir} (process {owner}): "
                "stop it, or give this one another folder"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
