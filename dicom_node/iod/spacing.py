"""Pixel spacing at the detector (PS3.3 10.7)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from dicom_node.iod.elements import number, numbers, text

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

    from synthesis.types import View

__all__ = ["detector_spacing_mm", "pixel_aspect", "squared"]


def detector_spacing_mm(ds: Dataset, view: View) -> tuple[float, float] | None:
    """Row and column pitch at the detector; None when the source does not state a usable one.

    Imager Pixel Spacing is that. Pixel Spacing is it too, unless its calibration says that it was
    brought to the depth of the patient: then it is magnified back, by the stated magnification or
    the view's own. A digitized film states Nominal Scanned Pixel Spacing.

    Args:
        ds: The data set.
        view: Its view, for the magnification of last resort.
    """
    stated = _pair(ds, "ImagerPixelSpacing")
    if stated is not None:
        return stated
    stated = _pair(ds, "PixelSpacing")
    if stated is not None:
        if text(ds, "PixelSpacingCalibrationType") not in ("GEOMETRY", "FIDUCIAL"):
            return stated
        factor = number(ds, "EstimatedRadiographicMagnificationFactor")
        if factor is None or not 1.0 <= factor <= 5.0:
            factor = view.magnification
        return stated[0] * factor, stated[1] * factor
    return _pair(ds, "NominalScannedPixelSpacing")


def _pair(ds: Dataset, keyword: str) -> tuple[float, float] | None:
    found = numbers(ds, keyword)
    if len(found) != 2 or not all(math.isfinite(value) and value > 0 for value in found):
        return None
    return found[0], found[1]


def pixel_aspect(ds: Dataset) -> float:
    """Height over width of a pixel by Pixel Aspect Ratio (PS3.3 C.7.6.3.1.7); 1 where not stated.

    It may stand for the spacing where that is unknown. Outside of 1:4 to 4:1 it is passed over.
    """
    stated = _pair(ds, "PixelAspectRatio")
    ratio = 1.0 if stated is None else stated[0] / stated[1]
    return ratio if 0.25 <= ratio <= 4.0 else 1.0


def squared(pixels: NDArray[np.float32], aspect: float) -> NDArray[np.float32]:
    """The image with square pixels, as many as its finer direction has.

    Args:
        pixels: Shape (rows, columns).
        aspect: Height of a pixel over its width.
    """
    rows, columns = pixels.shape
    if aspect > 1.0:
        rows = round(rows * aspect)
    else:
        columns = round(columns / aspect)
    if (rows, columns) == pixels.shape:
        return pixels
    whole = Image.fromarray(np.ascontiguousarray(pixels, np.float32))
    return np.asarray(whole.resize((columns, rows), Image.Resampling.BILINEAR), np.float32)
