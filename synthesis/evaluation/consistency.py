"""How well the consistency scores tell true pairs of views from wrong ones.

Each patient is rendered from the front and from the side at equal steps, as scanned and continued
beyond the scan (a CT ends in the middle of a body; two such ends are easily told apart, which a
radiograph does not offer). Pairs of the front with another view are then true, of two patients, of
the right patient seen from another angle than is claimed, or blurred.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from synthesis.consistency import epipolar_consistency, row_sum_consistency
from synthesis.consistency.calibration import Calibration
from synthesis.data.augmentation import extended
from synthesis.data.rendering import SCALE, Renderer
from synthesis.data.volumes import (
    Volume,
    attenuation,
    body_center_mm,
    coarsened,
    load_volume,
)
from synthesis.evaluation.protocol import FRONTAL
from synthesis.types import FIELD_MM, Radiograph, View

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = [
    "ANGLES_DEG",
    "SCORES",
    "Body",
    "auc",
    "bodies",
    "calibrate",
    "evaluate",
    "report",
    "scores",
]

ANGLES_DEG: Final = (15, 30, 45, 60, 75, 90)
WRONG_BY_DEG: Final = (15, 30)
"""How far the true angle is from the claimed one, to either side, up to `LAST_DEG`."""
LAST_DEG: Final = 90
BLUR_MM: Final = 8.0
"""Standard deviation at the detector of a view that is blurred."""
REACH_MM: Final = 80.0
"""How far a body is continued beyond its scan."""
PERCENTS: Final = (0, 1, 2, 5, 10, 25, 50, 75, 90, 95, 98, 99, 99.5, 100)

SCORES: Final[Mapping[str, Callable[[Radiograph, Radiograph], float | None]]] = {
    "epipolar": epipolar_consistency,
    "row_sums": row_sum_consistency,
}

Pairs = dict[str, dict[int, dict[str, list[float]]]]
"""Scores by name of the score, claimed angle and kind of pair."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Body:
    """One patient from all sides, on a level circle.

    Attributes:
        name: Of the volume.
        images: Line integrals by primary angle.
    """

    name: str
    images: Mapping[int, NDArray[np.float32]]


def bodies(volume: Volume, *, size: int) -> tuple[Body, Body]:
    """A prepared volume rendered as scanned, and continued beyond its scan."""
    volume = coarsened(volume, FIELD_MM / FRONTAL.magnification / size)
    center = body_center_mm(volume)
    longer = extended(volume, reach_mm=REACH_MM)
    added = round(REACH_MM / volume.spacing_mm[2]) * volume.spacing_mm[2]
    return (
        _body(volume, center, size),
        _body(longer, (center[0], center[1], center[2] + added), size),
    )


def _body(volume: Volume, center_mm: tuple[float, float, float], size: int) -> Body:
    angles = (0, *(side * angle for angle in ANGLES_DEG for side in (1, -1)))
    renderer = Renderer(attenuation(volume.hu), volume.spacing_mm, center_mm)
    images = renderer.render([View(primary_deg=angle) for angle in angles], size=size).numpy()
    return Body(name=volume.name, images=dict(zip(angles, images, strict=True)))


def scores(patients: Sequence[Body]) -> Pairs:
    """Every score of every kind of pair."""
    found: Pairs = {
        name: {
            angle: {kind: [] for kind in ("true", "wrong_patient", "wrong_angle", "blurred")}
            for angle in ANGLES_DEG
        }
        for name in SCORES
    }
    for claimed in (side * angle for angle in ANGLES_DEG for side in (1, -1)):
        for patient in patients:
            source = _radiograph(patient.images[0], 0)
            for kind, pixels in _others(patient, patients, claimed):
                other = _radiograph(pixels, claimed)
                for name, score in SCORES.items():
                    value = score(source, other)
                    if value is not None:
                        found[name][abs(claimed)][kind].append(value)
    return found


def _others(
    patient: Body, patients: Sequence[Body], claimed: int
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    true = patient.images[claimed]
    yield "true", true
    yield "blurred", _blurred(torch.tensor(true)).numpy()
    for other in patients:
        if other.name != patient.name:
            yield "wrong_patient", other.images[claimed]
    side = 1 if claimed > 0 else -1
    for off in (step * way for step in WRONG_BY_DEG for way in (1, -1)):
        if 0 < abs(claimed) + off <= LAST_DEG:
            yield "wrong_angle", patient.images[claimed + side * off]


def _radiograph(pixels: NDArray[np.float32], primary_deg: int) -> Radiograph:
    pitch = FIELD_MM / len(pixels)
    return Radiograph(
        pixels=pixels,
        spacing_mm=(pitch, pitch),
        view=View(primary_deg=primary_deg),
        intensity=SCALE,
    )


def _blurred(image: Float[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    sigma = BLUR_MM / FIELD_MM * len(image)
    reach = math.ceil(3 * sigma)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1)
    for _ in range(2):  # along the rows, then, turned, along the columns
        padded = torch.nn.functional.pad(image[None, None], (reach, reach, 0, 0), mode="replicate")
        image = torch.nn.functional.conv2d(padded, kernel)[0, 0].T
    return image


def auc(true: Sequence[float], wrong: Sequence[float]) -> float | None:
    """Part of all pairings in which the true one scores higher; a tie counts half."""
    if not true or not wrong:
        return None
    a, b = np.asarray(true)[:, None], np.asarray(wrong)[None]
    return float((a > b).mean() + (a == b).mean() / 2)


def report(pairs: Pairs) -> dict[str, Any]:
    """Mean scores and AUCs, by score and angle, for JSON."""
    return {
        name: {
            str(angle): {
                "true": float(np.mean(kinds["true"])),
                "auc": {kind: auc(kinds["true"], kinds[kind]) for kind in kinds if kind != "true"},
                "pairs": {kind: len(values) for kind, values in kinds.items()},
            }
            for angle, kinds in by_angle.items()
        }
        for name, by_angle in pairs.items()
    }


def calibrate(pairs: Sequence[Pairs], about: dict[str, Any]) -> Calibration:
    """Quantiles of the epipolar score over all sets of pairs."""

    def table(kind: str) -> NDArray[np.float64]:
        return np.array(
            [
                np.percentile([v for one in pairs for v in one["epipolar"][a][kind]], PERCENTS)
                for a in ANGLES_DEG
            ]
        )

    return Calibration(
        turns_deg=np.array(ANGLES_DEG, np.float64),
        percents=np.array(PERCENTS, np.float64),
        true=table("true"),
        wrong=table("wrong_patient"),
        about=about,
    )


def evaluate(
    paths: Sequence[Path], *, size: int, advance: Callable[[str], None] = lambda doing: None
) -> dict[str, Pairs]:
    """The scores of the pairs of some CT volumes, as scanned and continued.

    Args:
        paths: NIfTI files, at least two for pairs of different patients.
        size: Side of the views in pixels.
        advance: Told what comes next.

    Raises:
        VolumeError: A volume cannot be read.
    """
    rendered = []
    for path in paths:
        advance(f"rendering {Path(path).name}")
        rendered.append(bodies(load_volume(path), size=size))
    advance("scoring")
    return {
        "as_scanned": scores([scanned for scanned, _ in rendered]),
        "continued": scores([longer for _, longer in rendered]),
    }
