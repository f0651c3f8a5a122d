"""Files by content, on a file system: what is there is whole, and survives power loss.

A file is written under a temporary name in the folder it will lie in, forced to disk, renamed, and
the folder forced to disk, in this order. Names come from the content alone, never from a peer.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from dicom_node.domain.errors import CapacityError, IntegrityError
from dicom_node.ports import SpooledFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dicom_node.ports import Clock

__all__ = ["FileSpool", "sync_folder"]

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_TEMPORARY: Final = ".tmp"
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Met:
    """A file whose age was asked for.

    Attributes:
        inode: Of the file.
        put_ns: What its last put wrote on it.
        at_s: When it was first met like this, by the steady clock.
    """

    inode: int
    put_ns: int
    at_s: float


class FileSpool:
    """A `ports.Spool` in a folder: ``root/ab/ab12....dcm`` for a digest that begins ``ab12``.

    256 folders hold a million files without any of them growing long, and are walked in moments.

    One process owns the folder; within it any number of threads may use one object.

    Args:
        root: The folder; made with its parents, for the owner alone, when it is not there.
        min_free_bytes: Watermark: a write that would leave less free space is refused.
        clock: Unix seconds, stamped on files at every put.
        steady: Seconds since any moment, of a clock that nobody sets.
    """

    def __init__(
        self,
        root: Path,
        *,
        min_free_bytes: int = 0,
        clock: Clock = time.time,
        steady: Clock = time.monotonic,
    ) -> None:
        self._root = root.absolute()
        self._min_free_bytes = min_free_bytes
        self._clock = clock
        self._steady = steady
        # By name: met since the last `collect`, and since the one before. Who is asked about in
        # neither was claimed or is gone.
        self._met: dict[str, _Met] = {}
        self._met_before: dict[str, _Met] = {}
        # Held where an old file is judged and deleted, and where a file is made young: so short
        # that the writing itself stays parallel.
        self._age_lock = threading.Lock()
        self._promised_bytes = 0
        self._promise_lock = threading.Lock()
        _make_folder(self._root)

    def put(self, data: bytes) -> SpooledFile:
        """See `ports.Spool.put`."""
        spooled = SpooledFile(digest=hashlib.sha256(data).hexdigest(), size_bytes=len(data))
        path = self.path(spooled.digest)
        if self._refresh(path, spooled):
            return spooled
        with self._room_for(len(data)):
            self._place(data, path)
        return spooled

    @contextlib.contextmanager
    def _room_for(self, nr_bytes: int) -> Iterator[None]:
        """Promise free space to one write, so that many at once do not count on the same bytes."""
        with self._promise_lock:
            free = self.free_bytes()
            if free - self._promised_bytes - nr_bytes < self._min_free_bytes:
                raise CapacityError(
                    f"the spool's disk has {free} bytes free and must keep "
                    f"{self._min_free_bytes}: free some space or lower retention.min_free_bytes"
                )
            self._promised_bytes += nr_bytes
        try:
            yield
        finally:
            with self._promise_lock:
                self._promised_bytes -= nr_bytes

    def _place(self, data: bytes, path: Path) -> None:
        temporary = path.with_name(f"{uuid.uuid4().hex}{_TEMPORARY}")
        try:
            _make_folder(path.parent)
            self._write(temporary, data)
            with self._age_lock:
                temporary.replace(path)
                self._put_now(path)
            sync_folder(path.parent)
        except OSError as error:
            _refuse_without_room(error)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    def path(self, digest: str) -> Path:
        """See `ports.Spool.path`."""
        if not _DIGEST.fullmatch(digest):
            raise IntegrityError("a spooled file is named by 64 hexadecimal digits")
        return self._root / digest[:2] / f"{digest}.dcm"

    def holds(self, digest: str, size_bytes: int) -> bool:
        """See `ports.Spool.holds`."""
        try:
            return self.path(digest).stat().st_size == size_bytes
        except FileNotFoundError:
            return False

    def read(self, digest: str) -> bytes:
        """See `ports.Spool.read`."""
        try:
            data = self.path(digest).read_bytes()
        except FileNotFoundError:
            raise IntegrityError(f"spooled file {digest[:12]} is missing") from None
        if hashlib.sha256(data).hexdigest() != digest:
            raise IntegrityError(f"spooled file {digest[:12]} does not hold what was written")
        return data

    def remove(self, digest: str, *, older_than_s: float = 0.0) -> bool:
        """See `ports.Spool.remove`."""
        path = self.path(digest)
        with self._age_lock:
            try:
                if older_than_s > 0 and self._age_s(path) <= older_than_s:
                    return False
                path.unlink()
            except FileNotFoundError:
                return False
        return True

    def digests(self) -> Iterator[str]:
        """See `ports.Spool.digests`."""
        for path in self._root.glob("[0-9a-f][0-9a-f]/*.dcm"):
            if _DIGEST.fullmatch(path.stem):
                yield path.stem

    def collect(self, *, older_than_s: float) -> int:
        """See `ports.Spool.collect`."""
        collected = 0
        with self._age_lock:
            self._met_before, self._met = self._met, {}
        for path in self._root.glob(f"[0-9a-f][0-9a-f]/*{_TEMPORARY}"):
            # A temporary file may be renamed or deleted by its writer at any moment.
            with contextlib.suppress(FileNotFoundError), self._age_lock:
                if older_than_s <= 0 or self._age_s(path) > older_than_s:
                    path.unlink()
                    collected += 1
        return collected

    def _age_s(self, path: Path) -> float:
        """How long a file was surely not put: since it was first met as it is.

        Another process may put files too, so those of this one are not all.
        """
        found, now = path.stat(), self._steady()
        met = self._met.get(path.name) or self._met_before.get(path.name)
        if met is None or (met.inode, met.put_ns) != (found.st_ino, found.st_mtime_ns):
            met = _Met(inode=found.st_ino, put_ns=found.st_mtime_ns, at_s=now)
        self._met[path.name] = met
        return now - met.at_s

    def _put_now(self, path: Path) -> None:
        self._met.pop(path.name, None)
        self._met_before.pop(path.name, None)

    def free_bytes(self) -> int:
        """See `ports.Spool.free_bytes`."""
        return shutil.disk_usage(self._root).free

    def _refresh(self, path: Path, spooled: SpooledFile) -> bool:
        """Whether the content is there already, now young and known to be on disk."""
        with self._age_lock:
            try:
                if path.stat().st_size != spooled.size_bytes:
                    return False
                now = self._clock()
                os.utime(path, (now, now))
                self._put_now(path)
            except FileNotFoundError:
                return False
        # What is there was perhaps damaged on disk; then the good bytes in hand replace it.
        try:
            self.read(spooled.digest)
        except IntegrityError:
            return False
        # The writer of this file may still stand between its rename and its fsync of the folder.
        sync_folder(path.parent)
        return True

    def _write(self, path: Path, data: bytes) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor has no path
            file.write(data)
            file.flush()
            now = self._clock()
            os.utime(descriptor, (now, now))
            os.fsync(descriptor)


def _make_folder(folder: Path) -> None:
    """Make a folder and its parents, each entry forced to disk before anything is put in it."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    # Also when another thread made it: that one may not have come to its fsync yet.
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Force to disk which files there are in a folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refuse_without_room(error: OSError) -> NoReturn:
    if error.errno in _NO_ROOM:
        reason = os.strerror(error.errno)
        raise CapacityError(f"the spool has no room: {reason}; free some space") from error
    raise error
