"""A synthesized view in the pixels of its source, for reading the two side by side.

A view comes in the model's own square matrix, whose middle is the middle of the source's exposed
field. Here its grey levels are carried over to the pixel grid of the source by bicubic
interpolation, averaged where the source's pixels are larger. Nothing is sharpened and no grey level
arises that was not there: finer pixels hold no finer detail.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from synthesis.types import FIELD_MM

if TYPE_CHECKING:
    from synthesis.types import Radiograph

__all__ = ["Frame", "matched"]

_NEARLY: Final = 1e-6
"""Pixels by which an edge may miss another and still be taken for the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The whole matrix of a radiograph as it is hung, and where its exposed field lies in it.

    Attributes:
        rows: Of the matrix.
        columns: Of the matrix.
        top: First row of the field.
        left: First column of the field.
        height: Rows of the field.
        width: Columns of the field.
    """

    rows: int
    columns: int
    top: int
    left: int
    height: int
    width: int


def matched(image: Radiograph, frame: Frame, spacing_mm: tuple[float, float] | None) -> Radiograph:
    """The view in the source's matrix and spacing; where it does not reach, its darkest value.

    Args:
        image: In the model's matrix, its middle being that of the source's exposed field.
        frame: Of the source.
        spacing_mm: Of the source; None when unknown, then the field is as long as the view's.
    """
    rows, columns = image.pixels.shape
    pitch = image.spacing_mm or (FIELD_MM / rows, FIELD_MM / columns)
    if spacing_mm is None:
        side = rows * pitch[0] / max(frame.height, frame.width)
        spacing_mm = (side, side)
    down = _reach(frame.rows, frame.top + frame.height / 2, spacing_mm[0] / pitch[0], rows)
    across = _reach(frame.columns, frame.left + frame.width / 2, spacing_mm[1] / pitch[1], columns)
    low, high = float(image.pixels.min()), float(image.pixels.max())
    pixels = np.full((frame.rows, frame.columns), low, np.float32)
    if down.count > 0 and across.count > 0:
        part = Image.fromarray(np.array(image.pixels)).resize(
            (across.count, down.count),
            Image.Resampling.BICUBIC,
            box=(across.begin, down.begin, across.end, down.end),
        )
        # Bicubic weights are partly negative and overshoot beside an edge.
        pixels[down.first : down.first + down.count, across.first : across.first + across.count] = (
            np.clip(np.asarray(part, np.float32), low, high)
        )
    return replace(image, pixels=pixels, spacing_mm=spacing_mm)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reach:
    """Along one direction: which target pixels lie within the view, and where in it they do."""

    first: int
    count: int
    begin: float
    end: float


def _reach(target: int, middle: float, ratio: float, own: int) -> _Reach:
    """For a target whose pixels are each ``ratio`` of the view's, its middle at ``middle``."""
    half = own / 2 / ratio
    first = max(0, math.ceil(middle - half - _NEARLY))
    past = min(target, math.floor(middle + half + _NEARLY))
    begin, end = ((edge - middle) * ratio + own / 2 for edge in (first, past))
    return _Reach(
        first=first, count=max(0, past - first), begin=max(0.0, begin), end=min(float(own), end)
    )
