"""The file of the audit trail: a chained line for each message, on disk before the call returns."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from typing import TYPE_CHECKING, BinaryIO, Final

import structlog

from dicom_node.audit.chain import START, Link, head_of, linked, parsed, verify
from dicom_node.audit.messages import Source, to_xml
from dicom_node.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from dicom_node.audit.chain import Verdict
    from dicom_node.audit.messages import AuditMessage
    from dicom_node.ports import Clock

__all__ = ["AuditTrail", "head_path", "verify_file"]

_TAIL_BYTES: Final = 1 << 20

_log = structlog.get_logger(__name__)


def head_path(path: Path) -> Path:
    """Where the head of a trail is kept."""
    return path.with_name(f"{path.name}.head")


class AuditTrail:
    """Appends to one file. Safe for many threads, and for other processes beside them.

    A line that was half written when the power went is cut off; nothing was said to be in it.

    Args:
        path: Of the file; it and its folder are made, for the owner alone.
        source: Who tells.
        clock: Stamps the messages.
        wake: Called after each message.

    Raises:
        ConfigurationError: The file cannot be written.
    """

    def __init__(
        self,
        path: Path,
        *,
        source: Source,
        clock: Clock,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self.path = path
        self._source = source
        self._clock = clock
        self._wake = wake
        self._lock = threading.Lock()
        self._last = START
        self._size = -1
        try:
            self._file = _opened(path)
        except OSError as error:
            raise ConfigurationError(
                f"audit.file: {path} cannot be used: {error.strerror}"
            ) from error

    def record(self, message: AuditMessage) -> None:
        """Append a message. One that cannot be written is told in the log and lost: patients are
        not to wait for an audit.
        """
        try:
            with self._alone():
                link = linked(self._last, to_xml(message, self._source, self._clock()))
                data = str(link).encode()
                if os.write(self._file, data) != len(data):
                    raise OSError("only a part was written")
                os.fsync(self._file)
                self._size += len(data)
                self._last = link
                self._keep_head(link)
        except OSError as error:
            self._size = -1  # look at what is there before the next one
            _log.error(
                "the audit trail cannot be written",
                event_type=message.event.meaning,
                reason=error.strerror or "a part of a record was written",
            )
        self._wake()

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        with self._lock:
            self._follow()
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                if os.fstat(self._file).st_size != self._size:
                    self._resume()
                yield
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def _follow(self) -> None:
        """Write where the path leads, not into a file that was deleted or moved away."""
        ours = os.fstat(self._file)
        with contextlib.suppress(FileNotFoundError):
            there = self.path.stat()
            if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
                return
        new = _opened(self.path)
        os.close(self._file)
        self._file, self._size = new, -1

    def _resume(self) -> None:
        """Find the last whole line; what follows it is cut off."""
        size = os.fstat(self._file).st_size
        start = max(0, size - _TAIL_BYTES)
        tail = os.pread(self._file, size - start, start)
        whole, _, torn = tail.rpartition(b"\n")
        if torn:
            os.ftruncate(self._file, size - len(torn))
            _log.warning("half a record at the end of the audit trail is cut off", bytes=len(torn))
        line = whole.rpartition(b"\n")[2].decode("utf-8", "replace")
        last = parsed(line) if line else START
        if last is None:
            _log.error("the last record of the audit trail is no record; a new chain begins")
            last = START
        # What is kept beside the file may be gone with it.
        known = (self._last.number, self._last.digest)
        head = max(head_of(head_path(self.path)) or known, known)
        if head[0] > last.number:
            # Going on from what was cut off keeps the gap visible to whoever follows the chain.
            _log.error(
                "records are missing at the end of the audit trail", last=last.number, were=head[0]
            )
            last = Link(number=head[0], before="", digest=head[1], message="")
        self._last, self._size = last, size - len(torn)

    def _keep_head(self, link: Link) -> None:
        temporary = head_path(self.path).with_suffix(".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{link.number} {link.digest}\n")
        temporary.replace(head_path(self.path))


def _opened(path: Path) -> int:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def verify_file(path: Path) -> Verdict:
    """Follow the chain of a trail.

    Raises:
        ConfigurationError: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = head_of(head_path(path))  # first: the file may be ahead of it, never behind
            size = os.fstat(file.fileno()).st_size
            return verify(_up_to(file, size), head)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error


def _up_to(file: BinaryIO, size: int) -> Iterator[bytes]:
    read = 0
    for line in file:
        read += len(line)
        if read > size:  # written since we began
            return
        yield line
