"""Bodies of multipart/related (RFC 2387): read part by part, however they come in, and written."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dicom_node.domain.errors import CapacityError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Part", "boundary_of", "new_boundary", "part_head", "parts_of"]

_HEADERS_AT_MOST: Final = 16384
_PARAMETER: Final = re.compile(
    r';\s*boundary\s*=\s*(?:"([^"]{1,200})"|([^\s;"]{1,200}))', re.IGNORECASE
)
"""RFC 2046 5.1.1 allows 70 characters; Orthanc's STOW-RS client sends 73."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Part:
    """One part. It has no ``repr``: its bytes are about a patient.

    Attributes:
        headers: By name in small letters.
        body: Its bytes.
    """

    headers: dict[str, str]
    body: bytes


def boundary_of(content_type: str) -> bytes:
    """The boundary that a Content-Type names.

    Raises:
        InputError: It is not multipart/related, or names none.
    """
    found = _PARAMETER.search(content_type)
    if not content_type.lower().lstrip().startswith("multipart/related") or found is None:
        raise InputError("the content is not multipart/related with a boundary")
    return (found[1] or found[2]).encode("latin-1", "replace")


def new_boundary() -> str:
    """One that is in no body."""
    return f"dicom-node-{uuid.uuid4().hex}"


def part_head(boundary: str, content_type: str) -> bytes:
    """What stands before the bytes of a part."""
    return f"\r\n--{boundary}\r\nContent-Type: {content_type}\r\n\r\n".encode()


def parts_of(chunks: Iterable[bytes], boundary: bytes, *, bytes_at_most: int) -> Iterator[Part]:
    """The parts of a body, each when it is whole. No more than one part and a chunk is in memory.

    Args:
        chunks: The body as it comes.
        boundary: Between the parts.
        bytes_at_most: Of one part.

    Raises:
        InputError: It is no such body, or it ends in the middle.
        CapacityError: A part is longer.
    """
    reader = _Reader(chunks)
    # A boundary begins a line, also the first one, before which there may be a preamble.
    reader.push(b"\r\n")
    delimiter = b"\r\n--" + boundary
    reader.until(delimiter, bytes_at_most)
    while not _is_last(reader):
        head = reader.until(b"\r\n\r\n", _HEADERS_AT_MOST)
        yield Part(headers=_headers(head), body=reader.until(delimiter, bytes_at_most))


def _is_last(reader: _Reader) -> bool:
    after = reader.exactly(2)
    if after == b"--":
        return True
    while after != b"\r\n":  # spaces may follow the boundary (RFC 2046 5.1.1)
        if after[:1] not in (b" ", b"\t"):
            raise InputError("a boundary of the multipart body is followed by something else")
        after = after[1:] + reader.exactly(1)
    reader.push(b"\r\n")  # a part without headers begins with an empty line
    return False


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").strip("\r\n").split("\r\n")
    pairs = [line.partition(":") for line in lines if line]
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


class _Reader:
    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._buffer = bytearray()

    def push(self, data: bytes) -> None:
        self._buffer[:0] = data

    def exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._more()
        return self._take(count)

    def until(self, mark: bytes, at_most: int) -> bytes:
        """Everything before a mark, which is taken as well."""
        searched = 0
        while (found := self._buffer.find(mark, searched)) < 0:
            if len(self._buffer) > at_most + len(mark):
                raise CapacityError(f"a part of the body has more than {at_most} bytes")
            searched = max(0, len(self._buffer) - len(mark) + 1)
            self._more()
        if found > at_most:
            raise CapacityError(f"a part of the body has more than {at_most} bytes")
        data = self._take(found)
        del self._buffer[: len(mark)]
        return data

    def _take(self, count: int) -> bytes:
        data = bytes(memoryview(self._buffer)[:count])
        del self._buffer[:count]
        return data

    def _more(self) -> None:
        chunk = next(self._chunks, b"")
        if not chunk:
            raise InputError("the multipart body ends in the middle")
        self._buffer += chunk
