"""Zero-order Helgason-Ludwig consistency: what a row holds does not change as one walks about.

In parallel geometry the matter in a horizontal slice is the sum of its row in every level view.
Cone beams bend this a little, and a field that cuts the body's sides bends it more, so the score is
the correlation of the profiles' slopes, not their difference. Cheap, and blind to the angle: see
`synthesis.consistency.epipolar` for the exact one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from synthesis.types import ASSUMED_FIELD_MM, Radiograph

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["row_sum_consistency"]

LEVEL_DEG: Final = 5.0
"""Views tilted by more do not see the slices edge-on; they have no common rows."""

STEP_MM: Final = 3.0
"""Pitch, at the isocentre, of the profiles that are compared."""

SKIP: Final = 0.04
"""Part of the height left out at the upper and at the lower border."""

LEAST_ROWS: Final = 16


def row_sum_consistency(first: Radiograph, second: Radiograph) -> float | None:
    """Correlation of the slopes of two level views' row sums, at most 1; higher is better.

    Returns:
        None when a view is tilted by more than `LEVEL_DEG`, or too few rows are common.
    """
    if max(abs(first.view.secondary_deg), abs(second.view.secondary_deg)) > LEVEL_DEG:
        return None
    profiles = [_row_sums(one) for one in (first, second)]
    reach_mm = min(float(heights[-1]) for heights, _ in profiles)
    heights_mm = np.arange(-reach_mm, reach_mm + STEP_MM / 2, STEP_MM)
    if len(heights_mm) < LEAST_ROWS:
        return None
    a, b = (np.diff(np.interp(heights_mm, *profile)) for profile in profiles)
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12))


def _row_sums(one: Radiograph) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Heights in mm at the isocentre, without the borders, and the means of the rows there."""
    height, width = one.pixels.shape
    pitch_mm = (
        one.spacing_mm[0] if one.spacing_mm is not None else ASSUMED_FIELD_MM / max(height, width)
    )
    rows = one.pixels.astype(np.float64).mean(axis=1)
    skip = max(1, round(SKIP * height))
    places = (np.arange(height) - (height - 1) / 2) * pitch_mm / one.view.magnification
    # Rows coarser than the detector's, by a running mean.
    wide = max(1, round(4 * STEP_MM * one.view.magnification / pitch_mm))
    smooth = np.convolve(rows, np.ones(wide) / wide, mode="same")
    skip = max(skip, wide // 2 + 1)
    kept = slice(skip, height - skip)
    return places[kept], smooth[kept]
