"""Line integrals plane by plane (Joseph 1982), the fast way to render a view on a CPU.

A ray is followed through the voxel planes across its main direction and interpolated within each,
so a sample reads four voxels that lie together in a plane small enough for the cache; torch does
that on vectors. Sampling points in space reads eight that lie far apart, one after another.

Matter behind the detector's plane is not in the image, as with the published system's renderer:
at 150 mm from the isocentre that plane cuts the far shoulder of a broad patient's lateral view.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
import torch.nn.functional as F

from synthesis.geometry import detector_axis, image_axes, tube_position_mm

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from synthesis.types import View

__all__ = ["PlaneProjector"]

_STEEP: Final = 0.4
"""Voxels that a ray moves sideways from plane to plane: beyond, planes alone are too sharp."""


class PlaneProjector:
    """Cone-beam line integrals of one volume.

    Args:
        mu: float32 (x, y, z) attenuation per mm, patient axes (LPS).
        spacing_mm: Voxel pitch along x, y, z.
        center_mm: Position of the isocentre; voxel (0, 0, 0) is at the origin.
    """

    def __init__(
        self,
        mu: Float[Tensor, "x y z"],
        spacing_mm: tuple[float, float, float],
        center_mm: tuple[float, float, float],
    ) -> None:
        self._mu = mu
        self._spacing = np.array(spacing_mm, np.float64)
        self._center = np.array(center_mm, np.float64)
        self._planes: dict[int, Tensor] = {}

    def __call__(self, view: View, *, size: int, field_mm: float) -> Float[Tensor, "size size"]:
        """The radiograph of a view.

        Args:
            view: The view.
            size: Pixels on the side of the square detector.
            field_mm: Its side.
        """
        toward = detector_axis(view)
        # The planes that cut the central ray into the shortest pieces.
        across = int(np.argmax(np.abs(toward) / self._spacing))
        planes = self._stack(across)
        right, down = image_axes(view)
        place = (np.arange(size) - (size - 1) / 2) * field_mm / size
        rays = (
            view.source_detector_mm * toward
            + place[:, None, None] * down
            + place[None, :, None] * right
        )
        # In a volume's own millimetres the tube is at `tube`; after s of a ray at tube + s ray.
        tube = tube_position_mm(view) + self._center
        # grid_sample takes columns first; both axes of a plane keep the volume's order.
        inside = [axis for axis in (2, 1, 0) if axis != across]
        slope = rays[..., inside] / rays[..., across, None]
        first = tube[inside] - tube[across] * slope
        counts = np.array(self._mu.shape)[inside]
        # Voxel v of n is at (2 v + 1) / n - 1 (corners not aligned).
        to_grid = 2.0 / (counts * self._spacing[inside])
        start = torch.from_numpy(first * to_grid + 1.0 / counts - 1.0).float()[None]
        step = torch.from_numpy(slope * to_grid * self._spacing[across]).float()[None]
        # Where a ray ends, at the detector, in planes; and which way it runs through them.
        forward = float(np.sign(toward[across]))
        begin = float(tube[across] / self._spacing[across])
        end = torch.from_numpy(begin + rays[..., across] / self._spacing[across]).float()
        middle = slope[size // 2, size // 2] * self._spacing[across] / self._spacing[inside]
        halves = bool(np.abs(middle).max() > _STEEP)
        image = torch.zeros(size, size)
        grid = torch.empty_like(start)
        for at, plane, weight in _samples(planes, halves=halves):
            room = (end - at) * forward * (2.0 if halves else 1.0)
            if room.max() <= -1.0 or (at - begin) * forward < 0:
                continue
            torch.add(start, step, alpha=at, out=grid)
            line = F.grid_sample(plane[None, None], grid, align_corners=False)[0, 0]
            image.add_(line if room.min() >= 1.0 else line * _share_before(room), alpha=weight)
        piece_mm = self._spacing[across] * np.linalg.norm(rays, axis=-1) / abs(rays[..., across])
        return image * torch.from_numpy(piece_mm).float()

    def _stack(self, across: int) -> Float[Tensor, "planes rows columns"]:
        if across not in self._planes:
            self._planes[across] = self._mu.movedim(across, 0).contiguous()
        return self._planes[across]


def _samples(
    planes: Float[Tensor, "planes rows columns"], *, halves: bool
) -> Iterator[tuple[float, Float[Tensor, "rows columns"], float]]:
    """(position in planes, plane, weight) of what is not empty.

    Args:
        planes: Of the volume.
        halves: Also half-way between the planes, with Simpson's weights: what lies between two
            planes is then as smooth as interpolation in space makes it.
    """
    filled = set(torch.nonzero(planes.flatten(1).any(dim=1))[:, 0].tolist())
    nothing = torch.zeros_like(planes[0])
    for index in sorted(filled | {index - 1 for index in filled if halves}):
        if index in filled:
            yield float(index), planes[index], 1 / 3 if halves else 1.0
        if halves:
            before = planes[index] if index in filled else nothing
            after = planes[index + 1] if index + 1 in filled else nothing
            yield index + 0.5, (before + after) / 2, 2 / 3


def _share_before(room: Float[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    """Share of a plane's matter, spread linearly to its neighbours, on the tube's side of a point.

    Args:
        room: From the plane to the point, in pitches of the planes.
    """
    u = room.clamp(-1.0, 1.0)
    return torch.where(u < 0, (1 + u) ** 2 / 2, 1 - (1 - u) ** 2 / 2)
