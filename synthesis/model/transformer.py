"""The view-conditioned transformer: source and pose in; the expected target, then samples, out.

A target is its expected image and detail. The trunk finds the expected image, as a correction of
the slab guess whose rows hold about as much matter as the source's, in one evaluation; a flow draws
the detail around it, in one or more evaluations of a small network that reads the trunk's
features. So what can be known is not blurred by chance nor chance by averaging (residual diffusion:
CorrDiff, arXiv 2309.15214). The source is read once; its keys and values do not depend on the
target's view.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch
import torch.nn.functional as F
from torch import nn

from synthesis.geometry.bands import blurred
from synthesis.geometry.rows import row_sums, with_row_sums
from synthesis.model.blocks import ConvBlock, CrossBlock, EncoderBlock, Rotary
from synthesis.model.detail import DetailNetwork

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from synthesis.model.config import ModelConfig

__all__ = [
    "DETAIL_UNIT",
    "POSE_FEATURES",
    "Expectation",
    "SourceContext",
    "ViewTransformer",
    "presence",
]

POSE_FEATURES: Final = 11
"""Numbers that describe a pose to the network; the family ``vcdit`` makes them."""

DETAIL_UNIT: Final = 1 / 32
"""Unit of detail on [-1, 1]: about its standard deviation in a chest."""

_THIN: Final = 0.5
"""Where less matter than this is expected, in parts of half the scale, detail fades."""


def presence(expected: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
    """How much of detail there can be, 0 to 1: air has none.

    Args:
        expected: Images on [-1, 1].
    """
    return ((expected + 1) / _THIN).clamp(0.0, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class SourceContext:
    """A source as the trunk reads it.

    Attributes:
        keys_values: Keys and values (s, heads, n, c) of every block.
        rows: How much matter lies in each row (s, 1, h, 1), see `synthesis.geometry.rows`.
    """

    keys_values: tuple[tuple[Tensor, Tensor], ...]
    rows: Tensor

    def repeated(self, targets: int) -> SourceContext:
        """Each source for that many targets, one after the other."""
        return SourceContext(
            tuple(
                (k.repeat_interleave(targets, dim=0), v.repeat_interleave(targets, dim=0))
                for k, v in self.keys_values
            ),
            self.rows.repeat_interleave(targets, dim=0),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Expectation:
    """What the trunk found out about targets.

    Attributes:
        image: The expected image (b, 1, h, w) on [-1, 1].
        guess: The slab guess it corrects.
        features: At the grid of cells (b, c, g, g).
        condition: Of the pose (b, d).
    """

    image: Tensor
    guess: Tensor
    features: Tensor
    condition: Tensor

    def repeated(self, samples: int) -> Expectation:
        """Each target for that many samples, one after the other."""
        parts = (self.image, self.guess, self.features, self.condition)
        return Expectation(*(part.repeat_interleave(samples, dim=0) for part in parts))


class Stem(nn.Module):
    """Pixels to features at the grid of cells, and on to tokens."""

    def __init__(self, channels: int, config: ModelConfig) -> None:
        super().__init__()
        self.cell = config.cell
        self.cells = nn.Conv2d(channels * config.cell**2, config.stem_width, 3, padding=1)
        self.block = ConvBlock(config.stem_width)
        self.tokens = nn.Conv2d(
            config.stem_width, config.width, config.stride, stride=config.stride
        )

    def forward(self, images: Float[Tensor, "b c h w"]) -> tuple[Tensor, Tensor]:
        """Features (b, stem, grid, grid) and tokens (b, n, d)."""
        features = self.block(self.cells(F.pixel_unshuffle(images, self.cell)))
        return features, self.tokens(features).flatten(2).transpose(1, 2)


class ViewTransformer(nn.Module):
    """The network of one `ModelConfig`."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        d, c = config.width, config.stem_width
        self.rotary = Rotary(config.token_grid, d // config.heads)
        self.source_stem = Stem(1, config)
        self.encoder = nn.ModuleList(
            EncoderBlock(d, config.heads) for _ in range(config.encoder_depth)
        )
        self.encoder_norm = nn.RMSNorm(d)
        self.target_stem = Stem(1, config)
        self.condition = nn.Sequential(
            nn.Linear(POSE_FEATURES, d), nn.SiLU(), nn.Linear(d, d), nn.SiLU()
        )
        self.modulation = nn.Linear(d, CrossBlock.MODULATIONS * d)
        self.blocks = nn.ModuleList(CrossBlock(d, config.heads) for _ in range(config.depth))
        self.out_norm = nn.RMSNorm(d)
        self.spread = nn.Linear(d, c * config.stride**2)
        self.merge = nn.Conv2d(2 * c, c, 3, padding=1)
        self.head = ConvBlock(c)
        self.pixels = nn.Conv2d(c, config.cell**2, 3, padding=1)
        self.trust = nn.Conv1d(c, 1, 3, padding=1)
        self.trust_condition = nn.Linear(d, 1, bias=False)
        self.detail = DetailNetwork(config)
        self._initialize()

    def _initialize(self) -> None:
        # Every block starts as the identity (adaLN-zero): deep stacks learn from the first step.
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)
        # The network starts as the slab guess, which is already better than grey.
        nn.init.zeros_(self.pixels.weight)
        nn.init.zeros_(self.pixels.bias)  # type: ignore[arg-type]
        # Rows are trusted by half until it is known when they can be.
        for zero in (self.trust.weight, self.trust.bias, self.trust_condition.weight):
            nn.init.zeros_(zero)  # type: ignore[arg-type]

    def read_source(self, source: Float[Tensor, "s 1 h w"]) -> SourceContext:
        """Keys and values of the source for every block; once per request."""
        x = self.source_stem(source)[1]  # (s, n, d)
        for block in self.encoder:
            x = block(x, self.rotary)
        x = self.encoder_norm(x)
        return SourceContext(
            tuple(
                block.cross_attention.keys_values(x, self.rotary)  # type: ignore[operator, union-attr]
                for block in self.blocks
            ),
            row_sums(source),
        )

    def forward(
        self,
        pose: Float[Tensor, "b p"],
        guess: Float[Tensor, "b 1 h w"],
        source: SourceContext,
    ) -> Expectation:
        """The expected image, and what detail is drawn from.

        Args:
            pose: See `POSE_FEATURES`.
            guess: Of `slab_guess`.
            source: Of `read_source`, repeated to the batch.
        """
        c = self.config
        e = self.condition(pose)  # (b, d)
        modulation = self.modulation(e).unflatten(1, (CrossBlock.MODULATIONS, -1))  # (b, 9, d)
        features, x = self.target_stem(guess)  # (b, c, g, g), (b, n, d)
        for block, keys_values in zip(self.blocks, source.keys_values, strict=True):
            x = block(x, modulation, self.rotary, keys_values)  # (b, n, d)
        x = self.spread(self.out_norm(x)).transpose(1, 2)  # (b, c s s, n)
        x = F.pixel_shuffle(x.unflatten(2, (c.token_grid, c.token_grid)), c.stride)  # (b, c, g, g)
        x = self.head(self.merge(torch.cat([x, features], dim=1)))  # (b, c, g, g)
        correction = F.pixel_shuffle(self.pixels(x), c.cell).float()  # (b, 1, h, w)
        image = guess + blurred(correction, c.expected_sigma)
        trust = self.trust(x.mean(dim=3)) + self.trust_condition(e)[:, :, None]  # (b, 1, g)
        image = with_row_sums(image, source.rows, trust.float().sigmoid())
        return Expectation(image=image, guess=guess, features=x, condition=e)

    def draw(
        self,
        noisy: Float[Tensor, "b 1 h w"],
        noise: Float[Tensor, "b 1 h w"],
        time: Float[Tensor, " b"],
        known: Expectation,
    ) -> Float[Tensor, "b 1 h w"]:
        """One sample of the detail that fits a noisy one, in units of `DETAIL_UNIT`.

        Args:
            noisy: ``time * detail + (1 - time) * noise``.
            noise: Another noise, that decides which; both have `ModelConfig.noise_scale`.
            time: 0 = noise, 1 = clean.
            known: Of `forward`.
        """
        out: Tensor = self.detail(
            noisy, noise, time, known.image, known.guess, known.features, known.condition
        )
        return out * presence(known.image)
