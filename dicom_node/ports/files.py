"""The spool: files by content."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

__all__ = ["Spool", "SpooledFile"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpooledFile:
    """A file in the spool: SHA-256 of its bytes, and how many they are."""

    digest: str
    size_bytes: int


class Spool(Protocol):
    """Files by content. A file that is there is whole."""

    def put(self, data: bytes) -> SpooledFile:
        """Write durably: temporary file, fsync, rename, fsync of the directory. Idempotent.

        Raises:
            CapacityError: The disk is full or below its watermark.
        """
        ...

    def path(self, digest: str) -> Path:
        """Where the file lies; it need not exist."""
        ...

    def holds(self, digest: str, size_bytes: int) -> bool:
        """Whether the file is there in its whole length; its bytes are not read."""
        ...

    def read(self, digest: str) -> bytes:
        """The file's bytes.

        Raises:
            IntegrityError: It is missing, or its bytes are not those of the digest.
        """
        ...

    def remove(self, digest: str, *, older_than_s: float = 0.0) -> bool:
        """Delete the file if it is there and old enough; whether it was.

        It is as old as the time since it was first asked about here with an age, and was not put
        since. The clock of the machine, which may jump, has no say in it.

        A `put` of the same content beside it is safe: either it comes first and makes the file
        young, or it comes after and writes anew.
        """
        ...

    def digests(self) -> Iterator[str]:
        """Every file there, in no order."""
        ...

    def collect(self, *, older_than_s: float) -> int:
        """Delete temporary files left by a crash, of an age as for `remove`; how many."""
        ...

    def free_bytes(self) -> int:
        """Free space of the file system."""
        ...
