"""The body of an HTTP request, read as it comes, within limits of size, pace and memory."""

from __future__ import annotations

import time
from dataclasses import dataclass
from inspect import GEN_CLOSED, getgeneratorstate
from typing import TYPE_CHECKING, Final

from dicom_node.domain.errors import CapacityError, InputError, NodeError
from dicom_node.network.guarding import SLOWEST_BYTES_PER_S

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping
    from io import BufferedIOBase

    from dicom_node.network.intake import Intake

__all__ = ["CHUNK_BYTES", "Body", "CrowdedError", "Framing", "TooLongError", "framing_of"]

CHUNK_BYTES: Final = 1 << 18

_LINE_BYTES: Final = 256
"""Longest line that announces a chunk, or stands behind the last one."""

_TRAILERS: Final = 16


class TooLongError(CapacityError):
    """The body is longer than one may be."""


class CrowdedError(CapacityError):
    """Others hold all the memory there is for what is received."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Framing:
    """How the end of a body is known (RFC 9112 6.3).

    Attributes:
        length: Bytes; None when it comes in chunks.
    """

    length: int | None


def framing_of(headers: Mapping[str, str]) -> Framing:
    """How a request's body ends.

    Args:
        headers: By name in small letters.

    Raises:
        InputError: In two ways, or in one that is not known: nobody can say where the next request
            begins.
    """
    coding, length = headers.get("transfer-encoding"), headers.get("content-length")
    if coding is not None:
        if length is not None or coding.strip().lower() != "chunked":
            raise InputError("the body is neither chunked nor has it a length")
        return Framing(length=None)
    if length is None:
        return Framing(length=0)
    if not (length.isascii() and length.isdecimal()):
        raise InputError("Content-Length is no number")
    return Framing(length=int(length))


class Body:
    """The body of one request.

    Attributes:
        pieces: It, as it comes, each piece held in the intake until `release`. Going on raises
            InputError when it ends in the middle or is no sequence of chunks, TooLongError when it
            is longer than it may be, CrowdedError when there was no memory for it in time, and
            OSError when the sender went, is silent or too slow.
        begun: Whether any of it was asked for.
        ended: Whether all of it was read.

    Args:
        file: To read from; it waits for no longer than ``idle_s``.
        framing: How it ends.
        bytes_at_most: Of the whole body.
        idle_s: The sender may be silent, and may take on top of what the slowest pace allows.
        intake: What is held of all callers together.
        holder: It is held for.
        wanted: Called before the first byte is read.
    """

    def __init__(
        self,
        file: BufferedIOBase,
        framing: Framing,
        *,
        bytes_at_most: int,
        idle_s: float,
        intake: Intake,
        holder: object,
        wanted: Callable[[], None],
    ) -> None:
        self._file = file
        self._framing = framing
        self._bytes_at_most = bytes_at_most
        self._idle_s = idle_s
        self._intake = intake
        self._holder = holder
        self._wanted = wanted
        self._read = 0
        self._began = 0.0
        self.begun = False
        self.ended = framing.length == 0
        self.pieces = self._pieces()

    @property
    def is_broken(self) -> bool:
        """Whether reading it went wrong, so that nobody knows where it ends."""
        return getgeneratorstate(self.pieces) == GEN_CLOSED and not self.ended

    def release(self) -> None:
        """What was given is done with."""
        self._intake.keep(self._holder)

    def drain(self, bytes_at_most: int) -> bool:
        """Read the rest and forget it; whether that was the end, after so many bytes at most.

        Raises:
            OSError: The sender went, is silent or too slow.
        """
        count = 0
        try:
            for piece in self.pieces:
                count += len(piece)
                if count > bytes_at_most:
                    break
        except NodeError:
            return False
        finally:
            self.release()
        return self.ended

    def _pieces(self) -> Generator[bytes]:
        length = self._framing.length
        if length is not None and length > self._bytes_at_most:
            raise self._too_long()
        if self.ended:
            return
        self.begun = True
        self._wanted()
        self._began = time.monotonic()
        if length is not None:
            yield from self._exactly(length)
        else:
            while size := self._chunk_size():
                yield from self._exactly(size)
                if self._line():
                    raise InputError("a chunk of the body is longer than it says")
            for _ in range(_TRAILERS):
                if not self._line():
                    break
            else:
                raise InputError("too much stands behind the body")
        self.ended = True

    def _exactly(self, count: int) -> Iterator[bytes]:
        if self._read + count > self._bytes_at_most:
            raise self._too_long()
        while count:
            wanted = min(count, CHUNK_BYTES)
            asked = time.monotonic()
            if not self._intake.take(self._holder, wanted, within_s=self._idle_s):
                raise CrowdedError("others hold all memory there is for what is received")
            self._began += time.monotonic() - asked  # our doing, not the sender's
            piece = self._file.read1(wanted)
            if not piece:
                raise InputError("the body ends in the middle")
            self._read += len(piece)
            count -= len(piece)
            self._check_pace()
            yield piece

    def _check_pace(self) -> None:
        allowed_s = self._idle_s + self._read / SLOWEST_BYTES_PER_S
        if time.monotonic() - self._began > allowed_s:
            raise TimeoutError("the body comes too slowly")

    def _chunk_size(self) -> int:
        size = self._line().partition(b";")[0].strip()
        if not size or len(size) > 16 or size.strip(b"0123456789abcdefABCDEF"):
            raise InputError("a chunk of the body has no size")
        return int(size, 16)

    def _line(self) -> bytes:
        line = self._file.readline(_LINE_BYTES)
        self._check_pace()
        if not line.endswith(b"\n"):
            raise InputError("the body ends in the middle, or is no sequence of chunks")
        return line.rstrip(b"\r\n")

    def _too_long(self) -> TooLongError:
        return TooLongError(f"the body has more than {self._bytes_at_most} bytes")
