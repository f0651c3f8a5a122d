"""Variations: of the anatomy before rendering, of the appearance after it (METHOD: training data).

Every function takes its random generator; nothing here draws from a global one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
import torch.nn.functional as F

from synthesis.data.volumes import AIR_HU, Volume
from synthesis.data.warping import node_positions, resampled
from synthesis.types import FRONTAL_DENSE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float
    from torch import Tensor

    from synthesis.types import View

__all__ = [
    "LEVEL_DEG",
    "Anatomy",
    "body_variation",
    "draw_anatomy",
    "extended",
    "tone_curve",
    "warped",
]

LEVEL_DEG: Final = 8.0
"""Views tilted by less than this turn about the long axis alone, near enough."""


_NODES: Final = 24
"""Along each axis, of the map of an elastic warp."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anatomy:
    """One variation of a patient.

    Attributes:
        scale: Size along x, y, z relative to the patient.
        rotation_deg: Small turns about x, y, z.
        shift_mm: Standard deviation of the smooth elastic displacement.
        mirrored: Left and right exchanged.
        lung: Factor on the density of lung (1 = as scanned).
        bone: Factor on bone's attenuation beyond water.
        seed: Of the elastic field.
    """

    scale: tuple[float, float, float]
    rotation_deg: tuple[float, float, float]
    shift_mm: float
    mirrored: bool
    lung: float
    bone: float
    seed: int

    @property
    def exact(self) -> bool:
        """Whether no voxel has to be resampled for it, which would blur it."""
        return self.shift_mm == 0.0 and not any(self.rotation_deg)


def draw_anatomy(
    rng: np.random.Generator, *, identity: bool = False, exact: bool = False
) -> Anatomy:
    """A random variation; ``identity`` gives the patient as scanned, ``exact`` one that is."""
    if identity:
        return Anatomy(
            scale=(1.0, 1.0, 1.0),
            rotation_deg=(0.0, 0.0, 0.0),
            shift_mm=0.0,
            mirrored=False,
            lung=1.0,
            bone=1.0,
            seed=0,
        )
    size = rng.uniform(0.92, 1.08)
    scale = tuple(float(size * rng.uniform(0.88, 1.12)) for _ in range(3))
    turns = tuple(float(a) for a in rng.normal(0.0, [3.0, 2.0, 2.0]))
    shift_mm = float(rng.uniform(3.0, 15.0))
    return Anatomy(
        scale=(scale[0], scale[1], scale[2]),
        rotation_deg=(0.0, 0.0, 0.0) if exact else (turns[0], turns[1], turns[2]),
        shift_mm=0.0 if exact else shift_mm,
        mirrored=bool(rng.random() < 0.5),
        lung=float(rng.uniform(0.6, 1.5)),
        bone=float(rng.uniform(0.7, 1.4)),
        seed=int(rng.integers(2**31)),
    )


def warped(volume: Volume, anatomy: Anatomy) -> Volume:
    """The volume as another patient, its box scaled with the body.

    An exact variation keeps the voxels and changes their spacing; others are resampled at the same
    spacing.
    """
    hu = torch.from_numpy(np.ascontiguousarray(volume.hu))
    if anatomy.mirrored:
        hu = hu.flip(0)
    x, y, z = volume.spacing_mm
    if anatomy.exact:
        x, y, z = (s * pitch for s, pitch in zip(anatomy.scale, (x, y, z), strict=True))
        out = hu
    else:
        nx, ny, nz = (int(n * s) for n, s in zip(volume.hu.shape, anatomy.scale, strict=True))
        out = _sampled(hu, volume.spacing_mm, (nx, ny, nz), anatomy)
    # Lung is what lies well between air and fat; its density varies with breath and disease.
    lung = torch.where((out < -400.0) & (out > -990.0), (out + 1000.0) * anatomy.lung - 1000.0, out)
    return Volume(hu=lung.clamp(AIR_HU, 3071.0).numpy(), spacing_mm=(x, y, z), name=volume.name)


def _sampled(
    hu: Float[Tensor, "x y z"],
    spacing_mm: tuple[float, float, float],
    shape: tuple[int, int, int],
    anatomy: Anatomy,
) -> Float[Tensor, "x2 y2 z2"]:
    # Positions run over [-1, 1] of the new box, which by its size already holds the scaling.
    angles = torch.deg2rad(torch.tensor(anatomy.rotation_deg))
    rotation = torch.eye(3)
    for axis, angle in enumerate(angles):
        a, b = [i for i in range(3) if i != axis]
        turn = torch.eye(3)
        turn[a, a] = turn[b, b] = torch.cos(angle)
        turn[a, b], turn[b, a] = -torch.sin(angle), torch.sin(angle)
        rotation = turn @ rotation
    half_mm = torch.tensor([n * s / 2 for n, s in zip(hu.shape, spacing_mm, strict=True)])
    turn_box = torch.diag(1 / half_mm) @ rotation @ torch.diag(half_mm)
    axes = [node_positions(count, _NODES) for count in shape]
    straight = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1) @ turn_box.T
    generator = torch.Generator().manual_seed(anatomy.seed)
    # Drawn along z, y, x.
    coarse = torch.randn(1, 3, 5, 5, 5, generator=generator).flip(1) * anatomy.shift_mm
    coarse = coarse / half_mm.view(1, 3, 1, 1, 1)
    smooth = F.interpolate(coarse, size=(_NODES,) * 3, mode="trilinear", align_corners=True)
    smooth = F.avg_pool3d(F.pad(smooth, (2,) * 6, mode="replicate"), 5, stride=1)
    return resampled(hu + 1000.0, shape, straight + smooth[0].permute(1, 2, 3, 0)) - 1000.0


def extended(volume: Volume, *, reach_mm: float) -> Volume:
    """The body continued beyond both ends of the scan by repeating its last slices.

    A CT ends where its scan did; a radiograph does not. Rendering both kinds teaches that the
    upper and lower border of an image may lie within the body.
    """
    count = round(reach_mm / volume.spacing_mm[2])
    return Volume(
        hu=np.pad(volume.hu, ((0, 0), (0, 0), (count, count)), mode="edge"),
        spacing_mm=volume.spacing_mm,
        name=volume.name,
    )


def body_variation(
    images: Float[Tensor, "views h w"], views: Sequence[View], rng: np.random.Generator
) -> tuple[Float[Tensor, "views h w"], list[View]]:
    """Another body from rendered views alone, the same body in each: cheap, so drawn every time.

    Line integrals of nearly parallel rays allow exactly: exchanging left and right; growing the
    whole body (path lengths grow with it); changing its density. Views that turn about the long
    axis alone also allow to stretch it unevenly along that axis.

    Args:
        images: Line integrals, centred on the axis of rotation.
        views: Of the images.
        rng: Of the draws.
    """
    count, height, width = images.shape
    if rng.random() < 0.5:
        images = images.flip(-1)
        views = [replace(view, primary_deg=-view.primary_deg) for view in views]
    size = float(np.exp(rng.normal(0.0, 0.06)))
    density = float(np.exp(rng.normal(0.0, 0.06)))
    rows = (torch.arange(height) + 0.5) / height * 2 - 1
    columns = (torch.arange(width) + 0.5) / width * 2 - 1
    rows, columns = rows / size, columns / size
    if all(abs(view.secondary_deg) < LEVEL_DEG for view in views):
        phase, cycles = rng.uniform(0.0, 2 * np.pi, 2), rng.uniform(0.4, 1.2, 2)
        reach = rng.normal(0.0, 0.03, 2)
        for p, c, r in zip(phase, cycles, reach, strict=True):
            rows = rows + float(r) * torch.sin(float(c) * np.pi * rows + float(p))
    down, across = torch.meshgrid(rows, columns, indexing="ij")
    grid = torch.stack([across, down], dim=-1)[None].expand(count, -1, -1, -1)
    # Cubic: linear interpolation takes a quarter of the finest detail's power.
    warped = F.grid_sample(
        images[:, None], grid, mode="bicubic", padding_mode="zeros", align_corners=False
    )
    return warped[:, 0].clamp_min(0.0) * (size * density), list(views)


def tone_curve(
    images: Float[Tensor, "groups views h w"],
    generator: torch.Generator,
    *,
    share: float = 0.5,
) -> Float[Tensor, "groups views h w"]:
    """A random monotone tone curve per group, the same for all its views.

    Radiographs for presentation went through a vendor's curve: gamma, a soft toe and shoulder, or
    the S of film (Hurter and Driffield). Images are on [-1, 1]; so is the result.

    Args:
        images: Views of one patient are one group; the first of each is the source.
        generator: Of the draws.
        share: Part of the groups that get a curve.
    """
    count = images.shape[0]

    def draw(low: float, high: float) -> Tensor:
        return torch.rand(count, 1, 1, 1, generator=generator) * (high - low) + low

    unit = ((images + 1) / 2).clamp_min(0.0)
    # Curves keep air and the source's densest parts where `IntensityScale.of_frontal` puts them.
    dense = torch.quantile(unit[:, 0].flatten(1), 0.995, dim=1).clamp_min(0.05).view(-1, 1, 1, 1)
    relative = unit / dense
    # A toe and a shoulder: x^a / (x^a + c (1 - x)) bends both ends and keeps 0 and 1; denser parts
    # of other views go on along the gamma alone.
    bend, gamma = draw(0.6, 1.6), draw(0.6, 1.6)
    inside = relative.clamp(1e-4, 1.0) ** gamma
    bent = inside / (inside + bend * (1 - inside))
    steep = draw(1.0, 6.0)
    film = torch.sigmoid(steep * (inside - 0.5)) - torch.sigmoid(-steep / 2)
    film = film / (torch.sigmoid(steep / 2) - torch.sigmoid(-steep / 2))
    curved = torch.where(torch.rand(count, 1, 1, 1, generator=generator) < 0.4, film, bent)
    curved = torch.where(relative > 1.0, relative ** gamma.clamp_max(1.0), curved)
    toned = curved * FRONTAL_DENSE * draw(0.88, 1.12)
    chosen = torch.rand(count, 1, 1, 1, generator=generator) < share
    return torch.where(chosen, toned * 2 - 1, images)
