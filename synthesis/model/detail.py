"""The network that draws what the expected image leaves out: edges of ribs, vessels, grain.

Of everything that could be there it draws one sample, which follows from two images of noise. It
works at twice the grid of cells, is convolutional, and reads what the trunk found out about the
target, so that the trunk runs once however many steps are wanted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from synthesis.geometry.bands import high_passed
from synthesis.model.blocks import ConvBlock, sinusoids

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from synthesis.model.config import ModelConfig

__all__ = ["DetailNetwork"]

_TIME_FEATURES = 32

_LIMIT = 5.0
"""No detail goes beyond: 0.16 on [-1, 1], the most that a chest's does. A network that has not seen
enough draws rare specks of thrice that."""


class DetailNetwork(nn.Module):
    """Noise, a noisy detail and the trunk's features in, clean detail out."""

    IMAGES = 4

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.cell = config.detail_cell
        self.sigma = config.detail_sigma
        c = config.detail_width
        self.cells = nn.Conv2d(self.IMAGES * self.cell**2, c, 3, padding=1)
        self.features = nn.Conv2d(config.stem_width, 4 * c, 1)
        self.condition = nn.Linear(_TIME_FEATURES + config.width, 2 * c * config.detail_depth)
        self.blocks = nn.ModuleList(ConvBlock(c) for _ in range(config.detail_depth))
        self.norm = nn.GroupNorm(8, c)
        self.pixels = nn.Conv2d(c, self.cell**2, 3, padding=1)

    def forward(
        self,
        noisy: Float[Tensor, "b 1 h w"],
        noise: Float[Tensor, "b 1 h w"],
        time: Float[Tensor, " b"],
        expected: Float[Tensor, "b 1 h w"],
        guess: Float[Tensor, "b 1 h w"],
        features: Float[Tensor, "b c g g"],
        condition: Float[Tensor, "b d"],
    ) -> Float[Tensor, "b 1 h w"]:
        """One sample of the clean detail, in units of `synthesis.model.transformer.DETAIL_UNIT`.

        Args:
            noisy: ``time * clean + (1 - time) * noise`` of another noise.
            noise: Decides which of the details that fit ``noisy`` is drawn.
            time: 0 = nothing is known of the detail yet, 1 = everything.
            expected: The expected image on [-1, 1].
            guess: The slab guess.
            features: Of the trunk.
            condition: Of the pose.
        """
        images = torch.cat([noisy, noise, expected, guess], dim=1)
        x = self.cells(F.pixel_unshuffle(images, self.cell))
        x = x + F.pixel_shuffle(self.features(features), 2)  # (b, c, 2 g, 2 g)
        told = torch.cat([sinusoids(time, _TIME_FEATURES), condition], dim=1)
        for block, part in zip(
            self.blocks, self.condition(told).chunk(len(self.blocks), dim=1), strict=True
        ):
            shift, scale = part.chunk(2, dim=1)
            x = block(x, (shift, scale))
        drawn = F.pixel_shuffle(self.pixels(F.silu(self.norm(x))), self.cell)
        return _LIMIT * torch.tanh(high_passed(drawn.float(), self.sigma) / _LIMIT)
