"""The exposed field as a data set states it: Display Shutter and X-Ray Collimator.

PS3.3 C.7.6.11 and C.8.7.3 describe both alike: a rectangle by the columns and rows of its edges, a
circle by centre and radius, a polygon by its vertices, all in pixels counted from 1; several shapes
hold together.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image, ImageDraw

from dicom_node.iod.elements import number, numbers, texts
from synthesis.exposure import MIN_FIELD_SHARE

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

__all__ = ["stated_field"]

_KINDS: Final = (("Shutter", "CircularShutter"), ("Collimator", "CircularCollimator"))
_POLYGONS: Final = {
    "Shutter": "VerticesOfThePolygonalShutter",
    "Collimator": "VerticesOfThePolygonalCollimator",
}


def stated_field(ds: Dataset, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """What Display Shutter and Collimator leave open; True everywhere where none is stated.

    A statement that is incomplete, or would leave less than `MIN_FIELD_SHARE` of the image, is
    passed over: units write these edges in millimetres too, or of another matrix.

    Args:
        ds: The data set.
        shape: Rows and columns of the stored image.
    """
    field = np.ones(shape, np.bool_)
    for kind, circular in _KINDS:
        forms = texts(ds, f"{kind}Shape")
        if not forms:
            continue
        stated = np.ones(shape, np.bool_)
        for form in forms:
            mask = _form(ds, form, kind, circular, shape)
            if mask is not None:
                stated &= mask
        if _share(stated) >= MIN_FIELD_SHARE:
            field &= stated
    return field if _share(field) >= MIN_FIELD_SHARE else np.ones(shape, np.bool_)


def _share(mask: NDArray[np.bool_]) -> float:
    return float(np.count_nonzero(mask)) / mask.size


def _form(
    ds: Dataset, form: str, kind: str, circular: str, shape: tuple[int, int]
) -> NDArray[np.bool_] | None:
    row, column = np.ogrid[1 : shape[0] + 1, 1 : shape[1] + 1]
    if form == "RECTANGULAR":
        names = ("LeftVertical", "RightVertical", "UpperHorizontal", "LowerHorizontal")
        edges = [number(ds, f"{kind}{name}Edge") for name in names]
        if any(edge is None or not math.isfinite(edge) for edge in edges):
            return None
        left, right, upper, lower = (edge or 0.0 for edge in edges)
        inside: NDArray[np.bool_] = (
            (column >= left) & (column <= right) & (row >= upper) & (row <= lower)
        )
        return inside
    if form == "CIRCULAR":
        center, radius = numbers(ds, f"CenterOf{circular}"), number(ds, f"RadiusOf{circular}")
        if len(center) != 2 or radius is None or not all(map(math.isfinite, (*center, radius))):
            return None
        disc: NDArray[np.bool_] = (row - center[0]) ** 2 + (column - center[1]) ** 2 <= radius**2
        return disc
    if form == "POLYGONAL":
        flat = numbers(ds, _POLYGONS[kind])
        if len(flat) < 6 or len(flat) % 2 or not all(abs(value) < 1e6 for value in flat):
            return None
        # Row\Column pairs from 1; Pillow wants x, y from 0.
        corners = [(c - 1.0, r - 1.0) for r, c in zip(flat[::2], flat[1::2], strict=True)]
        drawn = Image.new("1", (shape[1], shape[0]))
        ImageDraw.Draw(drawn).polygon(corners, fill=1, outline=1)
        return np.asarray(drawn, np.bool_)
    return None
