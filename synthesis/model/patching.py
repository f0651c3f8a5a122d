"""From one resolution to another: cells grow, the grid and the trunk stay.

Only the first and the last convolutions know how many pixels a cell has. Their kernels are resized
so that the new network does on an image what the old one did on the image resized (FlexiViT's
pseudo-inverse resize, arXiv 2212.08013, applied to the cells).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from synthesis.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jaxtyping import Float
    from torch import Tensor

    from synthesis.model.config import ModelConfig

__all__ = ["at_resolution", "resized_weights"]


def at_resolution(config: ModelConfig, resolution: int) -> ModelConfig:
    """The same network for images of another side.

    Raises:
        CheckpointError: The side is no multiple of the grid.
    """
    if resolution < 2 * config.grid or resolution % (2 * config.grid):
        raise CheckpointError(
            f"resolution {resolution} is no multiple of the model's grid of {2 * config.grid} cells"
        )
    return replace(config, resolution=resolution, cell=resolution // config.grid)


def resized_weights(
    weights: Mapping[str, Tensor], old: ModelConfig, new: ModelConfig
) -> dict[str, Tensor]:
    """Weights of one resolution for a network of another.

    Args:
        weights: State of a `ViewTransformer` of ``old``.
        old: Its sizes.
        new: The sizes wanted: equal but for resolution and cell.

    Raises:
        CheckpointError: The sizes differ elsewhere.
    """
    if replace(old, resolution=new.resolution, cell=new.cell) != new or old.grid != new.grid:
        raise CheckpointError("weights can be resized between resolutions of one grid only")
    out = dict(weights)
    if old.cell == new.cell:
        return out
    for name in ("source_stem", "target_stem"):
        _resize_first(out, f"{name}.cells.weight", old.cell, new.cell)
    _resize_last(out, "pixels", old.cell, new.cell)
    _resize_first(out, "detail.cells.weight", old.detail_cell, new.detail_cell)
    _resize_last(out, "detail.pixels", old.detail_cell, new.detail_cell)
    return out


def _resize_first(weights: dict[str, Tensor], name: str, old: int, new: int) -> None:
    down = _resize_matrix(new, old)  # (old pixels, new pixels)
    kernel = weights[name]
    kernel = kernel.view(len(kernel), -1, old**2, 3, 3)  # (out, channels, old pixels, 3, 3)
    weights[name] = torch.einsum("ocpij,pq->ocqij", kernel, down).flatten(1, 2).contiguous()


def _resize_last(weights: dict[str, Tensor], name: str, old: int, new: int) -> None:
    up = _resize_matrix(old, new)  # (new pixels, old pixels), bilinear
    for part, sums in (("weight", "qp,pcij->qcij"), ("bias", "qp,p->q")):
        key = f"{name}.{part}"
        weights[key] = torch.einsum(sums, up, weights[key]).contiguous()


def _resize_matrix(old: int, new: int) -> Float[Tensor, "new_sq old_sq"]:
    """Area or bilinear resize of a square cell as a matrix over its pixels."""
    basis = torch.eye(old * old).view(old * old, 1, old, old)
    mode = "area" if new < old else "bilinear"
    corners = None if mode == "area" else False
    resized = F.interpolate(basis, size=(new, new), mode=mode, align_corners=corners)
    return resized.flatten(1).T.contiguous()
