"""What a consistency score means: how many pairs of different patients agree as well.

The table is measured on rendered pairs by ``python -m synthesis evaluate-consistency
--calibration``; it stands beside the weights.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from synthesis.geometry import detector_axis

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from synthesis.types import View

__all__ = ["Calibration", "bundled_calibration", "turn_deg"]

_TABLE = Path(__file__).parents[1] / "weights" / "consistency.json"


def turn_deg(first: View, second: View) -> float:
    """Angle between the central rays of two views as lines, in [0, 90].

    Views from opposite sides look through the body along the same lines.
    """
    cosine = abs(float(detector_axis(first) @ detector_axis(second)))
    return float(np.degrees(np.arccos(min(1.0, cosine))))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibration:
    """Scores of pairs whose truth is known, by the turn between their views.

    Attributes:
        turns_deg: (turns,), ascending.
        percents: (levels,), of the quantiles, ascending from 0 to 100.
        true: (turns, levels), quantiles of the scores of two views of one patient.
        wrong: (turns, levels), of views of two patients.
        about: What it was measured on.
    """

    turns_deg: NDArray[np.float64]
    percents: NDArray[np.float64]
    true: NDArray[np.float64]
    wrong: NDArray[np.float64]
    about: dict[str, Any]

    def wrong_below(self, score: float, turn: float) -> float:
        """Percent of pairs of different patients, at this turn, that agree less than a score."""
        return self._percent(self.wrong, score, turn)

    def true_below(self, score: float, turn: float) -> float:
        """Percent of true pairs, at this turn, that agree less."""
        return self._percent(self.true, score, turn)

    def _percent(self, table: NDArray[np.float64], score: float, turn: float) -> float:
        quantiles = [np.interp(turn, self.turns_deg, column) for column in table.T]
        return float(np.interp(score, quantiles, self.percents, left=0.0, right=100.0))

    def to_json(self) -> dict[str, Any]:
        """For `from_json`."""
        return {
            "about": self.about,
            "turns_deg": self.turns_deg.tolist(),
            "percents": self.percents.tolist(),
            "true": np.round(self.true, 4).tolist(),
            "wrong": np.round(self.wrong, 4).tolist(),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Calibration:
        """Of `to_json`."""
        arrays = {
            name: np.asarray(value[name], np.float64)
            for name in ("turns_deg", "percents", "true", "wrong")
        }
        return cls(**arrays, about=value["about"])


@cache
def bundled_calibration() -> Calibration:
    """The packaged table."""
    return Calibration.from_json(json.loads(_TABLE.read_text()))
