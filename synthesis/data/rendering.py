"""Digitally reconstructed radiographs: cone-beam line integrals by nanodrr.

The image of a view is the line integral of attenuation (no exponential), on one fixed scale for
every view of a patient: `SCALE`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from synthesis.geometry import detector_axis, image_axes, tube_position_mm
from synthesis.types import FIELD_MM, IntensityScale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float
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
        from nanodrr.data import Subject

        volume = torch.as_tensor(mu, dtype=torch.float32)
        shape = volume.shape
        if center_mm is None:
            center_mm = tuple((n - 1) / 2 * s for n, s in zip(shape, spacing_mm, strict=True))  # type: ignore[assignment]
        assert center_mm is not None
        voxel_to_patient = torch.diag(torch.tensor([*spacing_mm, 1.0], dtype=torch.float64))
        voxel_to_patient[:3, 3] = -torch.tensor(center_mm, dtype=torch.float64)
        # grid_sample without corner alignment: the middle of voxel v of n is at (2 v + 1) / n - 1.
        voxel_to_grid = torch.diag(
            torch.tensor([2.0 / n for n in shape] + [1.0], dtype=torch.float64)
        )
        voxel_to_grid[:3, 3] = torch.tensor([1.0 / n - 1.0 for n in shape])
        data = volume.permute(2, 1, 0)[None, None].contiguous()
        self._subject = Subject(
            data,
            torch.zeros(1, 1, 1, 1, 1),
            voxel_to_patient.float(),
            voxel_to_patient.inverse().float(),
            voxel_to_grid.float(),
            torch.zeros(3),
            max_label=0,
            convert_to_mu=False,
        )
        self._finest_mm = min(spacing_mm)
        self._reach_mm = float(
            np.linalg.norm([n * s for n, s in zip(shape, spacing_mm, strict=True)])
        )

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
            step_mm: Distance between samples along a ray; left out, the finest voxel pitch.

        Returns:
            float32; use `SCALE` to bring it to the model's range.
        """
        from nanodrr.camera import make_k_inv
        from nanodrr.drr.renderer import render

        step = step_mm or self._finest_mm
        # nanodrr spreads its samples over the part of each ray inside the volume; rays run almost
        # along an axis, so half the diagonal is the longest that matters for the step asked for.
        samples = max(32, int(0.6 * self._reach_mm / step))
        images = []
        for view in views:
            k_inv = make_k_inv(
                view.source_detector_mm, field_mm / size, field_mm / size, 0.0, 0.0, size, size
            )
            pose = torch.from_numpy(camera_to_patient(view)).float()[None]
            with torch.no_grad():
                image = render(
                    self._subject,
                    k_inv,
                    pose,
                    torch.tensor([view.source_detector_mm]),
                    size,
                    size,
                    samples,
                )
            images.append(image[0, 0])
        return torch.stack(images)
