"""Parting an image into coarse and fine by Gaussian blurs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

__all__ = ["BANDS", "band_powers", "blurred", "evened", "high_passed", "with_band_gains"]

BANDS: Final = 6
"""Of frequency, equally wide by octaves."""

_NARROW: Final = 2.0
_WIDE: Final = 10.0
"""Blurs that tell the strength at a place and around it, in those that part coarse and fine."""

_MOST: Final = 4.0
"""Greatest change of strength: where nothing is drawn, nothing comes out of it."""


def blurred(images: Float[Tensor, "b 1 h w"], sigma: float) -> Float[Tensor, "b 1 h w"]:
    """A Gaussian blur; beyond its border an image goes on as it ends.

    Args:
        images: Of any content.
        sigma: Standard deviation in pixels.
    """
    reach = math.ceil(3 * sigma)
    offsets = torch.arange(-reach, reach + 1, dtype=images.dtype, device=images.device)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    images = F.pad(images, (reach,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(images, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))


def high_passed(images: Float[Tensor, "b 1 h w"], sigma: float) -> Float[Tensor, "b 1 h w"]:
    """What the blur takes away."""
    return images - blurred(images, sigma)


def evened(images: Float[Tensor, "b 1 h w"], sigma: float) -> Float[Tensor, "b 1 h w"]:
    """Images whose strength changes gently from place to place, and is the same in all.

    Args:
        images: As of `band_powers`.
        sigma: As of `band_powers`.
    """
    power = images.square()
    here, around = blurred(power, _NARROW * sigma), blurred(power, _WIDE * sigma)
    gain = ((around + 1e-12) / (here + 1e-12)).sqrt().clamp_max(_MOST)
    return high_passed(images * gain, sigma)


def band_powers(images: Float[Tensor, "b 1 h w"], sigma: float) -> Float[Tensor, "b bands"]:
    """Power in bands of frequency, from the limit of a blur up to the Nyquist frequency.

    Args:
        images: What a blur has taken away (`high_passed`).
        sigma: Standard deviation of that blur in pixels.
    """
    height, width = images.shape[2:]
    window = torch.hann_window(height, device=images.device)[:, None]
    window = window * torch.hann_window(width, device=images.device)
    power = torch.fft.rfft2(images[:, 0].float() * window, norm="ortho").abs().square()
    place = _places(height, width, sigma).to(images.device)
    inside = torch.stack([(place >= band) & (place < band + 1) for band in range(BANDS)])
    return torch.einsum("bhw,khw->bk", power, inside.float())


def with_band_gains(
    images: Float[Tensor, "b 1 h w"], gains: Float[Tensor, "b bands"], sigma: float
) -> Float[Tensor, "b 1 h w"]:
    """Images whose bands are amplified, each by a factor; between their middles it changes gently.

    Args:
        images: As of `band_powers`.
        gains: Factors on amplitudes, positive.
        sigma: As of `band_powers`.
    """
    height, width = images.shape[2:]
    pad = math.ceil(4 * sigma)  # no farther does the filter reach
    images = F.pad(images, (pad,) * 4, mode="reflect")
    place = _places(height + 2 * pad, width + 2 * pad, sigma).to(images.device) - 0.5
    place = place.clamp(0.0, BANDS - 1.0)
    low = place.floor().clamp_max(BANDS - 2.0)
    logarithms = gains.log()
    below, above = logarithms[:, low.long()], logarithms[:, low.long() + 1]
    gain = torch.lerp(below, above, (place - low).expand_as(below)).exp()
    filtered: Tensor = torch.fft.irfft2(torch.fft.rfft2(images[:, 0]) * gain, s=images.shape[2:])
    return filtered[:, None, pad:-pad, pad:-pad]


def _places(height: int, width: int, sigma: float) -> Float[Tensor, "h w2"]:
    """Of a real transform's frequencies among the bands: 0 = the blur's limit, BANDS = Nyquist."""
    vertical = torch.fft.fftfreq(height, d=0.5)[:, None]  # 1 = Nyquist
    radius = torch.hypot(vertical, torch.fft.rfftfreq(width, d=0.5))
    least = 1.0 / (math.pi * sigma)
    places: Tensor = BANDS * (1.0 - radius.clamp_min(1e-9).log() / math.log(least))
    return places
