"""Times, loss and sampler of flow matching with prediction of the clean image.

``z(t) = t x + (1 - t) noise``; the velocity is ``x - noise = (x - z) / (1 - t)``
(rectified flow, arXiv 2209.03003; x-prediction with velocity loss, arXiv 2511.13720 eq. 6).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

__all__ = ["Denoiser", "draw_times", "sample", "velocity_loss"]

Denoiser = Callable[["Float[Tensor, 'b 1 h w']", float], "Float[Tensor, 'b 1 h w']"]
"""(z, time) -> clean image. The sampler needs nothing else of a model."""

_NEAREST: Final = 0.05
"""1 - t is not taken below this in the loss, where the velocity of a given error diverges."""


def draw_times(
    count: int, generator: torch.Generator, *, mean: float, spread: float, start: float
) -> Float[Tensor, " count"]:
    """Training times: logit-normal, and exactly 0 for a share ``start`` of them.

    At 0 the network is a regression of the posterior mean, the first step of every sampler.
    """
    times = torch.sigmoid(torch.randn(count, generator=generator) * spread + mean)
    at_start = torch.rand(count, generator=generator) < start
    return torch.where(at_start, torch.zeros(()), times)


def velocity_loss(
    predicted: Float[Tensor, "b 1 h w"], clean: Float[Tensor, "b 1 h w"], time: Float[Tensor, " b"]
) -> Float[Tensor, ""]:
    """Mean squared error of the velocity, written in images."""
    weight = (1 - time).clamp_min(_NEAREST) ** -2
    return (weight[:, None, None, None] * (predicted - clean) ** 2).mean()


def sample(
    denoise: Denoiser, noise: Float[Tensor, "b 1 h w"], *, steps: int
) -> Float[Tensor, "b 1 h w"]:
    """Euler's method on equal steps from noise to image; one network evaluation a step.

    The last step lands on the prediction itself, so one step is the regression.
    """
    z = noise
    times = torch.linspace(0.0, 1.0, steps + 1).tolist()
    for now, then in pairwise(times):
        clean = denoise(z, now)
        z = torch.lerp(z, clean, (then - now) / (1 - now))
    return z
