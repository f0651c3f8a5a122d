"""A first guess of another view: the source smeared through the body's depth, projected again.

Back-project a frontal image along its (nearly parallel) rays into a body whose matter lies mostly
in the middle, and project that from elsewhere. In closed form every axis is one matrix: pixels
shrink by the cosine of the turn and blur by the body's profile as wide as it looks from there. The
guess equals the source at 0 degrees, conserves matter and, but for a little softness that keeps
ribs from becoming stripes, each row's sum (Helgason and Ludwig's zeroth condition, for a turn about
the long axis), and at 90 degrees knows just that sum: a sound start. The profile ends softly, so
that it leaves no edges to be undone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

__all__ = ["DEPTH_MM", "SOFTNESS_MM", "slab_guess", "slab_matrix"]

DEPTH_MM: Final = 330.0
"""Depth at which the profile has fallen to nothing; its standard deviation, 62 mm, is that of a
round bar of 250 mm, an adult chest from skin to skin."""

SOFTNESS_MM: Final = 40.0
"""Likewise of the blur along the long axis at a turn of 90 degrees about it."""

_LEAST: Final = 1e-6
"""Least width of a box or profile in pixels, so that no quotient is 0 / 0."""


def slab_matrix(
    turn_rad: Float[Tensor, " batch"],
    size: int,
    pitch_mm: Float[Tensor, " batch"],
    blur_mm: Float[Tensor, " batch"],
) -> Float[Tensor, "batch size size"]:
    """Weights (target pixel, source pixel) of the re-projection along one axis.

    Args:
        turn_rad: By how much the onlooker turned about the other axis.
        size: Pixels along the axis.
        pitch_mm: Pixel pitch at the isocentre.
        blur_mm: Width of the profile that one source pixel spreads over.
    """
    pixel = torch.arange(size, dtype=torch.float64, device=turn_rad.device) - (size - 1) / 2
    cosine = torch.cos(turn_rad.double())[:, None, None]
    # In units of pixels: a source pixel becomes a box about its new place, blurred by the profile.
    box = cosine.abs().clamp_min(_LEAST)
    radius = (blur_mm.double() / 2 / pitch_mm.double())[:, None, None].clamp_min(_LEAST)
    offset = pixel[None, :, None] - pixel[None, None, :] * cosine
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
    """Second antiderivative of the biweight profile ``15 / 16 (1 - u^2)^2``, of unit mass."""
    u = (x / radius).clamp(-1.0, 1.0)
    inside = 0.15625 + u / 2 + 0.9375 * u**2 * (1 / 2 - u**2 / 6 + u**4 / 30)
    return radius * inside + (x - radius).clamp_min(0.0)


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
    sideways, tilted = torch.sin(azimuth_rad).abs(), torch.sin(elevation_rad).abs()
    across = slab_matrix(azimuth_rad, source.shape[-1], pitch_mm, DEPTH_MM * sideways)
    soft = torch.hypot(DEPTH_MM * tilted, SOFTNESS_MM * sideways)
    along = slab_matrix(elevation_rad, source.shape[-2], pitch_mm, soft)
    matter = (source[:, 0] + 1) / 2
    return (along @ matter @ across.transpose(1, 2))[:, None] * 2 - 1
