"""One node per data folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING, Final

from dicom_node.domain.errors import CapacityError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["LOCK_FILE", "RESTORE_MARK", "has_owner", "sole_owner"]

LOCK_FILE: Final = "node.lock"
"""In data_dir. It stays there after the node ended; what counts is the lock on it."""

RESTORE_MARK: Final = "restore-unfinished"
"""In data_dir while a backup is restored into it. It stays when that is cut."""


def has_owner(data_dir: Path) -> bool:
    """Whether a node may be running on a data folder. Nothing is touched, not even the lock.

    Taking the lock to see whether it is free could keep a node from starting at that moment.
    """
    try:
        text = (data_dir / LOCK_FILE).read_text(encoding="ascii").strip()
        os.kill(int(text), 0)
    except (FileNotFoundError, ProcessLookupError):
        return False
    except (OSError, ValueError):  # nobody we may ask, or just starting
        return True
    return True


@contextlib.contextmanager
def sole_owner(data_dir: Path, *, restoring: bool = False) -> Iterator[None]:
    """Own a data folder while inside; the folder is made when it is not there.

    The lock goes with the process, however that ends.

    Args:
        data_dir: The folder.
        restoring: To restore a backup into it, not to run on what may be a part of one.

    Raises:
        ConfigurationError: Another process owns it, it cannot be used, or a restore did not end.
        CapacityError: Its disk is full.
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
        if not restoring and (data_dir / RESTORE_MARK).exists():
            raise ConfigurationError(
                f"node.data_dir: a restore into {data_dir} did not end: run it again, or empty the "
                "folder"
            )
        _sign(file.fileno(), data_dir)
        yield


def _sign(lock: int, data_dir: Path) -> None:
    # Past the file's buffer, which would be written again when it is closed.
    try:
        os.ftruncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())
    except OSError as error:
        raise CapacityError(
            f"node.data_dir: {data_dir} cannot be written: {error.strerror}"
        ) from error
