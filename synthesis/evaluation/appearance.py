"""What the look of a source costs: one truth, many appearances, and how much worse each makes it.

A held-out patient's frontal view is given the appearance of real radiographs whose answer is known:
tone curves, windows, noise, shutters, markers, bits, detectors, formats. Each is read as a
radiograph is read (a scale from percentiles, an estimated tone), synthesized from, and what comes
out is taken back through the known curve to line integrals, so that only anatomy counts and not
grey levels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
import torch.nn.functional as F

from synthesis.cleaning import cleaned
from synthesis.data.appearance import glyph
from synthesis.data.rendering import SCALE
from synthesis.evaluation import metrics
from synthesis.evaluation.protocol import FRONTAL
from synthesis.tones import tone_of
from synthesis.types import (
    FIELD_MM,
    IntensityScale,
    Radiograph,
    SynthesisRequest,
    SynthesisResult,
    ViewSet,
    azimuth_sweep,
)

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy.typing import NDArray
    from torch import Tensor

    from synthesis.evaluation.protocol import Truth

__all__ = [
    "CURVES",
    "Appearance",
    "appearances",
    "costs",
    "curve_of",
    "measure_appearances",
    "undone",
    "views",
]

Curve = Callable[["NDArray[np.float64]"], "NDArray[np.float64]"]

CURVES: Final[Mapping[str, Curve]] = {
    "gamma 0.7": lambda x: x**0.7,
    "gamma 1.4": lambda x: x**1.4,
    "toe and shoulder": lambda x: _logistic(x, 4.0),
    "film": lambda x: _logistic(x**0.8, 5.0),
    "logarithmic": lambda x: np.log1p(3.0 * x) / np.log(4.0),
}
"""Realistic tone curves, from 0 (air) to 1 (the densest half percent of the frontal view)."""

BLACK: Final = 150.0
"""Stored value of air in a look of 12 bits."""

SPAN: Final = 1900.0
"""From there to the densest of a frontal view."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Appearance:
    """One look of a source.

    Attributes:
        name: What was done to it.
        source: As it is read: perhaps a part of the view.
        curve: Line integrals to the values of its pixels, monotone, so far as the look has one.
        middle: Where its middle is, in parts of the view's side right of and below the view's.
        side: Its longer side in parts of the view's.
    """

    name: str
    source: Radiograph
    curve: Curve
    middle: tuple[float, float] = (0.0, 0.0)
    side: float = 1.0


def views(step_deg: float = 15.0) -> ViewSet:
    """Azimuths about the source: 12 views tell as much of a cost as 36."""
    return azimuth_sweep(
        source=FRONTAL, from_deg=-90, to_deg=90, step_deg=step_deg, skip_source=True, name="looks"
    )


def _logistic(x: NDArray[np.float64], steepness: float) -> NDArray[np.float64]:
    low, high = 1.0 / (1.0 + np.exp(steepness * np.array([0.5, -0.5])))
    middle: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-steepness * (x - 0.5)))
    relative: NDArray[np.float64] = (middle - low) / (high - low)
    return relative


def curve_of(shape: Curve, *, dense: float) -> Curve:
    """Line integrals to stored values by a tone curve up to ``dense``, and straight on beyond.

    Args:
        shape: 0..1 to 0..1, monotone, ends kept.
        dense: Line integral that 1 stands for.
    """

    def curve(line: NDArray[np.float64]) -> NDArray[np.float64]:
        relative = line / dense
        inside = np.clip(relative, 0.0, 1.0)
        stored: NDArray[np.float64] = BLACK + SPAN * (shape(inside) + (relative - inside))
        return stored

    return curve


def undone(values: NDArray[np.floating], curve: Curve) -> NDArray[np.float64]:
    """Values taken back to line integrals, any shape; straight on beyond the ends of the scale."""
    grid = np.linspace(SCALE.low, 2.0 * SCALE.high, 8001)
    table = curve(grid)
    line = np.interp(values, table, grid)
    slope = (table[-1] - table[-2]) / (grid[-1] - grid[-2])
    line = np.where(values > table[-1], grid[-1] + (values - table[-1]) / slope, line)
    below: NDArray[np.float64] = grid[0] + (values - table[0]) / slope
    return np.where(values < table[0], below, line)


def _read(
    name: str, values: NDArray[np.floating], curve: Curve, *, size: int, spacing_mm: float | None
) -> Appearance:
    """As a radiograph is read; ``values`` are of the middle of a view of ``size`` pixels."""
    pixels = np.asarray(values, np.float32)
    clean = cleaned(pixels, np.ones(pixels.shape, np.bool_))
    air, dense = (float(v) for v in np.percentile(pixels[clean.body], (0.5, 99.5)))
    (top, bottom), (left, right) = clean.field.rows, clean.field.columns
    return Appearance(
        name=name,
        middle=(
            ((left + right) / 2 - pixels.shape[1] / 2) / size,
            ((top + bottom) / 2 - pixels.shape[0] / 2) / size,
        ),
        side=max(bottom - top, right - left) / size,
        source=Radiograph(
            pixels=clean.image,
            spacing_mm=None if spacing_mm is None else (spacing_mm, spacing_mm),
            view=FRONTAL,
            intensity=IntensityScale.of_frontal(
                air=air, dense=dense, tone=tone_of(clean.image, air=air, dense=dense)
            ),
        ),
        curve=curve,
    )


def appearances(line: NDArray[np.floating], *, seed: int) -> list[Appearance]:
    """Every look of one frontal view; the first is the view itself on the fixed scale.

    Args:
        line: Its line integrals, (size, size) over the training geometry's field.
        seed: Of the noise.
    """
    integrals: NDArray[np.float64] = np.asarray(line, np.float64)
    size = len(integrals)
    pitch = FIELD_MM / size
    dense = float(np.percentile(integrals, 99.5))
    straight = curve_of(lambda x: x, dense=dense)
    stored = np.rint(straight(integrals))
    plain = Radiograph(
        pixels=integrals.astype(np.float32),
        spacing_mm=(pitch, pitch),
        view=FRONTAL,
        intensity=SCALE,
    )
    looks: dict[str, tuple[NDArray[np.floating], Curve]] = {
        "scale from percentiles": (stored, straight)
    }
    for name, shape in CURVES.items():
        curve = curve_of(shape, dense=dense)
        looks[name] = (np.rint(curve(integrals)), curve)
    for name, values in _changed(stored, np.random.default_rng(seed)).items():
        looks[name] = (values, straight)
    looks |= _depths(integrals, dense)
    sixth = size // 12
    looks["portrait"] = (stored[:, sixth : size - sixth], straight)
    looks["landscape"] = (stored[sixth : size - sixth], straight)
    return [
        Appearance(name="plain", source=plain, curve=lambda x: x),
        *(
            _read(name, values, curve, size=size, spacing_mm=pitch)
            for name, (values, curve) in looks.items()
        ),
        _read("spacing unknown", stored, straight, size=size, spacing_mm=None),
    ]


def _changed(
    stored: NDArray[np.floating], rng: np.random.Generator
) -> dict[str, NDArray[np.floating]]:
    """Looks in the values of the straight curve: what is not a curve needs no undoing."""
    size = len(stored)
    relative = (stored - BLACK) / SPAN
    grain = rng.standard_normal(stored.shape) * np.exp(1.5 * (relative - 1.0))
    tensor = torch.from_numpy(stored)[None, None]
    coarse = F.interpolate(tensor, size=(size // 2, size // 2), mode="area")
    soft = F.interpolate(coarse, size=(size, size), mode="bilinear", align_corners=False)
    cells = F.interpolate(tensor, size=(max(2, size // 8),) * 2, mode="area")
    mask = F.interpolate(cells, size=(size, size), mode="bilinear", align_corners=False)
    inside = _field(size)
    letter = np.zeros(stored.shape)
    dots = glyph("L", max(7, size // 16)).numpy()
    top, left = size // 10, size - size // 10 - dots.shape[1]
    letter[top : top + dots.shape[0], left : left + dots.shape[1]] = dots
    return {
        "window clipped": np.clip(stored, *np.percentile(stored, (3.0, 97.0))),
        "noise": stored + 0.03 * SPAN * grain,
        "blur": soft[0, 0].numpy(),
        "edges enhanced": stored + 0.7 * (stored - mask[0, 0].numpy()),
        "black shutters": np.where(inside, stored, 0.0),
        "white shutters": np.where(inside, stored, 4095.0),
        "marker": stored * (1.0 - letter) + 4095.0 * letter,
    }


def _field(size: int) -> NDArray[np.bool_]:
    """What four shutters leave open, turned by 1.5 degrees."""
    y, x = np.mgrid[0:size, 0:size] / size - 0.5
    turn = np.deg2rad(1.5)
    across, down = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    field: NDArray[np.bool_] = (across > -0.45) & (across < 0.44) & (down > -0.44) & (down < 0.46)
    return field


def _depths(
    line: NDArray[np.float64], dense: float
) -> dict[str, tuple[NDArray[np.floating], Curve]]:
    """Other depths of pixels, and a linear detector whose logarithm was taken after counting."""
    found: dict[str, tuple[NDArray[np.floating], Curve]] = {}
    for bits in (8, 10, 16):
        step = 2.0 ** (bits - 12)
        curve = _stretched(curve_of(lambda x: x, dense=dense), step)
        found[f"{bits} bits"] = (np.rint(curve(line)), curve)
    counts = np.maximum(np.rint(16383.0 * np.exp(-line)), 0.5)
    found["linear detector, 14 bits"] = (np.log(16383.0) - np.log(counts), lambda x: x)
    return found


def _stretched(curve: Curve, factor: float) -> Curve:
    return lambda line: curve(line) * factor


def measure_appearances(
    synthesize: Callable[[SynthesisRequest], SynthesisResult],
    truth: Truth,
    *,
    steps: int | None,
    seed: int,
    advance: Callable[[str], None] = lambda name: None,
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Figures of one patient: look -> ``psnr_db``, ``ssim``, ``spectral_ratio`` by view.

    Args:
        synthesize: As the engine does it, with all that it does to a radiograph.
        truth: The patient, at the resolution that comes out of it.
        steps: Network evaluations a view; None = the model's default.
        seed: Of the noise, the same for every look.
        advance: Told of every look that is done.
    """
    line = SCALE.from_model(truth.source[0].numpy())
    true = (truth.images.double() + 1) / 2
    wanted = ViewSet(name="looks", views=truth.views)
    figures = {}
    for look in appearances(line, seed=seed):
        result = synthesize(
            SynthesisRequest(
                source=look.source, views=wanted, steps=steps, seed=seed, allow_ineligible=True
            )
        )
        # What automatic exposure took away is no anatomy.
        exposures = result.exposures or (0.0,) * len(result.images)
        values = np.stack(
            [image.pixels + e for image, e in zip(result.images, exposures, strict=True)]
        )
        unit = torch.from_numpy(undone(values, look.curve) / (SCALE.high - SCALE.low))
        unit = _in_place(unit, look, wanted)
        figures[look.name] = {
            "psnr_db": metrics.psnr_db(unit, true, data_range=1.0).numpy(),
            "ssim": metrics.ssim(unit, true, data_range=1.0).numpy(),
            "spectral_ratio": metrics.spectral_ratio(unit, true).numpy(),
        }
        advance(look.name)
    return figures


def _in_place(
    images: Float[Tensor, "views h w"], look: Appearance, wanted: ViewSet
) -> Float[Tensor, "views h w"]:
    """Views of a part of the field, put where they belong in views of the whole.

    They turn about the middle of the part; from the side, what is beside it lies in the depth.
    """
    if look.side == 1.0 and look.middle == (0.0, 0.0):
        return images
    placed = []
    for image, view in zip(images, wanted, strict=True):
        right = look.middle[0] * np.cos(np.deg2rad(view.primary_deg))
        theta = torch.tensor(
            [
                [1.0 / look.side, 0.0, -2.0 * right / look.side],
                [0.0, 1.0 / look.side, -2.0 * look.middle[1] / look.side],
            ],
            dtype=image.dtype,
        )
        grid = F.affine_grid(theta[None], [1, 1, *image.shape], align_corners=False)
        placed.append(
            F.grid_sample(image[None, None], grid, padding_mode="border", align_corners=False)[0, 0]
        )
    return torch.stack(placed)


def costs(
    patients: Sequence[Mapping[str, Mapping[str, NDArray[np.float64]]]],
) -> dict[str, Any]:
    """Means over patients and views, and what each look costs against the plain one.

    Args:
        patients: One of `measure_appearances` each.

    Returns:
        ``looks``: name -> ``psnr_db``, ``ssim``, ``spectral_ratio``, ``cost_db``, ``cost_ssim``;
        ``tone_cost_db``: the mean cost of the tone curves; ``worst_tone_cost_db``: the greatest.
    """
    looks: dict[str, dict[str, float]] = {}
    for name in patients[0]:
        means = {
            figure: float(np.mean([one[name][figure].mean() for one in patients]))
            for figure in patients[0][name]
        }
        plain = looks.get("plain", means)
        looks[name] = {
            **means,
            "cost_db": plain["psnr_db"] - means["psnr_db"],
            "cost_ssim": plain["ssim"] - means["ssim"],
        }
    tones = [looks[name]["cost_db"] for name in CURVES]
    return {
        "looks": looks,
        "tone_cost_db": float(np.mean(tones)),
        "worst_tone_cost_db": max(tones),
    }
