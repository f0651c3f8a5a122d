"""A body of ellipsoids, whose radiographs have a closed form.

The projector is proven against it, and tests train on it: it needs no patient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from synthesis.data.volumes import MU_BONE_PER_MM, MU_WATER_PER_MM, Volume
from synthesis.geometry import detector_axis, image_axes, tube_position_mm
from synthesis.types import FIELD_MM

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from synthesis.types import View

__all__ = ["Ellipsoid", "Phantom", "chest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ellipsoid:
    """Matter with its axes along the patient's.

    Attributes:
        center_mm: In patient axes (LPS), from the isocentre.
        semi_axes_mm: Along x, y, z.
        mu_per_mm: Attenuation that it adds to what it lies in; negative for a hollow.
    """

    center_mm: tuple[float, float, float]
    semi_axes_mm: tuple[float, float, float]
    mu_per_mm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Phantom:
    """Ellipsoids whose attenuations add up."""

    parts: tuple[Ellipsoid, ...]

    def line_integrals(
        self, view: View, *, size: int, field_mm: float = FIELD_MM
    ) -> NDArray[np.float64]:
        """The radiograph of a view, exactly: (size, size), rays through the pixels' middles."""
        tube, axis = tube_position_mm(view), detector_axis(view)
        right, down = image_axes(view)
        place = (np.arange(size) - (size - 1) / 2) * field_mm / size
        rays = (
            view.source_detector_mm * axis
            + place[:, None, None] * down
            + place[None, :, None] * right
        )
        rays = rays / np.linalg.norm(rays, axis=-1, keepdims=True)
        image = np.zeros((size, size))
        for part in self.parts:
            image += part.mu_per_mm * _chords_mm(part, tube, rays)
        return image

    def attenuation(
        self, shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], *, fine: int = 2
    ) -> NDArray[np.float32]:
        """The same matter in voxels, the isocentre in the middle of the box.

        Args:
            shape: Voxels along x, y, z.
            spacing_mm: Their pitch.
            fine: Points a side at which a voxel is sampled; its value is their mean.
        """
        axes = [
            ((np.arange(n * fine) + 0.5) / fine - n / 2) * pitch
            for n, pitch in zip(shape, spacing_mm, strict=True)
        ]
        mu = np.zeros([n * fine for n in shape], np.float32)
        for part in self.parts:
            x, y, z = (
                ((along - c) / a) ** 2
                for along, c, a in zip(axes, part.center_mm, part.semi_axes_mm, strict=True)
            )
            mu[x[:, None, None] + y[:, None] + z <= 1.0] += part.mu_per_mm
        split = [size for n in shape for size in (n, fine)]
        voxels: NDArray[np.float32] = mu.reshape(split).mean(axis=(1, 3, 5), dtype=np.float32)
        return voxels

    def volume(
        self,
        shape: tuple[int, int, int],
        spacing_mm: tuple[float, float, float],
        *,
        name: str = "phantom",
    ) -> Volume:
        """A CT of it: the Hounsfield units that `volumes.attenuation` turns into its matter."""
        mu = self.attenuation(shape, spacing_mm)
        soft = (mu / MU_WATER_PER_MM - 1.0) * 1000.0
        hard = (mu - MU_WATER_PER_MM) / (MU_BONE_PER_MM - MU_WATER_PER_MM) * 1000.0
        hu = np.where(mu <= MU_WATER_PER_MM, soft, hard).astype(np.float32)
        return Volume(hu=hu, spacing_mm=spacing_mm, name=name)


def _chords_mm(
    part: Ellipsoid, tube: NDArray[np.float64], rays: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Length of each ray inside, (size, size): the ellipsoid scaled to the unit ball."""
    axes = np.array(part.semi_axes_mm)
    start, direction = (tube - np.array(part.center_mm)) / axes, rays / axes
    a = (direction**2).sum(axis=-1)
    b = direction @ start
    c = start @ start - 1.0
    chords: NDArray[np.float64] = 2.0 * np.sqrt(np.maximum(b * b - a * c, 0.0)) / a
    return chords


def chest(*, size: float = 1.0, heart: float = 1.0) -> Phantom:
    """A chest: soft body, two lungs, the heart to the left and front, the spine at the back.

    Args:
        size: Of everything, 1 = an adult of 320 x 210 mm.
        heart: Of the heart alone.
    """
    water = MU_WATER_PER_MM

    def part(
        center: tuple[float, float, float], axes: tuple[float, float, float], mu: float
    ) -> Ellipsoid:
        x, y, z = (size * value for value in center)
        a, b, c = (size * value for value in axes)
        return Ellipsoid(center_mm=(x, y, z), semi_axes_mm=(a, b, c), mu_per_mm=mu)

    h = heart
    return Phantom(
        parts=(
            part((0.0, 0.0, 0.0), (160.0, 105.0, 190.0), water),
            part((75.0, 0.0, 20.0), (55.0, 75.0, 110.0), -0.75 * water),
            part((-75.0, 0.0, 20.0), (55.0, 75.0, 110.0), -0.75 * water),
            part((25.0, -35.0, -25.0), (48.0 * h, 40.0 * h, 55.0 * h), 0.4 * water),
            part((0.0, 65.0, 0.0), (18.0, 18.0, 170.0), 0.8 * (MU_BONE_PER_MM - water)),
        )
    )
