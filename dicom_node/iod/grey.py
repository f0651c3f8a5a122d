"""The grey levels of a radiograph: stored values to attenuation, and attenuation back to a file.

One affine map leads from attenuation to the stored values of a derived image: `GreyScale`. All that
is not affine (modality and VOI look-up tables, the logarithm of a LIN detector) happens once, on
reading, and the derived image is written in the values that come out of it. Where the source needs
none of that, the derived image has the very units, bits and polarity of its source, so that one
window set in a viewer suits both.

Which way attenuation runs: in an image FOR PRESENTATION bone is shown white, so white is more
(MONOCHROME1: the smaller value). In one FOR PROCESSING the detector's own attributes say it:
Pixel Intensity Relationship (LIN, LOG) and its Sign (PS3.3 C.8.11.3.1.2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from dicom_node.domain.errors import ImageError
from dicom_node.iod.elements import items, number, numbers, text, texts
from dicom_node.iod.lookup import Table, read_table

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

__all__ = ["Grey", "GreyScale", "Window", "read_grey"]

PROCESSING_CLASS: Final = "1.2.840.10008.5.1.4.1.1.1.1.1"
"""Digital X-Ray Image Storage - For Processing."""

MIN_BITS: Final = 6
"""Fewest Bits Stored of a DX image (PS3.3 C.8.11.3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The values shown as black and as white (of a MONOCHROME2 display), ``low < high``."""

    low: float
    high: float
    explanation: str = ""

    @property
    def center(self) -> float:
        """Window Center of the LINEAR function (PS3.3 C.11.2.1.2.1)."""
        return (self.low + self.high) / 2.0 + 0.5

    @property
    def width(self) -> float:
        """Window Width of the LINEAR function."""
        return self.high - self.low + 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GreyScale:
    """How attenuation becomes the stored values of a derived image.

    ``stored = gain * attenuation + bias``, unsigned in ``bits_stored`` bits.

    Attributes:
        gain: Positive for MONOCHROME2, negative for MONOCHROME1.
        bias: See above.
        bits_stored: 6 to 16.
        windows: In stored values; the first one is the look of the source.
        relationship: Pixel Intensity Relationship of the stored values, LIN or LOG.
    """

    gain: float
    bias: float
    bits_stored: int
    windows: tuple[Window, ...]
    relationship: str

    @property
    def photometric_interpretation(self) -> str:
        """MONOCHROME2 when larger stored values are more attenuation, else MONOCHROME1."""
        return "MONOCHROME2" if self.gain > 0 else "MONOCHROME1"

    @property
    def maximum(self) -> int:
        """The largest stored value."""
        return (1 << self.bits_stored) - 1

    def to_stored(self, attenuation: NDArray[np.floating]) -> NDArray[np.uint16]:
        """Attenuation, any shape -> stored values, rounded, clipped to the bits there are."""
        values = np.rint(self.gain * attenuation.astype(np.float64) + self.bias)
        return np.clip(values, 0, self.maximum).astype(np.uint16)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grey:
    """A radiograph's grey levels as they were read.

    Attributes:
        attenuation: float32, shape (rows, columns); larger = more.
        valid: False where the detector saw nothing (pixel padding).
        presented: Whether the source is FOR PRESENTATION.
        scale: The way back to stored values; `windows` is empty when the source has none.
    """

    attenuation: NDArray[np.float32]
    valid: NDArray[np.bool_]
    presented: bool
    scale: GreyScale


def read_grey(ds: Dataset, stored: NDArray[np.signedinteger]) -> Grey:
    """Stored values to attenuation (the module docstring says by which rules).

    Args:
        ds: The data set the values come from.
        stored: Shape (rows, columns), as `decoding.stored_values` gives them.

    Raises:
        ImageError: A look-up table or rescale that cannot be applied.
    """
    valid = _valid(ds, stored)
    values = _modality(ds, stored)
    presented = not _is_processing(ds)
    if not presented:
        attenuation, scale = _from_detector(ds, values)
    else:
        values, windows = _presented(ds, values)
        up = text(ds, "PhotometricInterpretation") != "MONOCHROME1"
        stated = text(ds, "PixelIntensityRelationship")
        scale = replace(
            _affine(values, up=up),
            windows=windows,
            relationship=stated if stated in ("LIN", "LOG") else "LOG",
        )
        attenuation = values.array if up else values.top - values.array
    if not np.isfinite(attenuation).all():
        raise ImageError("the grey levels are not finite after the modality and VOI transforms")
    return Grey(
        attenuation=attenuation.astype(np.float32, copy=False),
        valid=valid,
        presented=presented,
        scale=scale,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Values:
    """An image with the grid of values that it can hold: base, base + step, ... top."""

    array: NDArray[np.floating]
    base: float
    step: float
    bits: int

    @property
    def top(self) -> float:
        return self.base + self.step * ((1 << self.bits) - 1)


def _is_processing(ds: Dataset) -> bool:
    return (
        text(ds, "PresentationIntentType") == "FOR PROCESSING"
        or text(ds, "SOPClassUID") == PROCESSING_CLASS
    )


def _valid(ds: Dataset, stored: NDArray[np.signedinteger]) -> NDArray[np.bool_]:
    """Pixel padding (PS3.3 C.7.5.1.1.2): one stored value, or a range with its limit."""
    padding = number(ds, "PixelPaddingValue")
    if padding is None:
        return np.ones(stored.shape, np.bool_)
    limit = number(ds, "PixelPaddingRangeLimit")
    low, high = sorted((padding, padding if limit is None else limit))
    if number(ds, "PixelRepresentation") == 1.0 and low >= 0:
        # Written as US although the pixels are signed; the bit pattern counts.
        wrap = (1 << 16) if high >= 1 << 15 else 0
        low, high = low - wrap, high - wrap
    return ~((stored >= low) & (stored <= high))


def _modality(ds: Dataset, stored: NDArray[np.signedinteger]) -> _Values:
    """The modality transform (PS3.3 C.11.1): a table, else slope and intercept, else nothing."""
    bits = int(number(ds, "BitsStored") or 16)
    signed = number(ds, "PixelRepresentation") == 1.0
    tables = items(ds, "ModalityLUTSequence")
    if tables:
        table = read_table(tables[0], signed=signed)
        return _looked_up(table, stored)
    slope, intercept = number(ds, "RescaleSlope"), number(ds, "RescaleIntercept")
    slope = 1.0 if slope is None else slope
    intercept = 0.0 if intercept is None else intercept
    if slope == 0.0 or not math.isfinite(slope) or not math.isfinite(intercept):
        raise ImageError(f"Rescale Slope {slope:g} and Intercept {intercept:g} flatten the image")
    lowest = -(1 << (bits - 1)) if signed else 0
    highest = lowest + (1 << bits) - 1
    ends = sorted((lowest * slope + intercept, highest * slope + intercept))
    if slope == 1.0 and ends[0] >= 0.0 and ends[1] < 1 << 16 and float(intercept).is_integer():
        # Whole numbers that float32 holds exactly, in half the memory.
        array: NDArray[np.floating] = stored.astype(np.float32)
        if intercept:
            array += np.float32(intercept)
        wide = max(bits, int(ends[1]).bit_length(), MIN_BITS)
        return _Values(array=array, base=0.0, step=1.0, bits=wide)
    kept = min(max(bits, MIN_BITS), 16)
    array = stored.astype(np.float64) * slope + intercept
    step = (ends[1] - ends[0]) / ((1 << kept) - 1)
    return _Values(array=array, base=ends[0], step=step, bits=kept)


def _looked_up(table: Table, array: NDArray[np.generic]) -> _Values:
    bits = min(max(table.bits, MIN_BITS), 16)
    return _Values(array=table.apply(array), base=0.0, step=1.0, bits=bits)


def _presented(ds: Dataset, values: _Values) -> tuple[_Values, tuple[Window, ...]]:
    """The VOI transform (PS3.3 C.11.2) where it bends the values; a straight window where not.

    Tables and windows are alternatives, none of them preferred (PS3.3 C.11.2.1.1); viewers begin
    with the first, a table before a window, so that is the one that is taken.

    A linear window is affine inside its limits, so applying it would only throw away what lies
    beyond them; it is handed on as the look of the image instead.
    """
    tables = items(ds, "VOILUTSequence")
    if tables:
        curved = _looked_up(read_table(tables[0], signed=values.base < 0), np.rint(values.array))
        return curved, (_full(curved),)
    centers, widths = numbers(ds, "WindowCenter"), numbers(ds, "WindowWidth")
    pairs = [(c, w) for c, w in zip(centers, widths, strict=False) if w > 0]
    function = text(ds, "VOILUTFunction") or "LINEAR"
    if pairs and function == "SIGMOID":
        center, width = pairs[0]
        slope = np.clip(-4.0 * (values.array.astype(np.float64) - center) / width, -700.0, 700.0)
        peak = (1 << values.bits) - 1
        curved = _Values(array=peak / (1.0 + np.exp(slope)), base=0.0, step=1.0, bits=values.bits)
        return curved, (_full(curved),)
    explanations = _explanations(ds, len(pairs))
    windows = []
    for (center, width), explanation in zip(pairs, explanations, strict=True):
        half, middle = (
            (width / 2.0, center)
            if function == "LINEAR_EXACT"
            else (max(width - 1.0, 1e-6) / 2.0, center - 0.5)
        )
        low = (middle - half - values.base) / values.step
        high = (middle + half - values.base) / values.step
        windows.append(Window(low=low, high=high, explanation=explanation))
    return values, tuple(windows)


def _explanations(ds: Dataset, count: int) -> list[str]:
    found = [one if one.isascii() else "" for one in texts(ds, "WindowCenterWidthExplanation")]
    return (found + [""] * count)[:count]


def _full(values: _Values) -> Window:
    return Window(low=0.0, high=float((1 << values.bits) - 1))


def _affine(values: _Values, *, up: bool) -> GreyScale:
    """Attenuation is the values (up) or their mirror below ``top``; stored counts from base."""
    gain = 1.0 / values.step if up else -1.0 / values.step
    bias = -values.base / values.step if up else (values.top - values.base) / values.step
    return GreyScale(gain=gain, bias=bias, bits_stored=values.bits, windows=(), relationship="LOG")


def _from_detector(ds: Dataset, values: _Values) -> tuple[NDArray[np.floating], GreyScale]:
    """FOR PROCESSING: -log of a LIN detector, a LOG one as it is, each turned by its Sign.

    Sign 1 = lower values are less beam intensity, -1 = lower values are more of it. Without a Sign
    the Photometric Interpretation decides: MONOCHROME1 shows larger values darker.
    """
    sign = number(ds, "PixelIntensityRelationshipSign")
    if sign not in (1.0, -1.0):
        sign = 1.0 if text(ds, "PhotometricInterpretation") == "MONOCHROME1" else -1.0
    if text(ds, "PixelIntensityRelationship") != "LIN":
        up = sign < 0
        scale = _affine(values, up=up)
        return (values.array if up else values.top - values.array), scale
    array = values.array.astype(np.float64)
    above = array - values.base if sign > 0 else values.top - array
    # Half a step stands for zero counts, whose logarithm does not exist.
    counts = np.maximum(above / values.step, 0.5)
    full = math.log((1 << values.bits) - 1)
    attenuation = full - np.log(counts)
    # 16 bits over twice the detector's range: a view through more matter still fits.
    gain = ((1 << 16) - 1) / (2.0 * full)
    scale = GreyScale(gain=gain, bias=0.0, bits_stored=16, windows=(), relationship="LOG")
    return attenuation, scale
