"""Images that are no radiograph of a patient: noise, test objects, limbs and slices, all drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

__all__ = ["drawing"]

_SIDE: Final = 96


def drawing(rng: np.random.Generator) -> Float[Tensor, "side side"]:
    """One image, on about [-1, 1]."""
    draw = _DRAWINGS[rng.integers(len(_DRAWINGS))]
    image = draw(rng)
    if rng.random() < 0.5:
        image = image + float(rng.uniform(0.0, 0.15)) * _noise(rng, float(rng.choice([0, 1, 3])))
    return (image * float(rng.choice([1.0, 1.0, 1.0, -1.0]))).contiguous()


def _noise(rng: np.random.Generator, coarse: float | None = None) -> Float[Tensor, "s s"]:
    scale = 2 ** float(rng.uniform(0, 5)) if coarse is None else 1 + coarse
    side = max(2, round(_SIDE / scale))
    noise = torch.from_numpy(rng.normal(0, 1, (1, 1, side, side)).astype(np.float32))
    return F.interpolate(noise, size=(_SIDE, _SIDE), mode="bilinear", align_corners=False)[0, 0]


def _ramp(rng: np.random.Generator) -> Float[Tensor, "s s"]:
    y, x = _places()
    angle = float(rng.uniform(0, 2 * np.pi))
    ramp = x * np.cos(angle) + y * np.sin(angle)
    steps = int(rng.integers(0, 12))
    return ramp if steps < 3 else torch.round(ramp * steps / 2) / steps * 2


def _grid(rng: np.random.Generator) -> Float[Tensor, "s s"]:
    y, x = _places()
    often = rng.uniform(2, 16, 2)
    waves = torch.sin(x * float(often[0] * np.pi)), torch.sin(y * float(often[1] * np.pi))
    kind = int(rng.integers(3))
    return waves[0] * waves[1] if kind == 0 else torch.maximum(*waves) if kind == 1 else waves[0]


def _shapes(rng: np.random.Generator) -> Float[Tensor, "s s"]:
    """Discs and boxes on air, as in test objects."""
    y, x = _places()
    image = torch.full((_SIDE, _SIDE), -1.0)
    for _ in range(int(rng.integers(1, 14))):
        cx, cy = rng.uniform(-0.9, 0.9, 2)
        rx, ry = rng.uniform(0.05, 0.8, 2)
        u, v = ((x - cx) / rx).abs(), ((y - cy) / ry).abs()
        inside = (u**2 + v**2 < 1) if rng.random() < 0.6 else torch.maximum(u, v) < 1
        image = image + inside * float(rng.uniform(-0.3, 0.7))
    return image


def _limb(rng: np.random.Generator) -> Float[Tensor, "s s"]:
    """One or two round bars of bone within soft tissue, across the whole image."""
    y, x = _places()
    angle = float(rng.normal(0.0, 0.3)) + (np.pi / 2 if rng.random() < 0.3 else 0.0)
    across = x * np.cos(angle) + y * np.sin(angle)
    along = -x * np.sin(angle) + y * np.cos(angle)
    flare = 1 + float(rng.uniform(0.0, 1.2)) * (along.abs() ** float(rng.uniform(1.5, 4)))
    image = torch.full((_SIDE, _SIDE), -1.0)
    image = image + _bar(across / flare, float(rng.uniform(0.3, 0.9))) * float(
        rng.uniform(0.3, 0.8)
    )
    for _ in range(int(rng.integers(1, 3))):
        middle = float(rng.uniform(-0.3, 0.3))
        bone = _bar((across - middle) / flare, float(rng.uniform(0.06, 0.25)))
        hollow = _bar((across - middle) / flare, float(rng.uniform(0.02, 0.12)))
        image = image + bone * float(rng.uniform(0.4, 1.0)) - hollow * float(rng.uniform(0.0, 0.4))
    return image


def _bar(across: Float[Tensor, "s s"], radius: float) -> Float[Tensor, "s s"]:
    return (1 - (across / radius) ** 2).clamp_min(0.0).sqrt()


def _slice(rng: np.random.Generator) -> Float[Tensor, "s s"]:
    """An axial slice as CT and MR show it: an ellipse of tissue with organs in it, on black."""
    y, x = _places()
    rx, ry = rng.uniform(0.5, 0.95, 2)
    body = ((x / rx) ** 2 + (y / ry) ** 2 < 1).float()
    inside = torch.full_like(body, float(rng.uniform(-0.3, 0.3)))
    for _ in range(int(rng.integers(3, 16))):
        cx, cy = rng.uniform(-0.6, 0.6, 2)
        sx, sy = rng.uniform(0.05, 0.4, 2)
        organ = ((x - cx) / sx) ** 2 + ((y - cy) / sy) ** 2 < 1
        inside = torch.where(organ, torch.full_like(inside, float(rng.uniform(-1, 1))), inside)
    inside = inside + 0.2 * _noise(rng, 1.0)
    return torch.where(body > 0, inside, torch.full_like(body, -1.0))


def _places() -> tuple[Float[Tensor, "s s"], Float[Tensor, "s s"]]:
    line = (torch.arange(_SIDE) + 0.5) / _SIDE * 2 - 1
    y, x = torch.meshgrid(line, line, indexing="ij")
    return y, x


_DRAWINGS: Final[tuple[Callable[[np.random.Generator], Tensor], ...]] = (
    _noise,
    _ramp,
    _grid,
    _shapes,
    _shapes,
    _limb,
    _limb,
    _slice,
)
