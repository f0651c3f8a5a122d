"""Patient Orientation (PS3.3 C.7.6.1.1.1): letters to flips, and a view to letters.

Axes are DICOM's LPS: +x left, +y posterior, +z head. The first letter pair of Patient Orientation
is where the patient points along a row (to the right of the screen), the second down a column.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from dicom_node.domain.errors import ImageError
from synthesis.types import SeenFrom

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from synthesis.types import View

__all__ = [
    "HUNG",
    "Hanging",
    "hanging",
    "patient_orientation",
    "screen_axes",
    "side_letters",
]

Vector = tuple[float, float, float]

HUNG: Final = ("L", "F")
"""A frontal view as it is hung: the patient's left on the right of the screen, head up."""

NEGLIGIBLE: Final = 1e-4
"""A direction cosine below this (0.006 degrees) gets no letter."""

_POSITIVE: Final = ("L", "P", "H")
_NEGATIVE: Final = ("R", "A", "F")
_OPPOSITE: Final = str.maketrans("LPHRAF", "RAFLPH")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hanging:
    """How a stored frontal image is brought to `HUNG`: transpose first, then the flips."""

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    def apply(self, pixels: NDArray[np.generic]) -> NDArray[np.generic]:
        """The image as it is hung, shape (height, width) or (width, height)."""
        if self.transpose:
            pixels = pixels.T
        if self.flip_rows:
            pixels = pixels[::-1, :]
        if self.flip_columns:
            pixels = pixels[:, ::-1]
        return np.ascontiguousarray(pixels)

    def spacing(self, spacing_mm: tuple[float, float] | None) -> tuple[float, float] | None:
        """Row and column pitch of the hung image."""
        if spacing_mm is None or not self.transpose:
            return spacing_mm
        return spacing_mm[1], spacing_mm[0]


def hanging(orientation: Sequence[str]) -> Hanging:
    """What brings a frontal image with this Patient Orientation to `HUNG`.

    Args:
        orientation: The values of Patient Orientation; none means the image is hung already.

    Raises:
        ImageError: The values are not those of a frontal view.
    """
    if not orientation:
        return Hanging()
    principal = tuple(value.strip().upper()[:1] for value in orientation)
    if len(principal) != 2 or {frozenset("LR"), frozenset("HF")} != {
        _axis(principal[0]),
        _axis(principal[1]),
    }:
        raise ImageError(
            "Patient Orientation is not that of a frontal view (rows and columns along left-right "
            "and head-foot): the stated view contradicts it, correct one of them at the source"
        )
    transpose = principal[0] in "HF"
    across, down = (principal[1], principal[0]) if transpose else principal
    return Hanging(transpose=transpose, flip_rows=down == "H", flip_columns=across == "R")


def _axis(letter: str) -> frozenset[str]:
    for pair in ("LR", "HF", "AP"):
        if letter and letter in pair:
            return frozenset(pair)
    return frozenset()


def screen_axes(view: View) -> tuple[Vector, Vector]:
    """Unit vectors (LPS) along the rows (to the right) and down the columns of a view's image.

    The detector stands at (sin p cos s, -cos p cos s, sin s) about the isocentre for primary p and
    secondary s (PS3.3 C.8.7.5.1.2). The right of the screen of somebody who looks from there is
    the derivative by p, the top that by s; from the tube's side, right and left change.
    """
    p, s = math.radians(view.primary_deg), math.radians(view.secondary_deg)
    side = 1.0 if view.seen_from is SeenFrom.DETECTOR else -1.0
    right = (side * math.cos(p), side * math.sin(p), 0.0)
    down = (math.sin(p) * math.sin(s), -math.cos(p) * math.sin(s), -math.cos(s))
    return right, down


def patient_orientation(view: View) -> tuple[str, str]:
    """The two values of Patient Orientation for the image of a view.

    The axis with the largest component comes first, then the others by size; equal ones in the
    order left-right, anterior-posterior, head-foot.
    """
    right, down = screen_axes(view)
    return _letters(right), _letters(down)


def side_letters(view: View) -> tuple[str, str]:
    """Where the patient points on the left of the screen and on the right of it."""
    right, _ = patient_orientation(view)
    return right.translate(_OPPOSITE), right


def _letters(direction: Vector) -> str:
    # Rounding makes cos 45 and sin 45 the tie that they are.
    sized = [(round(component, 9), axis) for axis, component in enumerate(direction)]
    ordered = sorted(sized, key=lambda item: (-abs(item[0]), item[1]))
    return "".join(
        _POSITIVE[axis] if component > 0 else _NEGATIVE[axis]
        for component, axis in ordered
        if abs(component) > NEGLIGIBLE
    )
