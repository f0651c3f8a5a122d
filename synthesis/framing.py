"""What to assume beyond the borders of an image that ends within the body."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

__all__ = ["FADE", "continued"]

FADE: Final = 0.1
"""Distance, in parts of the result's longer side, over which a body ends beside the image.

Above and below a body goes on; to its sides it ends soon. Measured on two patients whose frontal
views were cut by a twelfth on both sides: 4.3 dB are lost with air beyond, 2.7 with the border
repeated, 1.7 with the border repeated and faded by 0.08 to 0.15; cut above and below, 6.8 dB with
air and 4.2 with the border repeated.
"""

_AIR: Final = -1.0


def continued(
    images: Float[Tensor, "*n h w"], *, left: int, right: int, top: int, bottom: int
) -> Float[Tensor, "*n tall wide"]:
    """Images continued beyond their borders: up and down as they end, sideways fading into air.

    Args:
        images: On the model's scale, -1 = air.
        left: Pixels to add on that side; likewise the others.
        right: See ``left``.
        top: See ``left``.
        bottom: See ``left``.
    """
    height, width = images.shape[-2:]
    flat = images.reshape(-1, 1, height, width)
    grown = F.pad(flat, (left, right, top, bottom), mode="replicate")
    tall, wide = grown.shape[-2:]
    column = torch.arange(wide, device=images.device)
    beyond = torch.maximum(left - column, column - (left + width - 1)).clamp_min(0)
    stays = torch.exp(-((beyond / (FADE * max(tall, wide))) ** 2))
    faded = torch.where(beyond > 0, _AIR + (grown - _AIR) * stays, grown)
    return faded.reshape(*images.shape[:-2], tall, wide)
