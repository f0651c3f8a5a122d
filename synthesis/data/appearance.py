"""Appearance of real sources: what a unit, its software and its users do to a frontal image.

`source_appearance` changes the source alone. The true views stay as rendered, so a network learns
to look through markers, shutters, noise and processing instead of carrying them on. What both
follow, a monotone tone curve, is `augmentation.tone_curve`.

Images are (s, 1, h, w) on the model's scale: -1 = air, frontal dense tissue about 0 to 0.3. Every
function leaves its input alone and takes its random generator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

import torch
import torch.nn.functional as F

from synthesis.framing import continued

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float
    from torch import Tensor

__all__ = [
    "AIR",
    "GLYPHS",
    "Shares",
    "airless",
    "blurred",
    "clipped",
    "collimated",
    "edge_enhanced",
    "equalised",
    "glyph",
    "marked",
    "noisy",
    "rescaled",
    "smooth",
    "source_appearance",
]

_T = TypeVar("_T")

AIR: Final = -1.0
"""Of the model's scale."""

GLYPHS: Final = {
    "L": "10000 10000 10000 10000 10000 10000 11111",
    "R": "11110 10001 10001 11110 10100 10010 10001",
    "A": "01110 10001 10001 11111 10001 10001 10001",
    "P": "11110 10001 10001 11110 10000 10000 10000",
    "1": "00100 01100 00100 00100 00100 00100 01110",
    "7": "11111 00001 00010 00100 01000 01000 01000",
    "+": "00000 00100 00100 11111 00100 00100 00000",
}
"""Letters of side and view markers and marks like text, as rows of 5 x 7 dots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Part of the changed images that gets each effect."""

    blurred: float = 0.3
    noisy: float = 0.5
    edge_enhanced: float = 0.35
    equalised: float = 0.3
    clipped: float = 0.2
    airless: float = 0.25
    rescaled: float = 0.5
    collimated: float = 0.4
    marked: float = 0.5


def source_appearance(
    images: Float[Tensor, "s 1 h w"],
    generator: torch.Generator,
    *,
    share: float = 0.7,
    shares: Shares | None = None,
) -> Float[Tensor, "s 1 h w"]:
    """Sources as units deliver them: every effect in the order in which it arises.

    Args:
        images: Sources, on the model's scale; not changed.
        generator: Of the draws (on the CPU).
        share: Part of the images that is changed at all.
        shares: Part of those that gets each effect.
    """
    shares = shares or Shares()
    effects = (
        (shares.blurred, blurred),
        (shares.noisy, noisy),
        (shares.edge_enhanced, edge_enhanced),
        (shares.equalised, equalised),
        (shares.clipped, clipped),
        (shares.airless, airless),
        (shares.rescaled, rescaled),
        (shares.collimated, collimated),
        (shares.marked, marked),
    )
    changed = []
    for index in range(len(images)):  # one by one: an image stays in the processor's cache
        image = images[index : index + 1]
        part = torch.rand(1 + len(effects), generator=generator).tolist()
        if part[0] < share:
            for drawn, (often, effect) in zip(part[1:], effects, strict=True):
                image = effect(image, generator) if drawn < often else image
        changed.append(image)
    return torch.cat(changed)


def blurred(
    images: Float[Tensor, "s 1 h w"], generator: torch.Generator
) -> Float[Tensor, "s 1 h w"]:
    """Focal spot, motion and detector: a Gaussian of up to half a percent of the side."""
    height = images.shape[-2]
    sigma = torch.clamp(_draw(images, generator, 0.001, 0.005) * height, min=0.3)
    radius = max(1, round(0.0125 * height))
    at = torch.arange(-radius, radius + 1, dtype=images.dtype)
    kernel = torch.exp(-((at / sigma.view(-1, 1)) ** 2) / 2)
    kernel = (kernel / kernel.sum(dim=1, keepdim=True))[:, None]  # (s, 1, k)
    planes = F.pad(images[:, 0][None], (radius,) * 4, mode="replicate")
    planes = F.conv2d(planes, kernel[..., None], groups=len(images))
    return F.conv2d(planes, kernel[:, :, None], groups=len(images))[0][:, None]


def noisy(images: Float[Tensor, "s 1 h w"], generator: torch.Generator) -> Float[Tensor, "s 1 h w"]:
    """Quantum noise after the logarithm: more of it where less came through."""
    strength = _draw(images, generator, 0.0, 0.025)
    grain = torch.randn(images.shape, generator=generator)
    if torch.rand((), generator=generator) < 0.5:  # a detector's spread makes the grain coarser
        grain = F.avg_pool2d(F.pad(grain, (1, 1, 1, 1), mode="replicate"), 3, 1) * 2.0
    return images + strength * torch.exp(1.5 * images.clamp(AIR, 0.5)) * grain


def edge_enhanced(
    images: Float[Tensor, "s 1 h w"], generator: torch.Generator
) -> Float[Tensor, "s 1 h w"]:
    """Unsharp masking, as every vendor has it: fine detail added once more."""
    mask = smooth(images, int(_one_of((256, 64, 32, 16), generator)))
    return images + _draw(images, generator, 0.2, 1.2) * (images - mask)


def equalised(
    images: Float[Tensor, "s 1 h w"], generator: torch.Generator
) -> Float[Tensor, "s 1 h w"]:
    """Local contrast as multi-scale processing evens it out: large differences made smaller.

    Within the body; raw air stays black.
    """
    coarse = smooth(images, int(_one_of((16, 8, 6), generator)))
    body = torch.sigmoid((images - (AIR + 0.15)) / 0.04)
    middle = (coarse * body).sum((2, 3), keepdim=True) / body.sum((2, 3), keepdim=True).clamp_min(1)
    even = _draw(images, generator, 0.15, 0.5)
    return images + body * even * (middle - coarse)


def clipped(
    images: Float[Tensor, "s 1 h w"], generator: torch.Generator
) -> Float[Tensor, "s 1 h w"]:
    """A window burned in: the densest parts end in one white, and what is black in one black."""
    dense = _quantile(images, 0.95, 0.999, generator)
    least = AIR + _draw(images, generator, 0.0, 0.08)
    return torch.minimum(torch.maximum(images, least), torch.maximum(dense, least + 0.1))


def airless(
    images: Float[Tensor, "s 1 h w"], generator: torch.Generator
) -> Float[Tensor, "s 1 h w"]:
    """The scale of a tight field without raw air: its darkest lung is taken for air."""
    inside = torch.where(images > AIR + 0.1, images, torch.inf)
    least = inside.flatten(1).min(dim=1).values.view(-1, 1, 1, 1)
    least = torch.where(least.isfinite(), least, AIR)
    dense = torch.maximum(_quantile(images, 0.99, 0.999, generator), least + 0.2)
    floor = least + _draw(images, generator, 0.0, 0.2) * (dense - least)
    stretched = AIR + (images - floor) * (dense - AIR) / (dense - floor)
    return stretched.clamp_min(AIR)


def rescaled(
    images: Float[Tensor, "s 1 h w"], generator: torch.Generator
) -> Float[Tensor, "s 1 h w"]:
    """The uncertainty of scaling by percentiles: a little more or less contrast and offset."""
    gain, offset = _draw(images, generator, 0.92, 1.08), _draw(images, generator, -0.03, 0.03)
    return AIR + (images - AIR) * gain + offset


def collimated(
    images: Float[Tensor, "s 1 h w"], generator: torch.Generator
) -> Float[Tensor, "s 1 h w"]:
    """Shutters at one to four sides, slightly turned, sharp or soft.

    Behind them lies what reading an image leaves there: mostly the body `continued` (the field was
    found and cut out) or air (black masks), else white (lead, unmasked) or any grey.
    """
    down = ((torch.arange(images.shape[-2]) + 0.5) / images.shape[-2] - 0.5).view(-1, 1)
    across = ((torch.arange(images.shape[-1]) + 0.5) / images.shape[-1] - 0.5).view(1, -1)
    sides = (
        (down, across, 1.0),
        (-down, -across, 1.0),
        (across, down, -1.0),
        (-across, -down, -1.0),
    )
    shut = []
    for image in images[:, 0]:
        unit = torch.rand(14, generator=generator).tolist()
        softness = 10.0 ** (-3.3 + 1.5 * unit[0])  # in parts of the side: a pixel to a penumbra
        turn = 0.1 * unit[1] - 0.05
        sure = int(4 * unit[2])
        depths = [  # mostly narrow
            0.22 * unit[7 + index] ** 2 if index == sure or unit[3 + index] < 0.5 else 0.0
            for index in range(4)
        ]
        if unit[13] < 0.4:
            shut.append(_cut(image, depths))
            continue
        inside: Tensor | None = None
        for (along, cross, sign), depth in zip(sides, depths, strict=True):
            if not depth:
                continue
            distance = (along + (0.5 - depth)) + (sign * turn) * cross
            inside = distance if inside is None else torch.minimum(inside, distance)
        field = torch.sigmoid(inside / softness) if inside is not None else torch.ones_like(image)
        behind = (AIR if unit[11] < 0.6 else 0.4 * unit[12]) if unit[11] < 0.85 else unit[12] - 1.0
        shut.append(torch.lerp(torch.full_like(image, behind), image, field))
    return torch.stack(shut)[:, None]


def _cut(image: Float[Tensor, "h w"], depths: Sequence[float]) -> Float[Tensor, "h w"]:
    """The field without its borders (top, bottom, left, right), and continued over them."""
    height, width = image.shape
    top, bottom = (round(depth * height) for depth in depths[:2])
    left, right = (round(depth * width) for depth in depths[2:])
    field = image[top : height - bottom, left : width - right]
    return continued(field, left=left, right=right, top=top, bottom=bottom)


def marked(
    images: Float[Tensor, "s 1 h w"], generator: torch.Generator
) -> Float[Tensor, "s 1 h w"]:
    """Lead letters and burned-in text near the borders, brighter (or, if burned in, darker)."""
    images = images.clone()
    for image in images[:, 0]:
        for _ in range(int(_one_of((1, 1, 2, 3), generator))):
            _mark(image, generator)
    return images


def _mark(image: Float[Tensor, "h w"], generator: torch.Generator) -> None:
    height, width = image.shape
    length = int(_one_of((1, 1, 1, 2, 4, 8), generator))
    size = float(torch.rand((), generator=generator)) * 0.05 + 0.025
    size /= 1.0 if length < 3 else 2.0
    text = [_one_of(tuple(GLYPHS), generator) for _ in range(length)]
    tall = max(5, round(size * height))
    dots = glyph("".join(text), tall)
    if torch.rand((), generator=generator) < 0.2:  # a letter laid face down
        dots = dots.flip(-1)
    if torch.rand((), generator=generator) < 0.2:  # a plate about it
        dots = torch.maximum(dots, _frame(dots))
    dots = dots[: height // 2, : width // 2]
    rows, columns = dots.shape
    edge = 0.16 * float(torch.rand((), generator=generator))
    at = float(torch.rand((), generator=generator))
    # Along the left or right border, or else along the upper or lower one.
    corner = [edge, at] if torch.rand((), generator=generator) < 0.3 else [at, edge]
    if torch.rand((), generator=generator) < 0.5:
        corner = [1.0 - one for one in corner]
    top, left = round(corner[0] * (height - rows)), round(corner[1] * (width - columns))
    spot = image[top : top + rows, left : left + columns]
    bright = float(torch.rand((), generator=generator))
    value = AIR if bright < 0.12 else bright
    spot.copy_(spot * (1.0 - dots) + value * dots)


def glyph(text: str, height: int) -> Float[Tensor, "height width"]:
    """Text of `GLYPHS` as coverage, 0 to 1, with an empty dot about it.

    Args:
        text: Its letters.
        height: Of the result in pixels, with the border.
    """
    letters = [_dots(letter) for letter in text]
    row = torch.cat([F.pad(letter, (1, 0)) for letter in letters], dim=1)
    row = F.pad(row, (0, 1, 1, 1))
    width = max(2, round(height * row.shape[1] / row.shape[0]))
    enlarged = F.interpolate(row[None, None], scale_factor=4.0, mode="nearest")
    return F.interpolate(enlarged, size=(height, width), mode="bilinear", antialias=True)[0, 0]


def _dots(letter: str) -> Float[Tensor, "7 5"]:
    return torch.tensor([[float(dot) for dot in line] for line in GLYPHS[letter].split()])


def _frame(dots: Float[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    frame = torch.ones_like(dots)
    frame[1:-1, 1:-1] = 0.0
    return frame


def smooth(images: Float[Tensor, "s 1 h w"], cells: int) -> Float[Tensor, "s 1 h w"]:
    """A cheap low pass: means over ``cells`` cells a side, joined smoothly."""
    height, width = images.shape[-2:]
    small = (min(height // 2, cells), min(width // 2, cells))
    coarse = F.interpolate(images, size=small, mode="area")
    return F.interpolate(coarse, size=(height, width), mode="bilinear", align_corners=False)


def _draw(images: Tensor, generator: torch.Generator, low: float, high: float) -> Tensor:
    """One number an image, (s, 1, 1, 1)."""
    return torch.rand(len(images), 1, 1, 1, generator=generator) * (high - low) + low


def _quantile(
    images: Float[Tensor, "s 1 h w"], low: float, high: float, generator: torch.Generator
) -> Float[Tensor, "s 1 1 1"]:
    """A high quantile of each image, drawn between two; from every fourth pixel of a row."""
    values = images[..., ::4, ::4].flatten(1).sort(dim=1).values
    part = _draw(images, generator, low, high).view(-1, 1) * (values.shape[1] - 1)
    return values.gather(1, part.long()).view(-1, 1, 1, 1)


def _one_of(values: Sequence[_T], generator: torch.Generator) -> _T:
    return values[int(torch.randint(len(values), (), generator=generator))]
