"""Quality against the number of network evaluations a view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from synthesis.data.volumes import load_volume
from synthesis.evaluation.measuring import METRICS, measure
from synthesis.evaluation.protocol import render_truth, view_set

if TYPE_CHECKING:
    from synthesis.checkpoint import Checkpoint

__all__ = ["LOST", "STEPS", "evaluate_steps", "plot_steps"]

STEPS: Final = (1, 2, 4, 8, 16)
"""Network evaluations that are compared; the last is what the others are held against."""

LOST: Final = ("psnr_db", "ssim", "psnr_minmax_db", "ssim_minmax", "spectral_ratio")
"""Metrics of which few evaluations may lose something."""


def evaluate_steps(
    model: Checkpoint,
    volumes: Sequence[Path],
    *,
    resolution: int | None,
    steps: Sequence[int],
    samples: int,
    seed: int,
    device: str = "cpu",
    advance: Callable[[str], None] = lambda doing: None,
) -> dict[str, Any]:
    """Score a checkpoint on the simple set at several numbers of evaluations.

    Args:
        model: The checkpoint.
        volumes: NIfTI files of patients it never saw.
        resolution: Side in pixels; None = the model's own.
        steps: Evaluations a view, ascending.
        samples: Independent samples a view.
        seed: Of the noise.
        device: Of torch.
        advance: Told what is being done.

    Returns:
        For JSON: ``about``; ``steps``, for each number its figures, the seconds a view takes and
        ``lost``: how far its figures are behind those of the greatest number.

    Raises:
        SynthesisError: A volume or the resolution is no good.
    """
    network = model.model().to(device)
    size = resolution or network.config.resolution
    views = view_set("simple")
    drawn: dict[int, list[dict[str, float]]] = {count: [] for count in steps}
    names = []
    for path in volumes:
        volume = load_volume(path)
        names.append(volume.name)
        advance(f"{volume.name}: rendering")
        truth = render_truth(volume, views, resolution=size)
        for count in steps:
            advance(f"{volume.name}: {count} evaluations")
            one = measure(
                network,
                truth,
                steps=count,
                samples=samples,
                seed=seed,
                means=None,
                baselines=False,
            )
            figures = {name: float(one.model[name].mean()) for name in METRICS}
            drawn[count].append({**figures, "seconds_per_view": one.seconds_per_view})
    table = {
        count: {name: float(np.mean([one[name] for one in found])) for name in found[0]}
        for count, found in drawn.items()
    }
    most = table[max(steps)]
    return {
        "about": {
            "model": {
                "name": model.card.name,
                "version": model.card.version,
                "digest": model.digest,
            },
            "volumes": names,
            "set": "simple",
            "resolution": size,
            "samples": samples,
            "seed": seed,
        },
        "steps": {
            str(count): {**figures, "lost": {name: most[name] - figures[name] for name in LOST}}
            for count, figures in table.items()
        },
    }


def plot_steps(report: dict[str, Any], path: Path) -> None:
    """The curve as a PNG: fidelity, sharpness and time over evaluations.

    Args:
        report: Of `evaluate_steps`.
        path: Of the PNG.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    counts = [int(count) for count in report["steps"]]
    panels = (
        ("psnr_db", "PSNR, fixed scale (dB)"),
        ("ssim", "SSIM, fixed scale"),
        ("spectral_ratio", "spectral ratio, 0.25-0.5 of Nyquist"),
        ("seconds_per_view", "seconds a view"),
    )
    figure, axes = plt.subplots(1, 4, figsize=(16, 3.6), layout="constrained")
    for panel, (metric, label) in zip(axes, panels, strict=True):
        panel.plot(counts, [entry[metric] for entry in report["steps"].values()], marker="o")
        panel.set_xscale("log", base=2)
        panel.set_xticks(counts, [str(count) for count in counts])
        panel.set_xlabel("network evaluations a view")
        panel.set_title(label)
        panel.grid(alpha=0.3)
    about = report["about"]
    figure.suptitle(f"{about['model']['name']} {about['model']['version']}, simple set")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
