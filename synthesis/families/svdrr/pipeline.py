"""From one frontal radiograph and noise to views, by the published model.

The result is that of the published sampling loop for the same noise, to rounding. What that loop
computes again for every view and step is computed once: image embedding and source latent a
request, cross-attention a view (see `collapsing`). All views go through the network together.

The source's latent is not scaled: the training scales the target's alone. One state of the authors'
sampling script scales both; with their weights that is a source the network has never seen.
"""

from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING, Any, Final

import torch
import torch.nn.functional as F

from synthesis.errors import RadiographError, ViewError
from synthesis.families.svdrr.collapsing import collapse, constants

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float
    from torch import Tensor

    from synthesis.families.svdrr.parts import Parts
    from synthesis.types import ModelIdentity, View, ViewSet

__all__ = ["GUIDANCE", "SvdrrPipeline", "pose_condition"]

GUIDANCE: Final = 3.0
"""Scale of the guidance in the published sampling script."""

_VIEWS_AT_ONCE: Final = 8
"""Views in one batch, so that memory stays bounded whatever is asked."""

_CLIP_MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD: Final = (0.26862954, 0.26130258, 0.27577711)


def pose_condition(views: Sequence[View]) -> Float[Tensor, "views 4"]:
    """What the network is told about each view of a patient whose source is PA at 0/0.

    It was trained on **source minus target**: elevation in radians, and sine and cosine of the
    azimuth; the fourth number, a distance, is always 0.
    """
    return torch.tensor(
        [
            [
                -math.radians(view.secondary_deg),
                math.sin(math.radians(-view.primary_deg)),
                math.cos(math.radians(-view.primary_deg)),
                0.0,
            ]
            for view in views
        ],
        dtype=torch.float32,
    )


class SvdrrPipeline:
    """The published model on one device.

    Args:
        parts: As `synthesis.families.svdrr.parts.read_parts` gives them; they are moved and their
            transformer's cross-attention is collapsed.
        identity: Of the weights.
        device: Of torch.
    """

    def __init__(self, parts: Parts, identity: ModelIdentity, device: torch.device) -> None:
        self.identity = identity
        self.device = device
        self.shrinkage = parts.shrinkage
        """Pixels to one of the latent's."""
        self._parts = parts
        for module in (parts.vae, parts.image_encoder, parts.transformer, parts.projection):
            module.to(device)
        collapse(parts.transformer)

    @torch.inference_mode()
    def sample(
        self,
        source: Float[Tensor, "h w"],
        views: ViewSet | Sequence[View],
        *,
        noise: Float[Tensor, "views 4 h8 w8"],
        steps: int = 20,
        guidance: float = GUIDANCE,
    ) -> Float[Tensor, "views h w"]:
        """Draw every view.

        Args:
            source: PA frontal radiograph (a view of 0/0), float32 on [-1, 1] by its own minimum
                and maximum, larger = more attenuation; the sides are multiples of 16 pixels.
            views: What to draw.
            noise: Standard normal, one latent a view, in the views' order.
            steps: Network evaluations a view.
            guidance: 1 or less draws without the unconditional branch, in half the time.

        Returns:
            On [0, 1], in the views' order, on the source's device. A view does not depend on its
            neighbours beyond the rounding of sums in larger batches (under 1e-5).

        Raises:
            RadiographError: The source has another shape or range.
            ViewError: Noise, steps or guidance cannot be used.
        """
        self._check(source, len(views), noise, steps, guidance)
        came_from = source.device
        image = source.to(self.device, torch.float32).expand(1, 3, -1, -1)
        latent = self._parts.vae.encode(image).latent_dist.mode()  # not scaled, as in training
        tokens = self._tokens(image, tuple(views))
        answers = constants(self._parts.transformer, tokens)
        drawn = [
            self._draw(latent, answers[part], noise[part].to(self.device), steps, guidance)
            for part in _slices(len(views))
        ]
        return torch.cat(drawn).to(came_from)

    def _tokens(
        self, image: Float[Tensor, "1 3 h w"], views: Sequence[View]
    ) -> Float[Tensor, "views channels"]:
        side = self._parts.clip_pixels
        small = F.interpolate(image, (side, side), mode="bicubic", align_corners=True)
        mean, std = (
            torch.tensor(values, device=self.device)[:, None, None]
            for values in (_CLIP_MEAN, _CLIP_STD)
        )
        seen = self._parts.image_encoder((small / 2 + 0.5 - mean) / std).image_embeds
        poses = pose_condition(views).to(self.device)
        tokens: Tensor = self._parts.projection(
            torch.cat([seen.expand(len(views), -1), poses], dim=1)
        )
        return tokens

    def _draw(
        self,
        source: Float[Tensor, "1 4 h8 w8"],
        answers: Float[Tensor, "views blocks width"],
        noise: Float[Tensor, "views 4 h8 w8"],
        steps: int,
        guidance: float,
    ) -> Float[Tensor, "views h w"]:
        count = len(noise)
        condition, context = source.expand(count, -1, -1, -1), answers
        guided = guidance > 1.0
        if guided:  # the unconditional branch sees neither token nor source
            condition = torch.cat([torch.zeros_like(condition), condition])
            nothing = answers.new_zeros(1, self._parts.projection.projection.out_features)
            unconditional = constants(self._parts.transformer, nothing)
            context = torch.cat([unconditional.expand_as(answers), answers])
        scheduler = self._scheduler(steps)
        latents = noise * scheduler.init_noise_sigma
        for time in scheduler.timesteps:
            noisy = torch.cat([latents, latents]) if guided else latents
            predicted = self._predict(torch.cat([noisy, condition], dim=1), context, time)
            if guided:
                free, told = predicted.chunk(2)
                predicted = free + guidance * (told - free)
            latents = scheduler.step(predicted, time, latents, return_dict=False)[0]
        decoded = [self._decode(latent) for latent in latents.split(1)]  # decoding needs most room
        return torch.cat(decoded)

    def _predict(
        self,
        latents: Float[Tensor, "batch 8 h8 w8"],
        context: Float[Tensor, "batch blocks width"],
        time: Tensor,
    ) -> Float[Tensor, "batch 4 h8 w8"]:
        """The noise; the variance that the network learned beside it is not used."""
        batch, _, height, width = latents.shape
        # Read only by a transformer that was built with additional conditions.
        sides = latents.new_tensor([[height * self.shrinkage, width * self.shrinkage]])
        predicted: Tensor = self._parts.transformer(
            latents,
            encoder_hidden_states=context,
            timestep=time.to(self.device).expand(batch),
            added_cond_kwargs={
                "resolution": sides.expand(batch, -1),
                "aspect_ratio": (sides[:, :1] / sides[:, 1:]).expand(batch, -1),
            },
            return_dict=False,
        )[0]
        return predicted.chunk(2, dim=1)[0]

    def _decode(self, latent: Float[Tensor, "1 4 h8 w8"]) -> Float[Tensor, "1 h w"]:
        vae = self._parts.vae
        image: Tensor = vae.decode(latent / vae.config.scaling_factor, return_dict=False)[0]
        return (image / 2 + 0.5).clamp(0.0, 1.0).mean(dim=1)

    def _scheduler(self, steps: int) -> Any:
        """A new one for each batch: it remembers what the network said before."""
        from diffusers import DPMSolverMultistepScheduler

        known = inspect.signature(DPMSolverMultistepScheduler.__init__).parameters
        config = {name: value for name, value in self._parts.scheduler.items() if name in known}
        scheduler = DPMSolverMultistepScheduler(**config)
        scheduler.set_timesteps(steps, device=self.device)
        return scheduler

    def _check(
        self, source: Tensor, views: int, noise: Tensor, steps: int, guidance: float
    ) -> None:
        step = self.shrinkage * self._parts.patch
        if source.ndim != 2 or any(side % step or not side for side in source.shape):
            raise RadiographError(
                f"the source has shape {tuple(source.shape)}: give (height, width), both multiples "
                f"of {step}; the model was trained at {self._parts.resolution}"
            )
        if not torch.isfinite(source).all() or source.abs().max() > 1.0:
            raise RadiographError("the source leaves [-1, 1]: scale it by its minimum and maximum")
        wanted = (views, 4, *(side // self.shrinkage for side in source.shape))
        if tuple(noise.shape) != wanted:
            raise ViewError(f"the noise has shape {tuple(noise.shape)}: give {wanted}")
        if steps < 1:
            raise ViewError(f"steps is {steps}: give 1 or more")
        if not math.isfinite(guidance):
            raise ViewError(f"guidance is {guidance}: give a finite number")


def _slices(count: int) -> list[slice]:
    return [slice(start, start + _VIEWS_AT_ONCE) for start in range(0, count, _VIEWS_AT_ONCE)]
