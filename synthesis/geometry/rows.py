"""How much matter lies in each row of an image, which a turn about the long axis leaves as it is.

In nearly parallel geometry every detector row of a pure azimuth rotation sees the same slice of
the body, so its sum is the same in all views (zero order of Helgason and Ludwig): what a slice of
a chest loses in width it gains in depth. It does not hold where matter leaves the field, nor for
views that are tilted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

__all__ = ["row_sums", "with_row_sums"]

_LEAST: Final = 0.01
"""Of the scale: a row with less is air, and its share of matter means nothing."""

_FARTHEST: Final = 0.2
"""A row is never changed by more than about this share."""


def row_sums(images: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h 1"]:
    """Mean attenuation of each row, in parts of the scale.

    Args:
        images: On [-1, 1]; -1 is air.
    """
    return ((images + 1) / 2).clamp_min(0.0).mean(dim=3, keepdim=True)


def with_row_sums(
    images: Float[Tensor, "b 1 h w"],
    rows: Float[Tensor, "b 1 h 1"],
    trust: Float[Tensor, "b 1 g"],
) -> Float[Tensor, "b 1 h w"]:
    """Images whose rows are brought towards given sums by one factor a row.

    Args:
        images: On [-1, 1].
        rows: Of `row_sums`.
        trust: 0 = leave a row as it is, 1 = bring it all the way; any number of them over the
            height.
    """
    ratio = torch.log((rows + _LEAST) / (row_sums(images) + _LEAST))
    ratio = _FARTHEST * torch.tanh(ratio / _FARTHEST)
    height = images.shape[2]
    trusted = F.interpolate(trust, size=height, mode="linear", align_corners=False)  # (b, 1, h)
    return (images + 1) * torch.exp(trusted[..., None] * ratio) - 1
