"""Where things are: positions and axes of a view, projection of points, relative poses."""

from synthesis.geometry.poses import (
    RelativePose,
    detector_axis,
    image_axes,
    project,
    relative_pose,
    tube_position_mm,
)

__all__ = [
    "RelativePose",
    "detector_axis",
    "image_axes",
    "project",
    "relative_pose",
    "tube_position_mm",
]
