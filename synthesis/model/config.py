"""The network's sizes: one frozen value, and the named ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from synthesis.errors import CheckpointError

__all__ = ["PRESETS", "ModelConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """Sizes of a `ViewTransformer`.

    An image of ``resolution`` pixels is cut into square cells of ``cell`` pixels, convolved at that
    coarse grid, and ``stride`` cells a side make one token. From one resolution to the next the
    cells grow and the grid stays, so that every resolution costs the same number of tokens.

    Attributes:
        resolution: Side of the image in pixels.
        cell: Side of a cell in pixels.
        stride: Side of a token in cells.
        width: Of the trunk.
        depth: Blocks of the trunk.
        encoder_depth: Blocks that read the source.
        heads: Attention heads.
        stem_width: Channels of the convolutions at the grid of cells.

    Raises:
        CheckpointError: Sizes that do not fit together.
    """

    resolution: int
    cell: int
    stride: int
    width: int
    depth: int
    encoder_depth: int
    heads: int
    stem_width: int

    def __post_init__(self) -> None:
        if min(asdict(self).values()) < 1:
            raise CheckpointError(f"a model's sizes are 1 or more, not {asdict(self)}")
        if self.resolution % (self.cell * self.stride):
            raise CheckpointError(
                f"resolution {self.resolution} is no multiple of {self.cell} x {self.stride}"
            )
        if self.width % self.heads or (self.width // self.heads) % 4:
            raise CheckpointError(
                f"width {self.width} over {self.heads} heads: each needs a multiple of 4 channels"
            )

    @property
    def grid(self) -> int:
        """Cells along a side."""
        return self.resolution // self.cell

    @property
    def token_grid(self) -> int:
        """Tokens along a side."""
        return self.grid // self.stride

    @property
    def noise_scale(self) -> float:
        """Standard deviation of the noise at time 0.

        The network reads cells. Over a cell of n pixels a side noise averages out by n while an
        image's content does not, so it grows with the cell and every resolution is as noisy to
        the trunk as the one before (1 at cells of 4; arXiv 2301.11093 finds the same shift).
        """
        return self.cell / 4.0

    def to_dict(self) -> dict[str, int]:
        """For a checkpoint."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelConfig:
        """From a checkpoint; strict.

        Raises:
            CheckpointError: A size is missing, unknown or no integer.
        """
        names = set(cls.__dataclass_fields__)
        if set(values) != names or not all(isinstance(v, int) for v in values.values()):
            raise CheckpointError(
                f"model configuration has {sorted(values)}, expected integers {sorted(names)}"
            )
        return cls(**values)


PRESETS: Final[Mapping[str, ModelConfig]] = {
    # For tests: seconds on one core.
    "tiny": ModelConfig(
        resolution=32, cell=2, stride=4, width=32, depth=2, encoder_depth=1, heads=2, stem_width=16
    ),
    # The bundled one: learns in hours on two cores, answers in seconds.
    "small": ModelConfig(
        resolution=256,
        cell=8,
        stride=4,
        width=256,
        depth=8,
        encoder_depth=3,
        heads=4,
        stem_width=64,
    ),
    "base": ModelConfig(
        resolution=256,
        cell=4,
        stride=4,
        width=768,
        depth=12,
        encoder_depth=6,
        heads=12,
        stem_width=128,
    ),
    # As wide and deep as PixArt-Sigma XL/2, for sites with GPUs.
    "xl": ModelConfig(
        resolution=512,
        cell=8,
        stride=4,
        width=1152,
        depth=28,
        encoder_depth=8,
        heads=16,
        stem_width=192,
    ),
}
"""Named sizes."""
