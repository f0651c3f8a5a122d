"""Examples of every kind of image, made from caches of rendered views.

Chests come from a cache of chest CTs, other parts of the body from a cache of other CTs (both by
``python -m synthesis render``); what is no radiograph is drawn. All pass through the tone curves
and the appearance of real sources, so that no kind has a look of its own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
import torch.nn.functional as F

from synthesis.data.appearance import source_appearance
from synthesis.data.augmentation import tone_curve
from synthesis.data.cache import Shard, list_shards
from synthesis.data.rendering import SCALE
from synthesis.eligibility.drawings import drawing
from synthesis.eligibility.network import Kind
from synthesis.errors import VolumeError
from synthesis.types import wrap_deg

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from synthesis.types import View

__all__ = ["SHARES", "Examples"]

SHARES: Final = {
    Kind.FRONTAL: 0.38,
    Kind.OBLIQUE: 0.15,
    Kind.TURNED: 0.08,
    Kind.MIRRORED: 0.12,
    Kind.INVERTED: 0.04,
    Kind.OTHER: 0.15,
    Kind.NOTHING: 0.08,
}
"""Part of the examples that each kind gets."""

FRONTAL_DEG: Final = 9.0
"""Views turned or tilted by less are frontal: a patient never stands quite straight."""
OBLIQUE_DEG: Final = 28.0
"""Views turned or tilted by more are not; between both an example teaches nothing."""

_AIR: Final = -1.0


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    shard: Shard
    index: int
    mirrored: bool


class Examples:
    """Draws examples.

    Args:
        chests: Cache of chest CTs.
        others: Caches of CTs of other parts of the body.
        exclude: Patients that are left out.

    Raises:
        VolumeError: A cache holds nothing of a kind.
    """

    def __init__(
        self, chests: Path, others: Sequence[Path], *, exclude: Sequence[str] = ()
    ) -> None:
        self._frontal: dict[str, list[_View]] = {}
        self._oblique: dict[str, list[_View]] = {}
        self._others: dict[str, list[_View]] = {}
        for shard in list_shards(chests):
            if shard.patient in exclude:
                continue
            mirrored = bool(
                json.loads(shard.path.with_suffix(".json").read_text())["anatomy"]["mirrored"]
            )
            for index, view in enumerate(shard.views):
                off = _off_deg(view)
                views = (
                    self._frontal
                    if off < FRONTAL_DEG
                    else self._oblique
                    if off > OBLIQUE_DEG
                    else None
                )
                if views is not None:
                    views.setdefault(shard.patient, []).append(_View(shard, index, mirrored))
        for shard in (one for folder in others for one in list_shards(folder)):
            if shard.patient not in exclude:
                found = [_View(shard, index, False) for index in range(len(shard.views))]
                self._others.setdefault(shard.patient, []).extend(found)
        for name, views in (
            ("frontal", self._frontal),
            ("oblique", self._oblique),
            ("other", self._others),
        ):
            if not views:
                raise VolumeError(f"the caches hold no {name} views: render some")
        self.patients = tuple(sorted({*self._frontal, *self._others}))

    def draw(
        self, kind: Kind, rng: np.random.Generator, *, plain: bool = False
    ) -> Float[Tensor, "h w"]:
        """One image of a kind, on the model's scale; ``plain`` leaves out appearance."""
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        if kind is Kind.NOTHING:
            return drawing(rng)
        image = torch.from_numpy(self._rendered(kind, rng) * np.float32(2 / SCALE.high) - 1)
        image = image[None, None]
        if not plain:
            image = _moved(image, rng)
            image = tone_curve(image, generator, share=0.6)
            image = source_appearance(image, generator, share=0.7)
            image = _cropped(image, rng)
        image = image[0, 0]
        if kind is Kind.TURNED:
            way = int(rng.integers(4))
            image = image.flip(0) if way == 0 else image.rot90(way, (0, 1))
        if kind is Kind.INVERTED:
            image = image.max() - image
        return image.contiguous()

    def _rendered(self, kind: Kind, rng: np.random.Generator) -> np.ndarray:
        source = {Kind.OBLIQUE: self._oblique, Kind.OTHER: self._others}.get(kind, self._frontal)
        part = kind is Kind.OTHER and rng.random() < 0.25  # of a chest
        if part:
            source = self._frontal
        views = source[sorted(source)[rng.integers(len(source))]]
        one = views[rng.integers(len(views))]
        image = np.asarray(one.shard.images()[one.index], np.float32)
        if part:
            side = int(len(image) * rng.uniform(0.2, 0.42))
            top, left = rng.integers(0, len(image) - side, 2)
            image = image[top : top + side, left : left + side]
        # The rendered onlooker sees the patient's left on the right, but for mirrored bodies.
        wrong_side = one.mirrored != (kind is Kind.MIRRORED)
        either = kind in (Kind.OBLIQUE, Kind.OTHER) and rng.random() < 0.5
        return image[:, ::-1].copy() if (wrong_side if not either else True) else image.copy()


def _off_deg(view: View) -> float:
    """How far a view is from PA or AP, whichever is nearer."""
    turn = abs(wrap_deg(view.primary_deg))
    return max(min(turn, 180.0 - turn), abs(view.secondary_deg))


def _moved(image: Float[Tensor, "1 1 h w"], rng: np.random.Generator) -> Float[Tensor, "1 1 h w"]:
    """Turned a little, larger or smaller, off the middle; air comes in from outside."""
    angle = math.radians(float(rng.normal(0.0, 3.5)))
    scale = float(np.exp(rng.normal(0.0, 0.1)))
    c, s = math.cos(angle) / scale, math.sin(angle) / scale
    shift = rng.normal(0.0, 0.08, 2)
    theta = torch.tensor([[c, -s, shift[0]], [s, c, shift[1]]], dtype=torch.float32)[None]
    grid = F.affine_grid(theta, list(image.shape), align_corners=False)
    padding = "zeros" if rng.random() < 0.5 else "border"
    return F.grid_sample(image - _AIR, grid, padding_mode=padding, align_corners=False) + _AIR


def _cropped(image: Float[Tensor, "1 1 h w"], rng: np.random.Generator) -> Float[Tensor, "1 1 h w"]:
    """Portrait or landscape: up to a fifth taken off two sides that face each other."""
    cut = int(rng.uniform(0.0, 0.1) * image.shape[2])
    if cut == 0:
        return image
    return image[:, :, cut:-cut] if rng.random() < 0.5 else image[..., cut:-cut]
