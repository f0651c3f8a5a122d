"""What the classifier reads, and its network: four convolutions on 64 x 64 pixels."""

from __future__ import annotations

from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import torch
import torch.nn.functional as F
from torch import nn

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

__all__ = ["KINDS", "SIDE", "EligibilityNetwork", "Kind", "prepared"]

SIDE: Final = 64
"""Pixels on a side of what the classifier reads."""

_PERCENT: Final = (0.01, 0.99)


class Kind(StrEnum):
    """What an image may be."""

    FRONTAL = "frontal"
    OBLIQUE = "oblique"
    TURNED = "turned"
    MIRRORED = "mirrored"
    INVERTED = "inverted"
    OTHER = "other"
    NOTHING = "nothing"


KINDS: Final = tuple(Kind)
"""In the order of the network's outputs."""


def prepared(image: Float[Tensor, "h w"]) -> Float[Tensor, "2 side side"]:
    """An image of any size and grey scale as the classifier reads it.

    Two channels, square (chests bear a little stretching, and a border of air would be a clue to
    nothing): values stretched between robust percentiles, and ranks, which no monotone tone curve
    changes.
    """
    small = F.interpolate(
        image[None, None], size=(SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False
    )[0, 0]
    low, high = (torch.quantile(small, percent) for percent in _PERCENT)
    scaled = ((small - low) / (high - low).clamp_min(1e-6)).clamp(-0.2, 1.2)
    flat = small.flatten()
    # Ties share one rank, so that a flat background stays flat.
    ranks = torch.searchsorted(flat.sort().values, flat).view_as(small) / flat.numel()
    return torch.stack([scaled, ranks]) * 2 - 1


class EligibilityNetwork(nn.Module):
    """Images (n, 2, 64, 64) -> logits (n, kinds); 90 thousand parameters."""

    def __init__(self) -> None:
        super().__init__()
        widths = (2, 16, 32, 48, 64)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(into, out, 3, padding=1) for into, out in pairwise(widths)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(8, out) for out in widths[1:])
        # The place of a feature matters: a chest upside down holds the same features.
        self.head = nn.Linear(widths[-1] * 16, len(KINDS))

    def forward(self, x: Float[Tensor, "n 2 side side"]) -> Float[Tensor, "n kinds"]:
        """Logits in the order of `KINDS`."""
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = F.max_pool2d(F.silu(norm(convolution(x))), 2)
        out: Tensor = self.head(x.flatten(1))
        return out
