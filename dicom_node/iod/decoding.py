"""Pixel Data to an array of stored values: what is taken, and what is refused before decoding."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
from pydicom.encaps import get_frame
from pydicom.uid import ExplicitVRBigEndian

from dicom_node.domain.errors import ImageError
from dicom_node.iod.codestream import check_frame
from dicom_node.iod.elements import number, text
from dicom_node.iod.foreign import FOREIGN_ERRORS

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydicom.dataset import FileDataset

__all__ = ["MAX_PIXELS", "MIN_SIDE", "check_form", "stored_values"]

MIN_SIDE: Final = 64
"""Fewest rows and columns of a radiograph; below lie icons and broken headers."""

MAX_PIXELS: Final = 36_000_000
"""Most pixels of a radiograph. Detectors have up to 20 million; each takes some 70 bytes on the way
to the engine, so a few kilobytes that unfold to more would take all memory there is."""

MONOCHROME: Final = ("MONOCHROME1", "MONOCHROME2")


def check_form(ds: FileDataset) -> None:
    """Refuse what is not one grey image of a sensible size, by its attributes alone.

    Raises:
        ImageError: Colour, several frames, too small or large, or a pixel form that nothing writes.
    """
    samples = number(ds, "SamplesPerPixel")
    photometric = text(ds, "PhotometricInterpretation")
    if samples not in (None, 1.0) or photometric not in MONOCHROME:
        raise ImageError(
            f"the image has {_shown(samples)} samples a pixel and Photometric Interpretation "
            f"{_term(photometric)}: only MONOCHROME1 and MONOCHROME2 are radiographs"
        )
    frames = number(ds, "NumberOfFrames")
    if frames not in (None, 1.0):
        raise ImageError(f"the image has {_shown(frames)} frames: only single frames are taken")
    rows, columns = number(ds, "Rows"), number(ds, "Columns")
    if rows is None or columns is None:
        raise ImageError("Rows or Columns is absent: this is not an image")
    if min(rows, columns) < MIN_SIDE:
        raise ImageError(
            f"the image has {rows:g} x {columns:g} pixels: at least {MIN_SIDE} x {MIN_SIDE} needed"
        )
    if rows * columns > MAX_PIXELS:
        raise ImageError(f"the image has {rows:g} x {columns:g} pixels: more than {MAX_PIXELS}")
    allocated, stored = number(ds, "BitsAllocated"), number(ds, "BitsStored")
    if allocated not in (8.0, 16.0, 32.0) or stored is None or not 2 <= stored <= allocated:
        raise ImageError(
            f"the image has {_shown(stored)} of {_shown(allocated)} bits: "
            "2 to all of 8, 16 or 32 are taken"
        )
    if "PixelData" not in ds:
        raise ImageError("the object has no Pixel Data")
    if not text(ds.file_meta, "TransferSyntaxUID"):
        raise ImageError("the file meta names no Transfer Syntax: Pixel Data cannot be decoded")


def _shown(value: float | None) -> str:
    return "no" if value is None or not math.isfinite(value) else f"{value:g}"


def _term(value: str) -> str:
    """A code string fit for a message; anything else stays out of it."""
    plain = value.replace("_", "").replace(" ", "")
    return value if plain.isascii() and plain.isalnum() and len(value) <= 16 else "(unreadable)"


def stored_values(ds: FileDataset) -> NDArray[np.signedinteger]:
    """The stored values, shape (rows, columns), without overlay bits beside them.

    Raises:
        ImageError: `check_form` refuses it, or its Pixel Data cannot be decoded.
    """
    check_form(ds)
    syntax = ds.file_meta.TransferSyntaxUID
    shape = (int(number(ds, "Rows") or 0), int(number(ds, "Columns") or 0))
    try:
        if syntax.is_compressed and syntax.is_encapsulated:
            values = _decoded(ds, shape)
        else:
            values = _uncompressed(ds, shape)
    except FOREIGN_ERRORS as error:
        # The decoder's own words may quote the data set, so only the kind of failure is told.
        raise ImageError(
            f"Pixel Data cannot be decoded from {syntax.name} ({type(error).__name__})"
        ) from None
    if values.shape != shape:
        raise ImageError(f"Pixel Data decodes to shape {values.shape}, not {shape}")
    return values


def _wide_enough(size: int) -> type[np.signedinteger]:
    """For any value, signed or not, of so many bytes. Narrow arrays are what makes reading fast."""
    return np.int32 if size <= 2 else np.int64


def _decoded(ds: FileDataset, shape: tuple[int, int]) -> NDArray[np.signedinteger]:
    """The one frame, as a decoder gives it, once it is known what that will take."""
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if keyword in ds:  # of no use for one frame, and a second word on where it lies
            delattr(ds, keyword)
    frame = get_frame(ds.PixelData, 0, number_of_frames=1)
    allocated = int(number(ds, "BitsAllocated") or 16)
    check_frame(
        frame, ds.file_meta.TransferSyntaxUID, rows=shape[0], columns=shape[1], allocated=allocated
    )
    values = np.asarray(ds.pixel_array)
    return values.astype(_wide_enough(values.itemsize))


def _uncompressed(ds: FileDataset, shape: tuple[int, int]) -> NDArray[np.signedinteger]:
    """Words of Bits Allocated, of which the Bits Stored below High Bit count.

    Older modalities keep overlays in the other bits; pydicom leaves High Bit out of account.
    """
    size = int(number(ds, "BitsAllocated") or 16) // 8
    big = ds.file_meta.TransferSyntaxUID == ExplicitVRBigEndian
    data = ds.PixelData
    if size == 1 and big and ds["PixelData"].VR == "OW":  # bytes in words, PS3.5 A.3
        data = np.frombuffer(data, "<u2").byteswap().tobytes()
    count = shape[0] * shape[1]
    words = np.frombuffer(data, f"{'>' if big else '<'}u{size}", count=count)
    bits = int(number(ds, "BitsStored") or 16)
    high = int(number(ds, "HighBit") or bits - 1)
    values = words.astype(_wide_enough(size))
    values >>= max(high - bits + 1, 0)
    values &= (1 << bits) - 1
    if number(ds, "PixelRepresentation") == 1.0:
        values = np.where(values >= 1 << (bits - 1), values - (1 << bits), values)
    return values.reshape(shape)
