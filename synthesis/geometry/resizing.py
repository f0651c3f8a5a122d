"""An image at another number of pixels, with all the detail it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

__all__ = ["resized"]

_LOBES: Final = 4
"""Of the window on each side. With cubic pieces three tenths of the power near the finest detail
were lost on the way from 256 to 512 pixels."""


def resized(images: Float[Tensor, "b 1 h h"], side: int) -> Float[Tensor, "b 1 side side"]:
    """Square images at another side: means of what a pixel covers, or Lanczos between pixels.

    Args:
        images: Of any content.
        side: Wanted, in pixels.
    """
    have = images.shape[-1]
    if have == side:
        return images
    if have > side:
        return F.interpolate(images, size=(side, side), mode="area")
    between = _lanczos(have, side).to(images)
    return between @ images @ between.T


def _lanczos(have: int, side: int) -> Float[Tensor, "side have"]:
    """Weights of the old pixels in each new one; beyond its border an image goes on as it ends."""
    place = (torch.arange(side, dtype=torch.float64) + 0.5) * have / side - 0.5
    first = torch.floor(place).long() - _LOBES + 1
    taken = first[:, None] + torch.arange(2 * _LOBES)  # (side, taps)
    away = place[:, None] - taken
    weights = torch.sinc(away) * torch.sinc(away / _LOBES) * (away.abs() < _LOBES)
    weights = weights / weights.sum(dim=1, keepdim=True)
    matrix = torch.zeros(side, have, dtype=torch.float64)
    return matrix.scatter_add_(1, taken.clamp(0, have - 1), weights).float()
