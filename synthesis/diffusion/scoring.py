"""The energy score: a loss that is least when samples come from the right distribution.

For a truth x and two independent samples a, b of a model it is
``(|a - x| + |b - x|) / 2 - |a - b| / 2`` with the Euclidean norm; its mean is least where the model
is the distribution of x (Gneiting and Raftery 2007, doi 10.1198/016214506000001437, eq. 22). The
first part pulls samples to the truth, the second keeps them apart: without it they would all be the
median, a blur.

Of a whole image the norm would see little but what is coarse, so it is taken of windows of parts:
scores of fixed linear parts of an image, summed, are a score again.

Where it cannot be known how strong the detail of a window is, a network that draws the same
strength everywhere scores best with less than the mean power (norms count a strong window for less
than its power). `power_mismatch` asks for the power itself, band by band.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
import torch.nn.functional as F

from synthesis.geometry.bands import BANDS, band_powers, blurred

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

__all__ = ["energy_score", "power_mismatch"]

_PARTS: Final = ((0.5, 2.0), (0.25, 1.0), (0.0, 0.5))
"""From coarse to fine: the blur that takes the part out of what is left, in sigmas (0: the rest
is the part), and the side of the windows, in cells."""

_FLOOR: Final = 1e-6
"""Added to powers, so that of nothing there is a logarithm."""


def energy_score(
    truth: Float[Tensor, "b 1 h w"],
    first: Float[Tensor, "b 1 h w"],
    second: Float[Tensor, "b 1 h w"],
    *,
    cell: int,
    sigma: float,
) -> Float[Tensor, ""]:
    """Mean energy score over windows of three frequency bands, each in units of the truth's.

    Args:
        truth: Detail as it was.
        first: A sample.
        second: Another, independent given what both are drawn from.
        cell: Side of the model's cells in pixels.
        sigma: Of the blur that parted image and detail, in pixels.
    """
    stack = torch.cat([truth, first, second], dim=1)
    count = len(truth)
    rest = stack.flatten(0, 1)[:, None]
    total = truth.new_zeros(())
    for next_blur, window in _PARTS:
        finer = rest - blurred(rest, next_blur * sigma) if next_blur else torch.zeros_like(rest)
        part, rest = rest - finer, finer
        x, a, b = part.view(count, 3, *part.shape[2:]).unbind(1)
        side = max(1, round(window * cell))
        unit = _norms(x, side).detach().mean().clamp_min(1e-6)
        score = (_norms(a - x, side) + _norms(b - x, side) - _norms(a - b, side)) / 2
        total = total + score.mean() / unit
    return total / len(_PARTS)


def _norms(images: Float[Tensor, "b h w"], side: int) -> Float[Tensor, "b 1 rows columns"]:
    """Root mean square of square windows that overlap by half."""
    power = F.avg_pool2d(images.square()[:, None], side, stride=max(1, side // 2))
    return (power + 1e-8).sqrt()


def power_mismatch(
    truth: Float[Tensor, "b 1 h w"],
    samples: Float[Tensor, "samples 1 h w"],
    *,
    sigma: float,
) -> Float[Tensor, ""]:
    """Mean squared logarithm of the samples' power over the truth's, in bands of frequency.

    Args:
        truth: Detail as it was.
        samples: As many of each truth as of any other, one after the other.
        sigma: Of the blur that parted image and detail, in pixels.
    """
    power = band_powers(samples, sigma).view(len(truth), -1, BANDS) + _FLOOR
    true = band_powers(truth, sigma)[:, None] + _FLOOR
    return torch.log(power / true).square().mean()
