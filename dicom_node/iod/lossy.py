"""What lossy compression an image went through (PS3.3 C.7.6.1.1.5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydicom.uid import (
    JPEG2000,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
)

from dicom_node.iod.elements import number, numbers, text, texts

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

__all__ = ["LossyHistory", "lossy_history"]

_METHODS: Final = {
    JPEGBaseline8Bit: "ISO_10918_1",
    JPEGExtended12Bit: "ISO_10918_1",
    JPEGLSNearLossless: "ISO_14495_1",
    JPEG2000: "ISO_15444_1",
}
"""Defined terms of Lossy Image Compression Method for the syntaxes that may lose something."""

_MAYBE_LOSSLESS: Final = frozenset({JPEG2000, JPEGLSNearLossless})
"""Syntaxes that may also be used without loss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossyHistory:
    """Lossy compressions, oldest first.

    Attributes:
        happened: Whether there was any.
        ratios: Lossy Image Compression Ratio of each, as far as known.
        methods: Lossy Image Compression Method of each; as many as ratios, or none.
    """

    happened: bool
    ratios: tuple[float, ...] = ()
    methods: tuple[str, ...] = ()


def lossy_history(ds: FileDataset, *, pixels: int) -> LossyHistory:
    """The history stated by the attributes, completed by what the transfer syntax shows.

    Args:
        ds: With its Pixel Data.
        pixels: How many there are.
    """
    flag = text(ds, "LossyImageCompression")
    syntax = ds.file_meta.TransferSyntaxUID
    now = syntax in _METHODS and not (flag == "00" and syntax in _MAYBE_LOSSLESS)
    if flag != "01" and not now:
        return LossyHistory(happened=False)
    ratios = numbers(ds, "LossyImageCompressionRatio")
    methods = texts(ds, "LossyImageCompressionMethod")
    if now and flag != "01":
        bits = number(ds, "BitsAllocated") or 16.0
        ratios = (round(pixels * bits / 8.0 / max(len(ds.PixelData), 1), 2),)
        methods = (_METHODS[syntax],)
    elif now and not methods and len(ratios) == 1:
        methods = (_METHODS[syntax],)
    return LossyHistory(
        happened=True, ratios=ratios, methods=methods if len(methods) == len(ratios) else ()
    )
