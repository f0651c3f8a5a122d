"""Figures of several patients as one JSON value: means, curves over the angle, spread."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from synthesis.evaluation.measuring import METRICS
from synthesis.evaluation.protocol import from_frontal_deg

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from synthesis.evaluation.measuring import Measured, Scores
    from synthesis.types import View

__all__ = ["BASELINES", "angle_of", "summary", "write_json"]

BASELINES: Final = ("copy_source", "mean_view", "regression")
"""Printed beside every model."""

_RING_DEG: Final = 15.0


def angle_of(views: Sequence[View]) -> NDArray[np.float64]:
    """The angle that each view's figures are listed under.

    Its primary angle where no view is tilted; else its angle from the front, in the middles of
    rings 15 degrees wide.
    """
    if all(view.secondary_deg == 0.0 for view in views):
        return np.array([view.primary_deg for view in views])
    away = np.array([from_frontal_deg(view) for view in views])
    return np.minimum(away // _RING_DEG, 90.0 // _RING_DEG - 1) * _RING_DEG + _RING_DEG / 2


def summary(measured: Sequence[Measured]) -> dict[str, Any]:
    """What the protocol asks for of one view set.

    Args:
        measured: One per patient, all of the same views.
    """
    angles = angle_of(measured[0].views)
    out = _of_method([one.model for one in measured], angles)
    out["seconds_per_view"] = float(np.mean([one.seconds_per_view for one in measured]))
    out["views"] = len(angles)
    out["by_volume"] = {
        one.name: {name: _number(one.model[name].mean()) for name in METRICS} for one in measured
    }
    kept = [one.kept for one in measured if one.kept is not None]
    out["best_of_samples"] = _of_method(kept, angles) if kept else None
    for baseline in BASELINES:
        found = [one.baselines[baseline] for one in measured]
        known = [scores for scores in found if scores is not None]
        out[baseline] = _of_method(known, angles) if len(known) == len(found) else None
    return out


def _of_method(patients: Sequence[Scores], angles: NDArray[np.float64]) -> dict[str, Any]:
    stacks = {name: np.stack([one[name] for one in patients]) for name in METRICS}
    out: dict[str, Any] = {name: _number(stack.mean()) for name, stack in stacks.items()}
    psnr = stacks["psnr_db"]  # (patients, samples, views)
    spread = psnr.max(axis=1) - psnr.min(axis=1) if psnr.shape[1] > 1 else None
    out["seed_spread_db"] = None if spread is None else _by_angle(spread, angles)
    out["by_angle"] = {
        label: {name: _number(stack[..., where].mean()) for name, stack in stacks.items()}
        for label, where in _places(angles).items()
    }
    return out


def _by_angle(values: NDArray[np.float64], angles: NDArray[np.float64]) -> dict[str, float | None]:
    return {label: _number(values[..., where].mean()) for label, where in _places(angles).items()}


def _places(angles: NDArray[np.float64]) -> Mapping[str, NDArray[np.bool_]]:
    return {f"{angle:g}": angles == angle for angle in np.unique(angles)}


def _number(value: Any) -> float | None:
    # JSON has neither NaN nor infinity.
    number = float(value)
    return number if math.isfinite(number) else None


def write_json(path: Path, report: Mapping[str, Any]) -> None:
    """Store a report; the file appears whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps(report, indent=2, allow_nan=False) + "\n")
    partial.replace(path)
