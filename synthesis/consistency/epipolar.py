"""Epipolar consistency of two cone-beam views (Aichert et al. 2015, on Grangeat's theorem).

The derivative of a plane's integral across the plane follows from either view that the plane's
pencil passes, so two views of one body agree on it for every plane they share (Grangeat 1991):

    dR/dn  ~  (1 + (s / SDD)^2)  d/ds  integral of  g(t, s) SDD / r(t, s)  along the line s,

``r`` being the distance of the pixel from the tube. The score is the correlation of both sides'
profiles over the planes, differentiated once more from plane to plane: that takes out what all
chests have in common, and measured best at telling wrong angles (`evaluate-consistency`).

Detectors cut bodies. The derivative is taken first and weighted to nothing at the borders second,
so that a border is not an edge; a plane of whose line too little lies on either detector is left
out. Matter beyond the sides of the field is missing in one view and not in the other; it varies
slowly along the body, and the second derivative takes most of that out as well.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
import torch.nn.functional as F

from synthesis.consistency.pencil import Lines, lines, pencil
from synthesis.types import ASSUMED_FIELD_MM, Radiograph, View

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

__all__ = ["epipolar_consistency", "epipolar_scores"]

BLUR_MM: Final = 3.0
"""Standard deviation of the derivative's Gaussian at the detector; of 1.5 to 10 mm and both orders
the one that told most wrong angles and blurred views from true ones at 128 px."""

FEATHER: Final = 0.04
"""Part of the detector's side over which its border fades."""

PLANE_STEP_MM: Final = 2.0
"""Between neighbouring planes, at the isocentre."""

LINE_STEP_MM: Final = 4.0
"""Between samples along a line; the derivative is smooth over more."""

LEAST_COVER: Final = 0.8
"""Least part of the longest line that a plane's line must have on each detector."""

LEAST_PLANES: Final = 24
"""Fewer planes than this do not make a correlation."""

_AIR_PERCENT: Final = 1.0


def epipolar_consistency(first: Radiograph, second: Radiograph) -> float | None:
    """How well two radiographs agree, at most 1; higher is better.

    Args:
        first: One view; of unknown spacing, its longer side is taken to be `ASSUMED_FIELD_MM`.
        second: Another.

    Returns:
        None when the two share too few planes: tubes at one place, or fields that hardly overlap.
    """
    scores = epipolar_scores(
        torch.from_numpy(first.pixels.copy()),
        first.view,
        _spacing_mm(first),
        torch.from_numpy(second.pixels.copy())[None],
        second.view,
        _spacing_mm(second),
    )
    return None if scores is None else float(scores[0])


def _spacing_mm(radiograph: Radiograph) -> tuple[float, float]:
    if radiograph.spacing_mm is not None:
        return radiograph.spacing_mm
    pitch = ASSUMED_FIELD_MM / max(radiograph.pixels.shape)
    return pitch, pitch


def epipolar_scores(
    source: Float[Tensor, "h w"],
    source_view: View,
    source_spacing_mm: tuple[float, float],
    images: Float[Tensor, "candidates h2 w2"],
    view: View,
    spacing_mm: tuple[float, float],
) -> Float[Tensor, " candidates"] | None:
    """The consistency of a source with each of several candidates for one other view.

    Args:
        source: Attenuation on any scale, larger = more.
        source_view: Of the source.
        source_spacing_mm: Its row and column pitch at the detector.
        images: Likewise, of the other view.
        view: Of the candidates.
        spacing_mm: Their pitch.

    Returns:
        One correlation a candidate, or None when too few planes are shared.
    """
    reach_mm = max(
        max(n * s for n, s in zip(shape, spacing, strict=True)) / 2 / seen.magnification
        for shape, spacing, seen in (
            (source.shape, source_spacing_mm, source_view),
            (images.shape[1:], spacing_mm, view),
        )
    )
    normals = pencil(source_view, view, reach_mm=reach_mm, step_mm=PLANE_STEP_MM)
    if normals is None:
        return None
    blur_mm = max(BLUR_MM, *source_spacing_mm, *spacing_mm)
    ours, our_cover = _profiles(
        source[None], lines(normals, source_view), source_view, source_spacing_mm, blur_mm
    )
    theirs, their_cover = _profiles(images, lines(normals, view), view, spacing_mm, blur_mm)
    seen = torch.minimum(our_cover, their_cover) > LEAST_COVER
    both = seen[1:] & seen[:-1]
    if int(both.sum()) < LEAST_PLANES:
        return None
    return _correlation(ours.diff(dim=1)[:, both], theirs.diff(dim=1)[:, both])


def _profiles(
    images: Float[Tensor, "n h w"],
    cut: Lines,
    view: View,
    spacing_mm: tuple[float, float],
    blur_mm: float,
) -> tuple[Float[Tensor, "n planes"], Float[Tensor, " planes"]]:
    """Grangeat's derivative on each plane, and each line's length in parts of the longest."""
    height, width = images.shape[1:]
    distance = view.source_detector_mm
    v = _places_mm(height, spacing_mm[0], images)[:, None]
    u = _places_mm(width, spacing_mm[1], images)[None, :]
    # Air is nothing, whatever a detector calls it; this makes the score blind to an offset.
    air = torch.quantile(images.flatten(1), _AIR_PERCENT / 100, dim=1)[:, None, None]
    weighted = (images - air) * (distance / torch.sqrt(distance**2 + u**2 + v**2))
    border = _border(height, images)[:, None] * _border(width, images)[None, :]
    down = _derived(weighted, spacing_mm, blur_mm, along=1) * border
    across = _derived(weighted, spacing_mm, blur_mm, along=2) * border
    normal = torch.from_numpy(cut.normals).to(images)
    offset = torch.from_numpy(cut.offsets_mm).to(images)
    reach = math.hypot(height * spacing_mm[0], width * spacing_mm[1]) / 2
    count = round(reach / LINE_STEP_MM)
    t = torch.arange(-count, count + 1, device=images.device, dtype=images.dtype) * LINE_STEP_MM
    x = offset[:, None] * normal[:, :1] - t * normal[:, 1:]
    y = offset[:, None] * normal[:, 1:] + t * normal[:, :1]
    grid = torch.stack([x / (width * spacing_mm[1] / 2), y / (height * spacing_mm[0] / 2)], dim=-1)
    stack = torch.cat([across, down, border[None]])[None]
    sums = F.grid_sample(stack, grid[None], mode="bilinear", align_corners=False)[0].sum(dim=-1)
    n = len(images)
    slope = sums[:n] * normal[:, 0] + sums[n : 2 * n] * normal[:, 1]
    cover = sums[-1] / sums[-1].max().clamp_min(1e-9)
    return slope * (1 + (offset / distance) ** 2), cover


def _places_mm(count: int, pitch_mm: float, like: Tensor) -> Float[Tensor, " count"]:
    places = torch.arange(count, device=like.device, dtype=like.dtype)
    return (places - (count - 1) / 2) * pitch_mm


def _border(count: int, like: Tensor) -> Float[Tensor, " count"]:
    """1 inside, falling to 0 as half a cosine at both ends."""
    place = (torch.arange(count, device=like.device, dtype=like.dtype) + 0.5) / count
    depth = (torch.minimum(place, 1 - place) / FEATHER).clamp(0.0, 1.0)
    return 0.5 - 0.5 * torch.cos(torch.pi * depth)


def _derived(
    images: Float[Tensor, "n h w"], spacing_mm: tuple[float, float], blur_mm: float, *, along: int
) -> Float[Tensor, "n h w"]:
    """Derivative per mm along one axis (1: down, 2: across) of the images under a Gaussian."""
    for axis, pitch_mm in zip((1, 2), spacing_mm, strict=True):
        sigma = blur_mm / pitch_mm
        x = np.arange(-math.ceil(4 * sigma), math.ceil(4 * sigma) + 1)
        kernel = np.exp(-0.5 * (x / sigma) ** 2)
        kernel /= kernel.sum()
        if axis == along:
            kernel *= x / sigma**2 / pitch_mm
        images = _correlated(images, torch.from_numpy(kernel).to(images), axis)
    return images


def _correlated(
    images: Float[Tensor, "n h w"], kernel: Float[Tensor, " taps"], axis: int
) -> Float[Tensor, "n h w"]:
    rows = images.movedim(axis, -1)
    padded = F.pad(rows.flatten(0, 1)[:, None], (len(kernel) // 2,) * 2, mode="replicate")
    return F.conv1d(padded, kernel[None, None]).reshape(rows.shape).movedim(-1, axis)


def _correlation(
    first: Float[Tensor, "1 planes"], second: Float[Tensor, "candidates planes"]
) -> Float[Tensor, " candidates"]:
    a = first - first.mean(dim=1, keepdim=True)
    b = second - second.mean(dim=1, keepdim=True)
    norms: Tensor = a.norm(dim=1) * b.norm(dim=1)
    return (a * b).sum(dim=1) / norms.clamp_min(1e-12)
