"""Noise that follows from what it is for."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from synthesis.types import View

__all__ = ["view_noise"]


def view_noise(
    seed: int, sample: int, view: View, size: int, count: int = 1
) -> Float[Tensor, "count size size"]:
    """Standard normal noise of one sample of one view, from a CPU generator of its own.

    The first images are the same however many are asked for.

    It depends on the seed, the sample's number and the view alone: not on the batch, on the order
    of the views, nor on the device.
    """
    text = f"{seed}/{sample}/{view.primary_deg!r}/{view.secondary_deg!r}/{view.seen_from}"
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
    generator = torch.Generator("cpu").manual_seed(number)
    return torch.stack([torch.randn(size, size, generator=generator) for _ in range(count)])
