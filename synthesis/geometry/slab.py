"""A first guess of another view: the source smeared through the body's depth, projected again.

Back-project a frontal image along its (nearly parallel) rays into a body whose matter lies at
depths like those of a round bar, and project that from elsewhere. In closed form every axis is one
matrix: pixels shrink by the cosine of the turn and blur by the bar's profile as wide as it looks
from there. The guess equals the source at 0 degrees, conserves what Helgason and Ludwig's zeroth
condition conserves (each row's sum, for a turn about the long axis), and at 90 degrees knows just
that sum: a sound start. Its profile ends softly, so that it leaves no edges to be undone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

__all__ = ["DEPTH_MM", "slab_guess", "slab_matrix"]

DEPTH_MM: Final = 250.0
"""Depth of the body: an adult chest from front to back, skin to skin."""

_LEAST: Final = 1e-6
"""Least width of a box or profile in pixels, so that no quotient is 0 / 0."""


def slab_matrix(
    turn_rad: Float[Tensor, " batch"], size: int, pitch_mm: Float[Tensor, " batch"]
) -> Float[Tensor, "batch size size"]:
    """Weights (target pixel, source pixel) of the re-projection along one axis.

    Args:
        turn_rad: By how much the onlooker turned about the other axis.
        size: Pixels along the axis.
        pitch_mm: Pixel pitch at the isocentre.
    """
    pixel = torch.arange(size, dtype=torch.float64, device=turn_rad.device) - (size - 1) / 2
    turn = turn_rad.double()[:, None, None]
    # In units of pixels: a source pixel becomes a box about its new place, blurred by the profile.
    box = torch.cos(turn).abs().clamp_min(_LEAST)
    radius = (torch.sin(turn).abs() * DEPTH_MM / 2 / pitch_mm.double()[:, None, None]).clamp_min(
        _LEAST
    )
    offset = pixel[None, :, None] - pixel[None, None, :] * torch.cos(turn)
    high, low = offset + 0.5, offset - 0.5
    mass = (
        _twice_integrated(high + box / 2, radius)
        - _twice_integrated(high - box / 2, radius)
        - _twice_integrated(low + box / 2, radius)
        + _twice_integrated(low - box / 2, radius)
    )
    return (mass / box).float()


def _twice_integrated(
    x: Float[Tensor, "batch size size"], radius: Float[Tensor, "batch 1 1"]
) -> Float[Tensor, "batch size size"]:
    """Second antiderivative of a semicircle of unit mass: 0 left of it, x right of it."""
    u = (x / radius).clamp(-1.0, 1.0)
    root = (1 - u * u).clamp_min(0.0).sqrt()
    inside = radius * (u / 2 + (u * torch.asin(u) + root - root**3 / 3) / torch.pi)
    return inside + (x - radius).clamp_min(0.0)


def slab_guess(
    source: Float[Tensor, "batch 1 h w"],
    azimuth_rad: Float[Tensor, " batch"],
    elevation_rad: Float[Tensor, " batch"],
    pitch_mm: Float[Tensor, " batch"],
) -> Float[Tensor, "batch 1 h w"]:
    """The guess for each target, on the source's scale, where -1 is air.

    Args:
        source: Images on [-1, 1].
        azimuth_rad: Turn about the long axis, onlooker to onlooker.
        elevation_rad: Difference of elevation.
        pitch_mm: Pixel pitch at the isocentre.
    """
    across = slab_matrix(azimuth_rad, source.shape[-1], pitch_mm)
    along = slab_matrix(elevation_rad, source.shape[-2], pitch_mm)
    matter = (source[:, 0] + 1) / 2
    return (along @ matter @ across.transpose(1, 2))[:, None] * 2 - 1
