"""Digitally reconstructed radiographs: cone-beam line integrals.

The image of a view is the line integral of attenuation (no exponential), on one fixed scale for
every view of a patient: `SCALE`. Two projectors give it: `projecting`, which is fast, and nanodrr,
the reference it is proven against.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from synthesis.data.projecting import PlaneProjector
from synthesis.geometry import detector_axis, image_axes, tube_position_mm
from synthesis.types import FIELD_MM, IntensityScale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float
    from nanodrr.data import Subject
    from numpy.typing import NDArray
    from torch import Tensor

    from synthesis.types import View

__all__ = ["SCALE", "Renderer", "camera_to_patient"]

SCALE: Final = IntensityScale(low=0.0, high=10.0)
"""The fixed scale of every rendered view: 10 is 520 mm of water, denser than any lateral."""


def camera_to_patient(view: View) -> NDArray[np.float64]:
    """(4, 4): columns are the image's right, down and depth axes and the focal spot, in mm."""
    right, down = image_axes(view)
    matrix = np.eye(4)
    matrix[:3, 0], matrix[:3, 1], matrix[:3, 2] = right, down, detector_axis(view)
    matrix[:3, 3] = tube_position_mm(view)
    return matrix


class Renderer:
    """Radiographs of one attenuation volume.

    Args:
        mu: float32 (x, y, z) attenuation per mm, patient axes (LPS).
        spacing_mm: Voxel pitch along x, y, z.
        center_mm: Position of the isocentre in the volume's own millimetres (voxel (0, 0, 0) is at
            the origin); left out, the middle of the volume.
    """

    def __init__(
        self,
        mu: NDArray[np.float32] | Tensor,
        spacing_mm: tuple[float, float, float],
        center_mm: tuple[float, float, float] | None = None,
    ) -> None:
        volume = torch.as_tensor(mu, dtype=torch.float32)
        if center_mm is None:
            x, y, z = ((n - 1) / 2 * s for n, s in zip(volume.shape, spacing_mm, strict=True))
            center_mm = x, y, z
        self._mu, self._spacing_mm, self._center_mm = volume, spacing_mm, center_mm
        self._project = PlaneProjector(volume, spacing_mm, center_mm)

    def render(
        self,
        views: Sequence[View],
        *,
        size: int,
        field_mm: float = FIELD_MM,
        step_mm: float | None = None,
    ) -> Float[Tensor, "views size size"]:
        """Line integrals of attenuation, one image a view.

        Args:
            views: The views.
            size: Pixels on the side of the square detector.
            field_mm: Its side.
            step_mm: Distance between samples along a ray of nanodrr's, the reference; left out, the
                fast projector of `projecting`.

        Returns:
            float32; use `SCALE` to bring it to the model's range.
        """
        if step_mm is not None:
            return self._marched(views, size=size, field_mm=field_mm, step_mm=step_mm)
        return torch.stack([self._project(view, size=size, field_mm=field_mm) for view in views])

    def _marched(
        self, views: Sequence[View], *, size: int, field_mm: float, step_mm: float
    ) -> Float[Tensor, "views size size"]:
        from nanodrr.camera import make_k_inv
        from nanodrr.drr.renderer import render

        # nanodrr spreads its samples over the part of each ray inside the volume; rays run almost
        # along an axis, so half the diagonal is the longest that matters for the step asked for.
        sides_mm = np.array(self._mu.shape) * np.array(self._spacing_mm)
        samples = max(32, int(0.6 * float(np.linalg.norm(sides_mm)) / step_mm))
        subject = self._subject()
        images = []
        for view in views:
            k_inv = make_k_inv(
                view.source_detector_mm, field_mm / size, field_mm / size, 0.0, 0.0, size, size
            )
            pose = torch.from_numpy(camera_to_patient(view)).float()[None]
            distance = torch.tensor([view.source_detector_mm])
            with torch.no_grad():
                image = render(subject, k_inv, pose, distance, size, size, samples)
            images.append(image[0, 0])
        return torch.stack(images)

    def _subject(self) -> Subject:
        from nanodrr.data import Subject

        voxel_to_patient = torch.diag(torch.tensor([*self._spacing_mm, 1.0], dtype=torch.float64))
        voxel_to_patient[:3, 3] = -torch.tensor(self._center_mm, dtype=torch.float64)
        # grid_sample without corner alignment: the middle of voxel v of n is at (2 v + 1) / n - 1.
        voxel_to_grid = torch.diag(
            torch.tensor([2.0 / n for n in self._mu.shape] + [1.0], dtype=torch.float64)
        )
        voxel_to_grid[:3, 3] = torch.tensor([1.0 / n - 1.0 for n in self._mu.shape])
        return Subject(
            self._mu.permute(2, 1, 0)[None, None].contiguous(),
            torch.zeros(1, 1, 1, 1, 1),
            voxel_to_patient.float(),
            voxel_to_patient.inverse().float(),
            voxel_to_grid.float(),
            torch.zeros(3),
            max_label=0,
            convert_to_mu=False,
        )
