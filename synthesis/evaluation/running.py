"""An evaluation from start to end: checkpoint and volumes in, report and figures out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthesis.data.rendering import SCALE
from synthesis.data.volumes import load_volume
from synthesis.evaluation.baselines import MeanViews
from synthesis.evaluation.measuring import Measured, measure
from synthesis.evaluation.protocol import render_truth, view_set
from synthesis.evaluation.report import summary
from synthesis.types import FIELD_MM, SOURCE_DETECTOR_MM, SOURCE_ISOCENTER_MM

if TYPE_CHECKING:
    from synthesis.checkpoint import Checkpoint

__all__ = ["Evaluation", "evaluate"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    """What came out.

    Attributes:
        report: For JSON: ``about``, and one entry per view set.
        measured: Per view set, one per patient, for the plots.
    """

    report: dict[str, Any]
    measured: dict[str, list[Measured]]


def evaluate(
    model: Checkpoint,
    volumes: Sequence[Path],
    *,
    sets: Sequence[str],
    resolution: int | None,
    steps: int | None,
    samples: int,
    seed: int,
    means: MeanViews | None,
    device: str = "cpu",
    advance: Callable[[str, int, int], None] = lambda doing, done, of: None,
) -> Evaluation:
    """Score a checkpoint on volumes by the protocol.

    Args:
        model: The checkpoint.
        volumes: NIfTI files of patients it never saw.
        sets: Names of view sets.
        resolution: Side in pixels; None = the model's own.
        steps: Network evaluations a view; None = the model's default.
        samples: Independent samples a view.
        seed: Of the noise.
        means: Mean training views; None = that baseline is not available.
        device: Of torch.
        advance: Told what is being done, how many of its views are done, and of how many.

    Raises:
        SynthesisError: A volume, a set's name or the resolution is no good.
    """
    views = {name: view_set(name) for name in sets}
    network = model.model().to(device)
    size = resolution or network.config.resolution
    steps = steps or model.card.steps
    measured: dict[str, list[Measured]] = {name: [] for name in sets}
    for path in volumes:
        volume = load_volume(path)
        for name, chosen in views.items():
            doing, done = f"{volume.name}, {name}", 0
            of = len(chosen) * (samples + 1) + 1  # and the frontal view once, to be looked at
            advance(f"{doing}: rendering", 0, of)
            truth = render_truth(volume, chosen, resolution=size)

            def count(made: int, doing: str = doing, of: int = of) -> None:
                nonlocal done
                done += made
                advance(f"{doing}: synthesizing", done, of)

            measured[name].append(
                measure(
                    network,
                    truth,
                    steps=steps,
                    samples=samples,
                    seed=seed,
                    means=means,
                    advance=count,
                )
            )
    about = {
        "model": {
            "name": model.card.name,
            "version": model.card.version,
            "digest": model.digest,
            "trained_resolution": model.config.resolution,
        },
        "volumes": [one.name for one in next(iter(measured.values()))],
        "resolution": size,
        "steps": steps,
        "samples": samples,
        "seed": seed,
        "protocol": _PROTOCOL,
    }
    return Evaluation(
        report={"about": about, **{name: summary(of) for name, of in measured.items()}},
        measured=measured,
    )


_PROTOCOL = {
    "source": "PA at 0/0",
    "geometry_mm": {
        "source_detector": SOURCE_DETECTOR_MM,
        "source_isocenter": SOURCE_ISOCENTER_MM,
        "field": FIELD_MM,
    },
    "fixed_scale": f"line integrals, data range the whole scale: {SCALE.low:g} to {SCALE.high:g}",
    "mae": "in parts of the whole scale",
    "minmax": "truth and synthesis each stretched to 0..1 by its own least and greatest value",
    "ssim": "Gaussian window 11 x 11, sigma 1.5, K1 0.01, K2 0.03, borders mirrored",
    "spectral_ratio": "power in 0.25-0.5 of Nyquist under a Hann window; mean of the views' ratios",
    "seed_spread_db": "greatest minus least fixed-scale PSNR over the samples of a view",
    "seam_score": "at the borders of the model's cells; seam_score_tokens: of its tokens",
    "hemisphere_angles": "middles of rings 15 degrees wide about the front",
}
