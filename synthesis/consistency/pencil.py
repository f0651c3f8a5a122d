"""The planes that two tubes have in common, and the lines in which they cut a detector; numpy only.

All planes that hold both focal spots form a pencil about the line between them. Each cuts either
detector in one line, and the pair of lines is what epipolar geometry can compare (Aichert et al.,
IEEE Trans. Med. Imaging 34, 2015).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from synthesis.geometry import detector_axis, image_axes, tube_position_mm

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from synthesis.types import View

__all__ = ["Lines", "lines", "pencil"]

_LEAST_BASELINE_MM: Final = 10.0
"""Tubes nearer than this see the same; their pencil has no direction worth the name."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lines:
    """Lines on a detector, in mm from the foot of the central ray.

    Attributes:
        normals: (planes, 2), unit vectors across the lines: along a row, along a column.
        offsets_mm: (planes,), of the lines along their normals.
    """

    normals: NDArray[np.float64]
    offsets_mm: NDArray[np.float64]


def pencil(
    first: View, second: View, *, reach_mm: float, step_mm: float
) -> NDArray[np.float64] | None:
    """Normals (planes, 3) of common planes that pass the isocentre at equal steps.

    Args:
        first: One view.
        second: Another.
        reach_mm: Greatest distance of a plane from the isocentre.
        step_mm: Between neighbours.

    Returns:
        None when both tubes stand at one place: then every plane is common, and proves nothing.
    """
    here, there = tube_position_mm(first), tube_position_mm(second)
    baseline = there - here
    length = float(np.linalg.norm(baseline))
    if length < _LEAST_BASELINE_MM:
        return None
    baseline /= length
    across = np.cross(here, there)
    if np.linalg.norm(across) < 1e-6 * length * np.linalg.norm(here):
        # The isocentre lies between the tubes: any plane may come first.
        across = np.cross(baseline, image_axes(first)[0])
    middle = across / np.linalg.norm(across)  # of the plane through the isocentre
    aside = np.cross(baseline, middle)
    # The plane at the angle k from the middle one passes the isocentre at |sin k| times this.
    farthest_mm = abs(float(aside @ here))
    count = max(1, round(reach_mm / step_mm))
    places_mm = np.arange(-count, count + 1) * step_mm
    if farthest_mm < reach_mm:
        # Tubes (nearly) opposite each other: planes at equal angles, as far as the body reaches.
        widest = np.arctan(reach_mm / np.linalg.norm(here))
        angles = places_mm / (count * step_mm) * max(widest, np.pi / 2)
    else:
        angles = np.arcsin(places_mm / farthest_mm)
    normals: NDArray[np.float64] = (
        np.cos(angles)[:, None] * middle[None] + np.sin(angles)[:, None] * aside[None]
    )
    return normals


def lines(normals: NDArray[np.float64], view: View) -> Lines:
    """Where planes (planes, 3) through a view's tube cut its detector."""
    right, down = image_axes(view)
    # A point of the detector is u to the right and v down of the central ray's foot; it lies in the
    # plane when  u n.right + v n.down + SDD n.axis = 0.
    across = np.stack([normals @ right, normals @ down], axis=1)
    norms = np.linalg.norm(across, axis=1)
    offsets = -view.source_detector_mm * (normals @ detector_axis(view)) / norms
    return Lines(normals=across / norms[:, None], offsets_mm=offsets)
