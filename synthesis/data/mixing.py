"""Two patients in one: new bodies from pairs of rendered patients.

Line integrals are linear in attenuation, so where two patients were rendered in the same views, any
mixture of their images is the image of a body that is the same mixture of theirs. With few
patients to learn from, pairs of them are many.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from synthesis.data.augmentation import LEVEL_DEG

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float
    from torch import Tensor

    from synthesis.types import View

__all__ = ["mixed"]


def mixed(
    first: Float[Tensor, "views h w"],
    second: Float[Tensor, "views h w"],
    views: Sequence[View],
    rng: np.random.Generator,
) -> Float[Tensor, "views h w"]:
    """The views of a body made of two.

    Half of the time both bodies overlap everywhere (exact in every geometry). Else one follows the
    other along the long axis: rays that are nearly parallel and turn about this axis stay within
    their slice, so the share may change from row to row, slowly. Tilted views overlap always.

    Args:
        first: Line integrals of one patient, centred on the axis of rotation.
        second: Of another, in the same views.
        views: Of both.
        rng: Of the draws.
    """
    if rng.random() < 0.5 and all(abs(view.secondary_deg) < LEVEL_DEG for view in views):
        share = _along_the_body(first.shape[1], rng)
    else:
        share = torch.full((1, 1), float(rng.uniform(0.15, 0.85)))
    return torch.lerp(second, first, share)


def _along_the_body(height: int, rng: np.random.Generator) -> Float[Tensor, "h 1"]:
    """The first's share of every row: it gives way to the second, or the other way round."""
    rows = (np.arange(height) + 0.5) / height
    middle, width = rng.uniform(0.25, 0.75), rng.uniform(0.03, 0.1)
    share = 1.0 / (1.0 + np.exp((rows - middle) / width))
    if rng.random() < 0.5:
        share = 1.0 - share
    return torch.from_numpy(share).float()[:, None]
