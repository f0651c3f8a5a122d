"""Times and sampler of a flow whose denoiser answers with samples, not with means.

``z(t) = t x + (1 - t) noise``. Where an ordinary denoiser answers with the mean of the x that fit
z, and so needs many small steps before chance becomes detail, this one draws one of them (trained
by a scoring rule: "Distributional diffusion models with scoring rules", arXiv 2502.02483). Then x
and the noise that z implies with it are a fair pair, z at any later time is fair too, and any
number of steps, even one, ends in the right distribution.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

__all__ = ["Denoiser", "draw_times", "sample"]

Denoiser = Callable[
    ["Float[Tensor, 'b 1 h w']", "Float[Tensor, 'b 1 h w']", float], "Float[Tensor, 'b 1 h w']"
]
"""(z, noise, time) -> one clean image that fits z. The sampler needs nothing else of a model."""


def draw_times(
    count: int, generator: torch.Generator, *, start: float = 0.5
) -> Float[Tensor, " count"]:
    """Training times: uniform, but exactly 0, where samplers begin, for a share."""
    times = torch.rand(count, generator=generator)
    at_start = torch.rand(count, generator=generator) < start
    return torch.where(at_start, torch.zeros(()), times)


def sample(
    denoise: Denoiser, noise: Float[Tensor, "b steps_and_1 h w"], *, steps: int
) -> Float[Tensor, "b 1 h w"]:
    """Equal steps from noise to image; one evaluation a step.

    Args:
        denoise: The model.
        noise: One image to start from, and one for each step; further ones are left alone.
        steps: At least 1.
    """
    z = noise[:, :1]
    times = torch.linspace(0.0, 1.0, steps + 1).tolist()
    for step, (now, then) in enumerate(pairwise(times), start=1):
        clean = denoise(z, noise[:, step : step + 1], now)
        z = torch.lerp(z, clean, (then - now) / (1 - now))
    return z
