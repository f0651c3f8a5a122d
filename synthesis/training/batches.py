"""Batches of a source and several of its targets, drawn from the cache of rendered views."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from synthesis.data.appearance import source_appearance
from synthesis.data.augmentation import LEVEL_DEG, body_variation, tone_curve
from synthesis.data.cache import Shard, list_shards
from synthesis.data.mixing import mixed
from synthesis.data.rendering import SCALE
from synthesis.families.vcdit import guesses, pose_features
from synthesis.training.recipe import RecipeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float
    from torch import Tensor

    from synthesis.training.recipe import Recipe, Stage

__all__ = ["Batch", "Batches"]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Sources, and each one's targets one after the other."""

    source: Float[Tensor, "s 1 h w"]
    target: Float[Tensor, "b 1 h w"]
    guess: Float[Tensor, "b 1 h w"]
    pose: Float[Tensor, "b p"]

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        return Batch(
            source=self.source.to(device),
            target=self.target.to(device),
            guess=self.guess.to(device),
            pose=self.pose.to(device),
        )


class Batches:
    """Draws batches; the n-th batch of a seed is always the same while the cache is.

    Args:
        recipe: Names the cache and the patients kept out.
        patients: Only these; left out, all but those kept out.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._shards: dict[str, list[Shard]] = {}
        self.refresh()

    def refresh(self) -> int:
        """Look for new shards, as rendering may go on during training; how many there are."""
        shards: dict[str, list[Shard]] = {}
        for shard in list_shards(Path(self._recipe.cache)):
            if shard.patient not in self._recipe.validate:
                shards.setdefault(shard.patient, []).append(shard)
        if not shards:
            raise RecipeError(f"{self._recipe.cache}: no rendered patients; run `render` first")
        self._shards = shards
        return sum(map(len, shards.values()))

    def draw(self, stage: Stage, number: int) -> Batch:
        """The batch of this number.

        Raises:
            RecipeError: A patient has no shard of the stage's resolution.
        """
        recipe = self._recipe
        rng = np.random.default_rng([recipe.seed, stage.resolution, number])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        patients = sorted(self._shards)
        groups, guess, pose = [], [], []
        chosen = []
        for _ in range(stage.sources):
            shards = [
                shard
                for shard in self._shards[patients[rng.integers(len(patients))]]
                if shard.size >= stage.resolution and (shard.exact or not stage.exact)
            ]
            if not shards:
                kind = "exact shards" if stage.exact else "shards"
                raise RecipeError(f"{recipe.cache}: too few {kind} of {stage.resolution} px")
            shard = shards[rng.integers(len(shards))]
            source = int(rng.choice(shard.sources))
            order = [source, *_drawn_targets(shard, source, stage.targets, rng)]
            images, views = _images(shard, order), [shard.views[i] for i in order]
            if rng.random() < recipe.mix_share and not stage.exact:
                others = self._alike(shard)
                if others:
                    other = _images(others[rng.integers(len(others))], order)
                    images = mixed(images, other, views, rng)
            images, views = body_variation(images, views, rng)
            groups.append(_resized(images, stage.resolution))
            chosen.append((views, shard.field_mm))
        stack = torch.stack(groups) * (2.0 / SCALE.high) - 1.0  # (s, 1 + k, h, w)
        stack = tone_curve(stack, generator, share=recipe.tone_share)
        source_images = source_appearance(stack[:, :1], generator, share=recipe.source_share)
        for index, (views, field_mm) in enumerate(chosen):
            repeated = source_images[index, None].expand(stage.targets, -1, -1, -1)
            guess.append(guesses(repeated, views[0], views[1:], field_mm=field_mm))
            pose.append(pose_features(views[0], views[1:], field_mm=field_mm))
        return Batch(
            source=source_images,
            target=stack[:, 1:].flatten(0, 1)[:, None],
            guess=torch.cat(guess),
            pose=torch.cat(pose),
        )

    def _alike(self, shard: Shard) -> list[Shard]:
        """Other patients in the same views."""
        return [
            other
            for patient, others in sorted(self._shards.items())
            if patient != shard.patient
            for other in others
            if (other.views, other.field_mm, other.size, other.scale)
            == (shard.views, shard.field_mm, shard.size, shard.scale)
        ]


def _images(shard: Shard, order: Sequence[int]) -> Float[Tensor, "views h w"]:
    return torch.from_numpy(np.stack([shard.image(i) for i in order]))


def _drawn_targets(
    shard: Shard, source: int, count: int, rng: np.random.Generator
) -> tuple[int, ...]:
    """Targets of one source: mostly all about the long axis, else from the whole hemisphere."""
    others = [i for i in range(len(shard.views)) if i != source]
    level = [i for i in others if abs(shard.views[i].secondary_deg) < LEVEL_DEG]
    pool = level if len(level) >= count and rng.random() < 0.6 else others
    return tuple(int(i) for i in rng.choice(pool, count, replace=False))


def _resized(images: Float[Tensor, "n h w"], size: int) -> Float[Tensor, "n size size"]:
    """Line integrals at a coarser pitch are means over the finer one."""
    have = images.shape[-1]
    if have == size:
        return images
    return F.interpolate(images[:, None], size=(size, size), mode="area")[:, 0]
