"""Positions and axes of a view in patient axes (LPS, mm, isocentre at the origin); numpy only.

The signs are those of `synthesis.types`; everything here follows from two vectors, the detector's
direction and the image's upward direction, so no other module decides a sign again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from synthesis.types import SeenFrom, View, wrap_deg

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "RelativePose",
    "detector_axis",
    "image_axes",
    "project",
    "relative_pose",
    "tube_position_mm",
]


def detector_axis(view: View) -> NDArray[np.float64]:
    """Unit vector (3,) from the isocentre to the detector (PS3.3 C.8.7.5.1.2)."""
    primary, secondary = math.radians(view.primary_deg), math.radians(view.secondary_deg)
    return np.array(
        [
            math.sin(primary) * math.cos(secondary),
            -math.cos(primary) * math.cos(secondary),
            math.sin(secondary),
        ]
    )


def image_axes(view: View) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unit vectors (3,), (3,): along a row (to the right on the screen), along a column (down).

    Up on the screen is where the detector moves when the secondary angle grows: towards the head.
    Right is what an onlooker on the view's side has to the right: looking direction x up.
    """
    primary, secondary = math.radians(view.primary_deg), math.radians(view.secondary_deg)
    up = np.array(
        [
            -math.sin(primary) * math.sin(secondary),
            math.cos(primary) * math.sin(secondary),
            math.cos(secondary),
        ]
    )
    axis = detector_axis(view)
    looking = -axis if view.seen_from is SeenFrom.DETECTOR else axis
    return np.cross(looking, up), -up


def tube_position_mm(view: View) -> NDArray[np.float64]:
    """Position (3,) of the focal spot."""
    return -view.source_isocenter_mm * detector_axis(view)


def project(
    points_mm: NDArray[np.float64], view: View, *, field_mm: float, size: int
) -> NDArray[np.float64]:
    """Where points appear in the image of a view.

    Args:
        points_mm: (n, 3), patient axes.
        view: The view.
        field_mm: Side of the square detector, centred on the central ray.
        size: Pixels on that side.

    Returns:
        (n, 2): row and column in pixels; 0 is the middle of the first pixel.
    """
    axis, (right, down) = detector_axis(view), image_axes(view)
    from_tube = np.asarray(points_mm, np.float64) - tube_position_mm(view)
    on_detector = from_tube * (view.source_detector_mm / (from_tube @ axis))[:, None]
    pitch = field_mm / size
    middle = (size - 1) / 2.0
    return np.stack([on_detector @ down, on_detector @ right], axis=1) / pitch + middle


@dataclass(frozen=True, slots=True, kw_only=True)
class RelativePose:
    """A target as an onlooker of the source sees it.

    An onlooker stands at the detector or at the tube (`View.seen_from`); in nearly parallel
    geometry an image depends on where the onlooker stands and hardly on which end the tube is. So
    the pose of the onlooker is what a network needs, with the tube's end as a small correction.

    Attributes:
        azimuth_rad: By how much the onlooker walks from the source's place to the target's towards
            the patient's left, in (-pi, pi].
        source_elevation_rad: Of the source's onlooker above the horizontal plane.
        target_elevation_rad: Of the target's onlooker.
        source_from_tube: 1.0 when the source is seen from the tube's side, else 0.0.
        target_from_tube: The same for the target.
    """

    azimuth_rad: float
    source_elevation_rad: float
    target_elevation_rad: float
    source_from_tube: float
    target_from_tube: float


def relative_pose(source: View, target: View) -> RelativePose:
    """The pose of a target relative to a source."""
    return RelativePose(
        azimuth_rad=math.radians(wrap_deg(_azimuth_deg(target) - _azimuth_deg(source))),
        source_elevation_rad=math.radians(_elevation_deg(source)),
        target_elevation_rad=math.radians(_elevation_deg(target)),
        source_from_tube=float(source.seen_from is SeenFrom.TUBE),
        target_from_tube=float(target.seen_from is SeenFrom.TUBE),
    )


def _azimuth_deg(view: View) -> float:
    return view.primary_deg + (180.0 if view.seen_from is SeenFrom.TUBE else 0.0)


def _elevation_deg(view: View) -> float:
    return -view.secondary_deg if view.seen_from is SeenFrom.TUBE else view.secondary_deg
