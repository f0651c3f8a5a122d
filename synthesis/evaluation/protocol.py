"""The protocol of every published figure: which views, of what, on which scale.

The source is the PA view at 0/0 in the training geometry, the patient is as scanned and centred as
a radiographer would, and every view is rendered at the resolution under test.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

from synthesis.data.rendering import SCALE, Renderer
from synthesis.data.volumes import attenuation, body_center_mm, coarsened
from synthesis.errors import ViewError
from synthesis.types import FIELD_MM, View, ViewSet, azimuth_sweep

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from synthesis.data.volumes import Volume

__all__ = ["FRONTAL", "SETS", "Truth", "from_frontal_deg", "render_truth", "to_model", "view_set"]

FRONTAL: Final = View(primary_deg=0.0)
"""The source of the protocol."""

SETS: Final = ("simple", "hemisphere")
"""Names `view_set` knows."""

_HEMISPHERE_VIEWS: Final = 200


def view_set(name: str) -> ViewSet:
    """``simple``: 36 azimuths; ``hemisphere``: 200 Fibonacci directions about the front.

    Raises:
        ViewError: The name is none of `SETS`.
    """
    if name == "simple":
        return azimuth_sweep(
            source=FRONTAL, from_deg=-90, to_deg=90, step_deg=5, skip_source=True, name=name
        )
    if name == "hemisphere":
        return ViewSet(name=name, views=tuple(_fibonacci(_HEMISPHERE_VIEWS)))
    raise ViewError(f"there is no evaluation set {name!r}: choose one of {', '.join(SETS)}")


def _fibonacci(count: int) -> list[View]:
    # Equal steps along the axis that points to the front give equal areas; the golden angle
    # about it spreads them.
    golden = math.pi * (3.0 - math.sqrt(5.0))
    views = []
    for index in range(count):
        front = 1.0 - (index + 0.5) / count
        radius = math.sqrt(1.0 - front * front)
        left, up = radius * math.cos(index * golden), radius * math.sin(index * golden)
        views.append(
            View(
                primary_deg=math.degrees(math.atan2(left, front)),
                secondary_deg=math.degrees(math.asin(up)),
            )
        )
    return views


def from_frontal_deg(view: View) -> float:
    """Angle between the directions of a view and of `FRONTAL`, in [0, 180]."""
    front = math.cos(math.radians(view.primary_deg)) * math.cos(math.radians(view.secondary_deg))
    return math.degrees(math.acos(max(-1.0, min(1.0, front))))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Truth:
    """One patient as rendered, on the model's scale, where 2 is the whole range of `SCALE`.

    Attributes:
        name: Of the volume.
        source: The frontal view.
        views: Of the images.
        images: In that order.
    """

    name: str
    source: Float[Tensor, "1 h w"]
    views: tuple[View, ...]
    images: Float[Tensor, "views h w"]


def to_model(line_integrals: Float[Tensor, "views h w"]) -> Float[Tensor, "views h w"]:
    """Line integrals on the model's scale; not clipped."""
    return torch.from_numpy(SCALE.to_model(line_integrals.numpy()))


def render_truth(volume: Volume, views: ViewSet, *, resolution: int) -> Truth:
    """Render the source and the views of a prepared volume, without any augmentation.

    As in training, the volume is first made as coarse as the pixels, so that a pixel is a mean
    over its area at every resolution.
    """
    volume = coarsened(volume, FIELD_MM / FRONTAL.magnification / resolution)
    renderer = Renderer(attenuation(volume.hu), volume.spacing_mm, body_center_mm(volume))
    images = to_model(renderer.render([FRONTAL, *views], size=resolution))
    return Truth(name=volume.name, source=images[:1], views=views.views, images=images[1:])
