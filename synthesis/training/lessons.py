"""What a stage teaches: the expected image to the trunk, or detail to the network that draws it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

from synthesis.diffusion import draw_times, energy_score, power_mismatch
from synthesis.geometry.bands import high_passed
from synthesis.model.transformer import DETAIL_UNIT

if TYPE_CHECKING:
    from torch import Tensor

    from synthesis.model import ViewTransformer
    from synthesis.model.transformer import Expectation
    from synthesis.training.batches import Batch

__all__ = ["LESSONS", "Lesson"]

_POWER: Final = 0.05
"""Weight of the power's mismatch beside the energy score: a shortfall by a third costs about as
much in one as in the other."""

Teaching = Callable[
    ["ViewTransformer", "Batch", int, torch.Generator, float], tuple["Tensor", float, float]
]
"""(network, batch, targets of a source, generator, share of times at 0) -> loss, error, power."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """One way to teach.

    Attributes:
        learns: Which parameters, by name, are taught.
        teach: Loss of a batch, mean squared error of the expected image, and power of the detail
            drawn in parts of the truth's (NaN where none is drawn).
    """

    learns: Callable[[str], bool]
    teach: Teaching


def _known(network: ViewTransformer, batch: Batch, targets: int) -> Expectation:
    context = network.read_source(batch.source).repeated(targets)
    known: Expectation = network(batch.pose, batch.guess, context)
    return known


def _teach_expectation(
    network: ViewTransformer,
    batch: Batch,
    targets: int,
    generator: torch.Generator,
    time_start: float,
) -> tuple[Tensor, float, float]:
    loss = (_known(network, batch, targets).image - batch.target).square().mean()
    return loss, float(loss.detach()), math.nan


def _teach_detail(
    network: ViewTransformer,
    batch: Batch,
    targets: int,
    generator: torch.Generator,
    time_start: float,
) -> tuple[Tensor, float, float]:
    config = network.config
    with torch.no_grad():
        known = _known(network, batch, targets)
        left = batch.target - known.image
        truth = high_passed(left, config.detail_sigma) / DETAIL_UNIT
    count = len(truth)
    # Drawn on the CPU: a seed means the same on every device.
    times = draw_times(count, generator, start=time_start).to(truth.device)
    noise = torch.randn(count, 3, *truth.shape[2:], generator=generator).to(truth.device)
    noise = noise * config.noise_scale
    noisy = torch.lerp(noise[:, :1], truth, times.view(-1, 1, 1, 1))
    # Two samples of every target, one after the other.
    drawn = network.draw(
        noisy.repeat_interleave(2, dim=0),
        noise[:, 1:].reshape(2 * count, 1, *truth.shape[2:]),
        times.repeat_interleave(2),
        known.repeated(2),
    )
    first, second = drawn[::2], drawn[1::2]
    loss = energy_score(truth, first, second, cell=config.cell, sigma=config.detail_sigma)
    loss = loss + _POWER * power_mismatch(truth, drawn, sigma=config.detail_sigma)
    power = float(first.detach().square().mean() / truth.square().mean())
    return loss, float(left.square().mean()), power


LESSONS: Final[Mapping[str, Lesson]] = {
    "expectation": Lesson(
        learns=lambda name: not name.startswith("detail."), teach=_teach_expectation
    ),
    "detail": Lesson(learns=lambda name: name.startswith("detail."), teach=_teach_detail),
}
"""By the name a recipe gives them."""
