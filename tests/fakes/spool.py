"""A spool in memory."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from dicom_node.domain.errors import CapacityError, IntegrityError
from dicom_node.ports import SpooledFile
from tests.fakes.clock import ManualClock

if TYPE_CHECKING:
    from collections.abc import Iterator


class MemorySpool:
    """A `ports.Spool`; ``capacity_bytes`` is the size of its disk, ``damage`` rots a file.

    Its clock is the steady one.
    """

    def __init__(self, *, clock: ManualClock | None = None, capacity_bytes: int = 10**9) -> None:
        self._clock = clock or ManualClock()
        self._files: dict[str, bytes] = {}
        self._met: dict[str, float] = {}
        self._lock = threading.Lock()
        self.capacity_bytes = capacity_bytes

    def put(self, data: bytes) -> SpooledFile:
        digest = hashlib.sha256(data).hexdigest()
        with self._lock:
            if digest not in self._files and len(data) > self.free_bytes():
                raise CapacityError("the spool is full")
            self._files[digest] = data
            self._met.pop(digest, None)
        return SpooledFile(digest=digest, size_bytes=len(data))

    def path(self, digest: str) -> Path:
        return Path("/memory") / f"{digest}.dcm"

    def holds(self, digest: str, size_bytes: int) -> bool:
        return digest in self._files and len(self._files[digest]) == size_bytes

    def read(self, digest: str) -> bytes:
        if digest not in self._files:
            raise IntegrityError("missing")
        data = self._files[digest]
        if hashlib.sha256(data).hexdigest() != digest:
            raise IntegrityError("damaged")
        return data

    def remove(self, digest: str, *, older_than_s: float = 0.0) -> bool:
        with self._lock:
            if digest not in self._files:
                return False
            met = self._met.setdefault(digest, self._clock())
            if older_than_s > 0 and self._clock() - met <= older_than_s:
                return False
            del self._files[digest], self._met[digest]
            return True

    def digests(self) -> Iterator[str]:
        yield from tuple(self._files)

    def collect(self, *, older_than_s: float) -> int:
        return 0

    def free_bytes(self) -> int:
        return self.capacity_bytes - sum(map(len, self._files.values()))

    def damage(self, digest: str) -> None:
        data = self._files[digest]
        self._files[digest] = data[:-1] + bytes([data[-1] ^ 1])
