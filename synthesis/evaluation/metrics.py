"""Scores of synthesized views against true ones, one number a view.

Images are stacks (views, h, w); every function says on which scale it works.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

__all__ = [
    "BAND",
    "mae",
    "minmax",
    "psnr_db",
    "seam_score",
    "spectral_ratio",
    "ssim",
]

BAND: Final = (0.25, 0.5)
"""Of the spectral ratio, in parts of the Nyquist frequency: edges of ribs and vessels."""

_WINDOW: Final = 11
_SIGMA: Final = 1.5


def mae(
    images: Float[Tensor, "views h w"], truth: Float[Tensor, "views h w"]
) -> Float[Tensor, " views"]:
    """Mean absolute error, in the unit of the images."""
    return (images.double() - truth.double()).abs().mean(dim=(1, 2))


def psnr_db(
    images: Float[Tensor, "views h w"], truth: Float[Tensor, "views h w"], *, data_range: float
) -> Float[Tensor, " views"]:
    """Peak signal-to-noise ratio; infinite where the images are equal.

    Args:
        images: What was made.
        truth: What should have come out.
        data_range: The peak: the whole range that values may take, not what they happen to.
    """
    error = (images.double() - truth.double()).square().mean(dim=(1, 2))
    return 10.0 * torch.log10(data_range**2 / error)


def ssim(
    images: Float[Tensor, "views h w"], truth: Float[Tensor, "views h w"], *, data_range: float
) -> Float[Tensor, " views"]:
    """Structural similarity (Wang et al. 2004, doi 10.1109/TIP.2003.819861).

    Gaussian window of 11 x 11 pixels, sigma 1.5, K1 0.01, K2 0.03; the mean over a window about
    every pixel, the image mirrored at its borders, as torchmetrics does it.

    Args:
        images: What was made, at least 11 x 11.
        truth: What should have come out.
        data_range: As in `psnr_db`.
    """
    x, y = images.double()[:, None], truth.double()[:, None]
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    mean_x, mean_y = _blurred(x), _blurred(y)
    var_x = _blurred(x * x) - mean_x**2
    var_y = _blurred(y * y) - mean_y**2
    covariance = _blurred(x * y) - mean_x * mean_y
    likeness = ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
        (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    )
    return likeness.mean(dim=(1, 2, 3))


def _blurred(x: Float[Tensor, "views 1 h w"]) -> Float[Tensor, "views 1 h w"]:
    offsets = torch.arange(_WINDOW, dtype=x.dtype, device=x.device) - _WINDOW // 2
    kernel = torch.exp(-(offsets**2) / (2 * _SIGMA**2))
    kernel = kernel / kernel.sum()
    x = F.pad(x, (_WINDOW // 2,) * 4, mode="reflect")
    return F.conv2d(F.conv2d(x, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))


def minmax(images: Float[Tensor, "views h w"]) -> Float[Tensor, "views h w"]:
    """Each view stretched to [0, 1] by itself, as SV-DRR scores (arXiv 2507.05148)."""
    low, high = images.amin(dim=(1, 2), keepdim=True), images.amax(dim=(1, 2), keepdim=True)
    return (images - low) / (high - low).clamp_min(1e-12)


def spectral_ratio(
    images: Float[Tensor, "views h w"], truth: Float[Tensor, "views h w"]
) -> Float[Tensor, " views"]:
    """Power of the image over power of the truth in `BAND`: under 1 is blur, over 1 is noise.

    A Hann window keeps the jump from one border of the image to the opposite out of the spectrum.
    """
    return _band_power(images) / _band_power(truth)


def _band_power(images: Float[Tensor, "views h w"]) -> Float[Tensor, " views"]:
    x = images.double()
    x = x - x.mean(dim=(1, 2), keepdim=True)
    height, width = x.shape[1:]
    rows = torch.hann_window(height, periodic=False, dtype=x.dtype, device=x.device)
    columns = torch.hann_window(width, periodic=False, dtype=x.dtype, device=x.device)
    power = torch.fft.fft2(x * rows[:, None] * columns).abs().square()
    vertical = torch.fft.fftfreq(height, d=0.5, device=x.device)[:, None]  # 1 = Nyquist
    horizontal = torch.fft.fftfreq(width, d=0.5, device=x.device)
    radius = torch.hypot(vertical, horizontal)
    band: Tensor = power * ((radius >= BAND[0]) & (radius <= BAND[1]))
    return band.sum(dim=(1, 2))


def seam_score(images: Float[Tensor, "views h w"], patch: int) -> Float[Tensor, " views"]:
    """Mean absolute step across the borders of patches over that inside; without seams 1.

    Args:
        images: Views on any scale.
        patch: Side of the square patches, the first at the upper left corner; at 1 the score is
            NaN, as there is no inside.
    """
    if patch < 2:
        return torch.full((len(images),), math.nan, dtype=torch.float64)
    x = images.double()
    across = inside = torch.zeros((), dtype=torch.float64, device=x.device)
    count_across = count_inside = 0
    for axis in (1, 2):
        steps = x.diff(dim=axis).abs()
        border = (torch.arange(steps.shape[axis], device=x.device) + 1) % patch == 0
        other = 3 - axis
        lines = steps.mean(dim=other)  # (views, steps)
        across = across + lines[:, border].sum(dim=1)
        inside = inside + lines[:, ~border].sum(dim=1)
        count_across += int(border.sum())
        count_inside += int((~border).sum())
    return (across / count_across) / (inside / count_inside).clamp_min(1e-12)
