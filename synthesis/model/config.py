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
        detail_width: Channels of the convolutions that draw detail, at twice that grid.
        detail_depth: Their residual blocks.

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
    detail_width: int
    detail_depth: int

    def __post_init__(self) -> None:
        if min(asdict(self).values()) < 1:
            raise CheckpointError(f"a model's sizes are 1 or more, not {asdict(self)}")
        if self.resolution % (self.cell * self.stride) or self.cell % 2:
            raise CheckpointError(
                f"resolution {self.resolution} is no multiple of {self.cell} x {self.stride}, or "
                "the cell is odd"
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
    def detail_cell(self) -> int:
        """Side in pixels of the cells that detail is drawn in."""
        return self.cell // 2

    @property
    def noise_scale(self) -> float:
        """Standard deviation of the noise that detail is drawn from.

        The network reads cells. Over a cell of n pixels a side noise averages out by n while an
        image's content does not, so it grows with the cell and every resolution is as noisy to
        the network as the one before (1 at 256 px; arXiv 2301.11093 finds the same shift).
        """
        return self.cell / 8.0

    @property
    def expected_sigma(self) -> float:
        """Standard deviation in pixels of the blur of what the trunk adds to the guess.

        What nobody can expect is not worth an edge between cells: without the blur steps across
        their borders were 1.24 times those inside, with it 0.93, for 0.03 dB more and not less.
        """
        return 0.2 * self.cell

    @property
    def detail_sigma(self) -> float:
        """Standard deviation in pixels of the blur that parts the expected image from detail."""
        return 0.375 * self.cell

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
        resolution=32,
        cell=4,
        stride=2,
        width=32,
        depth=2,
        encoder_depth=1,
        heads=2,
        stem_width=16,
        detail_width=16,
        detail_depth=1,
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
        detail_width=48,
        detail_depth=3,
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
        detail_width=96,
        detail_depth=4,
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
        detail_width=128,
        detail_depth=6,
    ),
}
"""Named sizes."""
