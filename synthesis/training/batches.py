"""Batches of a source and several of its targets, drawn from the cache of rendered views."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from synthesis.data.augmentation import tone_curve
from synthesis.data.cache import Shard, list_shards
from synthesis.data.rendering import SCALE
from synthesis.families.vcdit import guesses, pose_features
from synthesis.training.recipe import RecipeError

if TYPE_CHECKING:
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
        """The batch of this number."""
        recipe = self._recipe
        rng = np.random.default_rng([recipe.seed, stage.resolution, number])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        patients = sorted(self._shards)
        groups, guess, pose = [], [], []
        chosen = []
        for _ in range(stage.sources):
            shards = self._shards[patients[rng.integers(len(patients))]]
            shard = shards[rng.integers(len(shards))]
            source = int(rng.choice(shard.sources))
            others = [i for i in range(len(shard.views)) if i != source]
            targets = rng.choice(others, stage.targets, replace=False)
            order = [source, *(int(t) for t in targets)]
            images = torch.from_numpy(
                np.stack([shard.images()[i] for i in order]).astype(np.float32)
            )
            groups.append(_resized(images, stage.resolution))
            chosen.append((shard, order))
        stack = torch.stack(groups) * (2.0 / SCALE.high) - 1.0  # (s, 1 + k, h, w)
        stack = tone_curve(stack, generator, share=recipe.tone_share)
        noise = torch.rand(stage.sources, 1, 1, 1, generator=generator) * recipe.source_noise
        source_images = stack[:, :1] + noise * torch.randn(stack[:, :1].shape, generator=generator)
        for index, (shard, order) in enumerate(chosen):
            views = [shard.views[i] for i in order]
            repeated = source_images[index, None].expand(stage.targets, -1, -1, -1)
            guess.append(guesses(repeated, views[0], views[1:], field_mm=shard.field_mm))
            pose.append(pose_features(views[0], views[1:], field_mm=shard.field_mm))
        return Batch(
            source=source_images,
            target=stack[:, 1:].flatten(0, 1)[:, None],
            guess=torch.cat(guess),
            pose=torch.cat(pose),
        )


def _resized(images: Float[Tensor, "n h w"], size: int) -> Float[Tensor, "n size size"]:
    """Line integrals at a coarser pitch are means over the finer one."""
    have = images.shape[-1]
    if have == size:
        return images
    if have < size:
        raise RecipeError(f"the cache holds {have} px images, the stage asks for {size} px")
    return F.interpolate(images[:, None], size=(size, size), mode="area")[:, 0]
