"""From the library's radiographs and views to what the published model reads, and back.

**Grey levels.** The model was trained on views that were each stretched from their own minimum to
their own maximum, so how much matter there is in all is not among what it knows. Its source is
stretched the same way, and a view that it drew is given its source's range: its thinnest place gets
the attenuation of the source's thinnest (air, where there is some), its densest that of the
source's densest. Levels are thus plausible, and are no measurement.

**Views.** The model knows the half of the sphere on the detector's side of a PA source. A view is
taken for what its onlooker sees, from wherever the tube stands (`synthesis.geometry`); one from
behind is the mirror image of the view that faces it.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Final

import torch

from synthesis.errors import RadiographError, ViewError
from synthesis.geometry import relative_pose
from synthesis.types import View, wrap_deg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float
    from torch import Tensor

    from synthesis.families.svdrr.pipeline import SvdrrPipeline

__all__ = ["draw", "faced", "latent_noise"]

_FRONTAL_DEG: Final = 5.0
"""How far from PA or AP a source may be: the model never saw another one."""


def draw(
    pipeline: SvdrrPipeline,
    image: Float[Tensor, "h w"],
    source: View,
    views: Sequence[View],
    *,
    seed: int,
    sample: int,
    steps: int,
) -> Float[Tensor, "views h w"]:
    """Views of a source, in the source's own grey levels.

    Args:
        pipeline: The model.
        image: The source, larger = more attenuation, on any scale.
        source: Its view, PA or AP.
        views: What to draw.
        seed: Of the request.
        sample: Number of the sample, from 0.
        steps: Network evaluations a view.

    Raises:
        ViewError: The source is not frontal.
        RadiographError: The source is constant.
    """
    low, high = image.min(), image.max()
    if not high > low:
        raise RadiographError("the source is constant: there is nothing to draw views of")
    seen = [faced(source, view) for view in views]
    side = len(image) // pipeline.shrinkage
    drawn = pipeline.sample(
        (2.0 * (image - low) / (high - low) - 1.0).clamp(-1.0, 1.0),
        [view for view, _ in seen],
        noise=torch.stack([latent_noise(seed, sample, view, side) for view in views]),
        steps=steps,
    )
    turned = [
        one.flip(-1) if mirrored else one for one, (_, mirrored) in zip(drawn, seen, strict=True)
    ]
    return torch.stack(turned) * (high - low) + low


def faced(source: View, view: View) -> tuple[View, bool]:
    """A view as the model is asked for it: in front of a PA source, and whether to mirror it.

    Raises:
        ViewError: The source is not frontal.
    """
    away = relative_pose(View(primary_deg=0.0), source)
    pose = relative_pose(source, view)
    if max(abs(away.azimuth_rad), abs(away.target_elevation_rad)) > math.radians(_FRONTAL_DEG):
        raise ViewError(
            f"the source is {source.label}: the published weights read PA and AP sources alone"
        )
    azimuth_deg = math.degrees(pose.azimuth_rad)
    elevation_deg = math.degrees(pose.target_elevation_rad)
    behind = abs(azimuth_deg) > 90.0 + 1e-9
    if behind:
        azimuth_deg, elevation_deg = wrap_deg(azimuth_deg - 180.0), -elevation_deg
    return View(primary_deg=round(azimuth_deg, 9), secondary_deg=round(elevation_deg, 9)), behind


def latent_noise(seed: int, sample: int, view: View, side: int) -> Float[Tensor, "4 side side"]:
    """Standard normal noise of one sample of one view, from a CPU generator of its own.

    It depends on the seed, the sample's number and the view alone: not on the batch, on the order
    of the views, nor on the device.
    """
    text = f"svdrr/{seed}/{sample}/{view.primary_deg!r}/{view.secondary_deg!r}/{view.seen_from}"
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
    generator = torch.Generator("cpu").manual_seed(number)
    return torch.randn(4, side, side, generator=generator)
