"""Which arithmetic this machine is faster in, by measurement."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["bfloat16_is_faster"]


def bfloat16_is_faster(device: torch.device) -> bool:
    """Whether a product of matrices of the network's size is faster in bfloat16 than in float32.

    GPUs that know it are. Processors with AVX512-BF16 or AMX do it in a half of the time, others
    emulate it in hundreds of times as much; no flag tells the speed, so it is measured, in
    processor time.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    left, right = torch.ones(512, 256), torch.ones(256, 512)
    half_left, half_right = left.bfloat16(), right.bfloat16()
    return 1.2 * _seconds(half_left, half_right) < _seconds(left, right)


def _seconds(left: Tensor, right: Tensor) -> float:
    left @ right  # the first product pays for kernels and pages
    fastest = float("inf")
    for _ in range(5):
        began = time.process_time()
        left @ right
        left @ right
        fastest = min(fastest, time.process_time() - began)
    return fastest
