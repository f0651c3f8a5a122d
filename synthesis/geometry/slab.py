"""A first guess of another view: the source smeared through a slab and projected again.

Back-project a frontal image along its (nearly parallel) rays into a slab as thick as a body and
project the slab from elsewhere. In closed form every axis is one matrix: pixels shrink by the
cosine of the turn and blur by a box as wide as the slab looks from there. The guess equals the
source at 0 degrees, conserves what Helgason and Ludwig's zeroth condition conserves (each row's
sum, for a turn about the long axis), and at 90 degrees knows just that sum: a sound start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

__all__ = ["SLAB_MM", "slab_guess", "slab_matrix"]

SLAB_MM: Final = 220.0
"""Thickness of the slab: an adult chest from front to back."""


def slab_matrix(
    turn_rad: Float[Tensor, " batch"], size: int, pitch_mm: Float[Tensor, " batch"]
) -> Float[Tensor, "batch size size"]:
    """Weights (target pixel, source pixel) of the re-projection along one axis.

    Args:
        turn_rad: By how much the onlooker turned about the other axis.
        size: Pixels along the axis.
        pitch_mm: Pixel pitch at the isocentre.
    """
    pixel = torch.arange(size, dtype=torch.float32) - (size - 1) / 2
    cosine, sine = torch.cos(turn_rad)[:, None, None], torch.sin(turn_rad)[:, None, None]
    # In units of pixels: a source pixel becomes a box of this width about its new place.
    width = cosine.abs() + sine.abs() * SLAB_MM / pitch_mm[:, None, None]
    middle = pixel[None, None, :] * cosine
    edge = pixel[None, :, None]
    overlap = torch.minimum(edge + 0.5, middle + width / 2) - torch.maximum(
        edge - 0.5, middle - width / 2
    )
    return overlap.clamp_min(0.0) / width


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
