"""Pictures of an evaluation: curves over the angle, and a contact sheet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from synthesis.evaluation.measuring import SHEET_DEG
from synthesis.evaluation.report import BASELINES, angle_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from synthesis.evaluation.measuring import Measured, Scores

__all__ = ["contact_sheet", "curves"]

_PANELS = (
    ("psnr_db", "PSNR, fixed scale (dB)"),
    ("ssim", "SSIM, fixed scale"),
    ("psnr_minmax_db", "PSNR, per-view min-max (dB)"),
    ("ssim_minmax", "SSIM, per-view min-max"),
    ("spectral_ratio", "spectral ratio, 0.25-0.5 of Nyquist"),
    ("seed_spread_db", "spread over seeds (dB)"),
)


def curves(measured: Sequence[Measured], path: Path, *, title: str) -> None:
    """Every score over the angle: mean as a line, patients and seeds from least to most as a band.

    Args:
        measured: One per patient, all of the same views.
        path: Of the PNG.
        title: Above it.
    """
    plt = _pyplot()
    angles = angle_of(measured[0].views)
    ticks = np.unique(angles)
    methods: dict[str, list[Scores]] = {"model": [one.model for one in measured]}
    for name in BASELINES:
        known = [one.baselines[name] for one in measured]
        if all(scores is not None for scores in known):
            methods[name] = [scores for scores in known if scores is not None]
    figure, axes = plt.subplots(2, 3, figsize=(15, 8), layout="constrained")
    for panel, (metric, label) in zip(axes.flat, _PANELS, strict=True):
        for color, (name, patients) in enumerate(methods.items()):
            values = _values(patients, metric)
            if values is None:
                continue
            columns = [values[..., angles == tick].ravel() for tick in ticks]
            panel.plot(ticks, [c.mean() for c in columns], label=name, color=f"C{color}")
            low, high = [c.min() for c in columns], [c.max() for c in columns]
            panel.fill_between(ticks, low, high, color=f"C{color}", alpha=0.15)
        panel.set_title(label)
        panel.set_xlabel("angle (degrees)")
        panel.grid(alpha=0.3)
    axes.flat[0].legend()
    figure.suptitle(title)
    _save(figure, path)


def _values(patients: Sequence[Scores], metric: str) -> NDArray[np.float64] | None:
    """(patients, samples, views), or None where there is nothing to draw."""
    if metric != "seed_spread_db":
        return np.stack([scores[metric] for scores in patients])
    psnr = np.stack([scores["psnr_db"] for scores in patients])
    if psnr.shape[1] < 2:
        return None
    spread: NDArray[np.float64] = psnr.max(axis=1, keepdims=True) - psnr.min(axis=1, keepdims=True)
    return spread


def contact_sheet(measured: Sequence[Measured], path: Path, *, title: str) -> None:
    """Truth, synthesis and error of each patient at 0, 30, 60 and 90 degrees.

    Args:
        measured: One per patient.
        path: Of the PNG.
        title: Above it.
    """
    plt = _pyplot()
    angles = [angle for angle in SHEET_DEG if all(angle in one.shown for one in measured)]
    columns = 3 * len(measured)
    figure, axes = plt.subplots(
        len(angles),
        columns,
        figsize=(2.4 * columns, 2.5 * len(angles) + 0.6),
        layout="constrained",
        squeeze=False,
    )
    for row, angle in enumerate(angles):
        for place, one in enumerate(measured):
            truth, made = one.shown[angle]
            top = float(truth.max())
            for column, (image, name) in enumerate(
                [(truth, "truth"), (made, "synthesis"), (made - truth, "error")]
            ):
                panel = axes[row, 3 * place + column]
                if name == "error":
                    panel.imshow(image, cmap="coolwarm", vmin=-0.4, vmax=0.4)
                else:
                    panel.imshow(image, cmap="gray", vmin=-1.0, vmax=top)
                panel.set_axis_off()
                if row == 0:
                    panel.set_title(f"{one.name}\n{name}", fontsize=8)
            axes[row, 3 * place].text(
                0.03, 0.95, f"{angle:g}°", transform=axes[row, 3 * place].transAxes, color="yellow",
                va="top",
            )  # fmt: skip
    figure.suptitle(f"{title}; error from -0.4 (blue) to 0.4 (red) of the scale's 2", fontsize=9)
    _save(figure, path)


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def _save(figure: Any, path: Path) -> None:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    _pyplot().close(figure)
