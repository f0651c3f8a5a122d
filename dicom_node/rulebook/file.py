"""The configuration's file: its stamp, and replacing it so that it is never half written."""

from __future__ import annotations

import contextlib
import os
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dicom_node.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Stamp", "replace", "stamp"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What a file's folder says of it: another stamp is another file, or one that was written."""

    inode: int
    modified_ns: int
    size_bytes: int


def stamp(path: Path) -> Stamp | None:
    """The stamp of a file; None when there is none to be seen."""
    try:
        found = path.stat()
    except OSError:
        return None
    return Stamp(inode=found.st_ino, modified_ns=found.st_mtime_ns, size_bytes=found.st_size)


def replace(path: Path, text: str) -> None:
    """Write a file anew: whoever reads it finds the old text or the new one, also after a crash.

    A link stays a link; mode and owner stay as they are.

    Raises:
        ConfigurationError: It cannot be written; the old text stands.
    """
    target = path.resolve()
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    try:
        before = target.stat()
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor has no path
            if (before.st_uid, before.st_gid) != (os.getuid(), os.getgid()):
                os.fchown(descriptor, before.st_uid, before.st_gid)
            os.fchmod(descriptor, before.st_mode & 0o7777)
            file.write(text.encode())
            file.flush()
            os.fsync(descriptor)
        temporary.replace(target)
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written ({error.strerror}): let the node write this file and its "
            "folder, or edit the file by hand"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
