"""What an encoded frame says of itself, before a decoder takes memory for it.

Decoders believe the frame and not the data set around it: a few bytes may announce billions of
pixels. So size and depth are read here, from the first header of the frame, and must be those of
the data set.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from pydicom.uid import JPEG2000TransferSyntaxes, JPEGLSTransferSyntaxes, RLELossless

from dicom_node.domain.errors import ImageError

if TYPE_CHECKING:
    from pydicom.uid import UID

__all__ = ["Announced", "check_frame"]

_HTJ2K: Final = ("1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203")

_TILES_AT_MOST: Final = 4096
"""Of a JPEG 2000 image; each takes kilobytes before anything is decoded."""

_SMALLEST_PRECINCT: Final = 4
"""Binary logarithm of the smallest precinct that is taken; of smaller ones there are too many."""

_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Start of frame markers of JPEG (ISO 10918-1 Table B.1)."""

_END: Final = b"\xff\xd9"
"""EOI, or EOC of JPEG 2000. Some decoders make up what is missing before it, without a word."""

_PADDING: Final = b"\0\xff"
"""After it, to an even length; the standard says zero, some write fill bytes."""

_FRAME_LS: Final = 0xF7
_PARAMETERS_LS: Final = 0xF8
_OVERSIZE: Final = 4
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a length."""

_CODING_STYLE: Final = (0x52, 0x53)
"""COD and COC (ISO 15444-1 A.6)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """What a frame will be decoded to."""

    rows: int
    columns: int
    samples: int
    bits: int


def check_frame(frame: bytes, syntax: UID, *, rows: int, columns: int, allocated: int) -> None:
    """Refuse a frame that will not decode to what the data set says.

    Args:
        frame: The encoded bytes of one frame.
        syntax: Transfer syntax.
        rows: Of the data set.
        columns: Of the data set.
        allocated: Bits Allocated of the data set.

    Raises:
        ImageError: It announces another size, more samples or more bits, or nothing legible.
    """
    if syntax == RLELossless:
        _check_runs(frame, rows * columns, allocated // 8)
        return
    if not frame.rstrip(_PADDING).endswith(_END):
        raise ImageError("the encoded image is cut off: its end marker is missing")
    try:
        if syntax in JPEG2000TransferSyntaxes or syntax in _HTJ2K:
            found = _jpeg_2000(frame)
        else:
            found = _jpeg(frame, lossless_ls=syntax in JPEGLSTransferSyntaxes)
    except (IndexError, struct.error):
        raise ImageError("the encoded image ends within its header") from None
    wanted = (rows, columns, 1)
    if (found.rows, found.columns, found.samples) != wanted or found.bits > allocated:
        raise ImageError(
            f"the encoded image announces {found.rows} x {found.columns} pixels of {found.samples} "
            f"samples and {found.bits} bits, the data set {rows} x {columns} of 1 and {allocated}"
        )


def _jpeg(frame: bytes, *, lossless_ls: bool) -> Announced:
    """The start of frame of JPEG and JPEG-LS (ISO 10918-1 B.2.2, ISO 14495-1 C.2.2)."""
    if frame[:2] != b"\xff\xd8":
        raise ImageError("the encoded image is no JPEG: it does not begin as one")
    at = 2
    while True:
        while frame[at] == 0xFF and frame[at + 1] == 0xFF:  # fill bytes
            at += 1
        if frame[at] != 0xFF:
            raise ImageError("the encoded image has something else than markers in its header")
        marker = frame[at + 1]
        if marker in _ALONE:
            at += 2
            continue
        (length,) = struct.unpack_from(">H", frame, at + 2)
        if marker == _PARAMETERS_LS and frame[at + 4] == _OVERSIZE:
            raise ImageError("the encoded image gives its size in a way that is not taken")
        if marker == _FRAME_LS if lossless_ls else marker in _FRAMES:
            bits, rows, columns, samples = struct.unpack_from(">BHHB", frame, at + 4)
            return Announced(rows=rows, columns=columns, samples=samples, bits=bits)
        at += 2 + length


def _jpeg_2000(frame: bytes) -> Announced:
    """The main header of JPEG 2000 (ISO 15444-1 A.5.1), within JP2 boxes or alone."""
    at = _codestream(frame)
    if frame[at : at + 4] != b"\xff\x4f\xff\x51":
        raise ImageError("the encoded image is no JPEG 2000: it does not begin as one")
    right, bottom, left, top, tile_width, tile_height, tile_left, tile_top, samples = (
        struct.unpack_from(">8IH", frame, at + 8)
    )
    depth, step_x, step_y = struct.unpack_from(">3B", frame, at + 42)
    if (step_x, step_y) != (1, 1) or not tile_width or not tile_height:
        raise ImageError("the encoded image has a grid that is not taken")
    tiles = -(-(right - tile_left) // tile_width) * -(-(bottom - tile_top) // tile_height)
    if tiles > _TILES_AT_MOST:
        raise ImageError(f"the encoded image has {tiles} tiles: at most {_TILES_AT_MOST} are taken")
    _check_precincts(frame, at + 2)
    return Announced(
        rows=bottom - top, columns=right - left, samples=samples, bits=(depth & 0x7F) + 1
    )


def _codestream(frame: bytes) -> int:
    """Where the codestream begins (ISO 15444-1 I.4)."""
    if frame[4:8] != b"jP  ":
        return 0
    at = 0
    while True:
        length, kind = struct.unpack_from(">I4s", frame, at)
        if kind == b"jp2c":
            return at + (16 if length == 1 else 8)
        if length < 8:
            raise ImageError("the encoded image has boxes that cannot be followed")
        at += length


def _check_precincts(frame: bytes, at: int) -> None:
    """Follow the main header to the first tile."""
    while frame[at] == 0xFF and frame[at + 1] != 0x90:
        marker, length = frame[at + 1], struct.unpack_from(">H", frame, at + 2)[0]
        if marker in _CODING_STYLE:
            # COD has Scod and four bytes for all components, COC the component and its own Scoc.
            style = frame[at + 4] if marker == _CODING_STYLE[0] else frame[at + 5]
            first = at + (14 if marker == _CODING_STYLE[0] else 11)
            exponents = frame[first : at + 2 + length] if style & 1 else b""
            # The lowest resolution may have one that is half as wide.
            if any(min(each & 0xF, each >> 4) < _SMALLEST_PRECINCT - 1 for each in exponents):
                raise ImageError("the encoded image has precincts of a few pixels")
        at += 2 + length


def _check_runs(frame: bytes, pixels: int, size: int) -> None:
    """The segments of RLE (PS3.5 G): as many as bytes of a pixel, each as long as the image."""
    if len(frame) < 64:
        raise ImageError("the encoded image ends within its header")
    count, *offsets = struct.unpack_from("<16I", frame)
    if count != size:
        raise ImageError(f"the encoded image has {count} segments, the data set {size} bytes")
    bounds = [*offsets[:count], len(frame)]
    if bounds[0] < 64 or any(a > b for a, b in pairwise(bounds)):
        raise ImageError("the encoded image has segments that lie outside of it")
    for begin, end in pairwise(bounds):
        unpacked = _unpacked(frame, begin, end, most=pixels + 1)
        if not pixels <= unpacked <= pixels + 1:  # one byte of padding is taken
            few = "fewer" if unpacked < pixels else "more"
            raise ImageError(f"the encoded image unfolds to {few} than its {pixels} pixels")


def _unpacked(frame: bytes, at: int, end: int, *, most: int) -> int:
    """Bytes that a segment of runs unfolds to (PS3.5 G.3.1), counted as far as matters."""
    total = 0
    while at < end and total <= most:
        run = frame[at]
        if run < 128:
            total += run + 1
            at += run + 2
        else:
            total += 257 - run if run > 128 else 0
            at += 2 if run > 128 else 1
    return total
