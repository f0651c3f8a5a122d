"""Runs a network over true views and scores it and its baselines."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from synthesis.consistency import epipolar_scores
from synthesis.diffusion import view_noise
from synthesis.evaluation import metrics
from synthesis.evaluation.protocol import FRONTAL
from synthesis.families import vcdit
from synthesis.types import FIELD_MM, View

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy.typing import NDArray
    from torch import Tensor

    from synthesis.evaluation.baselines import MeanViews
    from synthesis.evaluation.protocol import Truth
    from synthesis.model import ViewTransformer

__all__ = ["METRICS", "SHEET_DEG", "Measured", "Scores", "measure", "scores"]

METRICS: Final = (
    "psnr_db",
    "ssim",
    "mae",
    "spectral_ratio",
    "psnr_minmax_db",
    "ssim_minmax",
    "seam_score",
    "seam_score_tokens",
)
"""What is measured of every view."""

SHEET_DEG: Final = (0.0, 30.0, 60.0, 90.0)
"""Azimuths of the contact sheet."""

Scores = Mapping[str, "NDArray[np.float64]"]
"""Metric -> (samples, views)."""

_BATCH: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measured:
    """One patient's figures.

    Attributes:
        name: Of the volume.
        views: In order.
        model: Scores of the model.
        baselines: Scores of ``copy_source``, ``mean_view`` and ``regression``; None where there
            is no such baseline for the views.
        seconds_per_view: Wall time of one sample of one view.
        shown: (truth, synthesis) by azimuth, for the contact sheet, on the model's scale.
        kept: Scores (1, views) of the sample of each view that agrees best with the source, as a
            request for several samples keeps it; None where there is but one.
    """

    name: str
    views: tuple[View, ...]
    model: Scores
    baselines: Mapping[str, Scores | None]
    seconds_per_view: float
    shown: Mapping[float, tuple[NDArray[np.float32], NDArray[np.float32]]]
    kept: Scores | None = None


def scores(
    images: Float[Tensor, "views h w"],
    truth: Float[Tensor, "views h w"],
    *,
    cell: int,
    token: int,
) -> dict[str, NDArray[np.float64]]:
    """Every metric of every view; images on the model's scale.

    ``psnr_db``, ``ssim`` and ``mae`` are on the fixed scale with its whole range as 1.

    Args:
        images: What was made.
        truth: What should have come out.
        cell: Side of the model's cells in pixels.
        token: Side of its tokens in pixels.
    """
    unit, unit_truth = (images + 1) / 2, (truth + 1) / 2
    stretched, stretched_truth = metrics.minmax(images), metrics.minmax(truth)
    values = {
        "psnr_db": metrics.psnr_db(unit, unit_truth, data_range=1.0),
        "ssim": metrics.ssim(unit, unit_truth, data_range=1.0),
        "mae": metrics.mae(unit, unit_truth),
        "spectral_ratio": metrics.spectral_ratio(images, truth),
        "psnr_minmax_db": metrics.psnr_db(stretched, stretched_truth, data_range=1.0),
        "ssim_minmax": metrics.ssim(stretched, stretched_truth, data_range=1.0),
        "seam_score": metrics.seam_score(images, cell),
        "seam_score_tokens": metrics.seam_score(images, token),
    }
    return {name: value.cpu().numpy() for name, value in values.items()}


def measure(
    network: ViewTransformer,
    truth: Truth,
    *,
    steps: int,
    samples: int,
    seed: int,
    means: MeanViews | None,
    baselines: bool = True,
    advance: Callable[[int], None] = lambda views: None,
) -> Measured:
    """Synthesize every view of a patient, several times, and score it beside the baselines.

    Args:
        network: In evaluation mode.
        truth: The patient, at any resolution.
        steps: Network evaluations a view.
        samples: Independent samples a view.
        seed: Of the noise.
        means: Mean training views, where there are any.
        baselines: Whether to score them too.
        advance: Told how many more views were made.
    """
    config = network.config

    def synthesized(views: Sequence[View], steps: int, sample: int) -> Float[Tensor, "views h w"]:
        size = config.resolution
        noise = torch.stack([view_noise(seed, sample, view, size, steps) for view in views])
        return _synthesized(network, truth, views, noise, steps, advance)

    # A cell of the network, in pixels of the truth.
    cell = max(1, round(config.cell * truth.images.shape[-1] / config.resolution))
    patches = {"cell": cell, "token": cell * config.stride}
    drawn, regressed, images = [], [], []
    seconds = 0.0
    for sample in range(samples):
        began = time.monotonic()
        made = synthesized(truth.views, steps, sample)
        seconds += time.monotonic() - began
        images.append(made)
        drawn.append(scores(made, truth.images, **patches))
        if baselines and sample == 0:  # the expected image knows no chance
            regression = synthesized(truth.views, 1, sample)
            regressed.append(scores(regression, truth.images, **patches))
        if sample == 0:
            shown = _shown(truth, made, synthesized([FRONTAL], steps, 0)[0])
    beside: dict[str, Scores | None] = {}
    if baselines:
        copies = truth.source.expand_as(truth.images)
        mean = None if means is None else _mean_images(means, truth)
        beside = {
            "copy_source": _stacked([scores(copies, truth.images, **patches)]),
            "mean_view": mean
            if mean is None
            else _stacked([scores(mean, truth.images, **patches)]),
            "regression": _stacked(regressed),
        }
    return Measured(
        name=truth.name,
        views=truth.views,
        model=_stacked(drawn),
        baselines=beside,
        seconds_per_view=seconds / samples / len(truth.views),
        shown=shown,
        kept=_kept(truth, torch.stack(images), _stacked(drawn)) if samples > 1 else None,
    )


def _kept(truth: Truth, images: Float[Tensor, "samples views h w"], drawn: Scores) -> Scores:
    pitch = (FIELD_MM / images.shape[-1],) * 2
    best = []
    for index, view in enumerate(truth.views):
        agreement = epipolar_scores(truth.source[0], FRONTAL, pitch, images[:, index], view, pitch)
        best.append(0 if agreement is None else int(agreement.argmax()))
    return {name: of[best, range(len(best))][None] for name, of in drawn.items()}


def _synthesized(
    network: ViewTransformer,
    truth: Truth,
    views: Sequence[View],
    noise: Float[Tensor, "views steps h w"],
    steps: int,
    advance: Callable[[int], None],
) -> Float[Tensor, "views h w"]:
    device = next(network.parameters()).device
    made = []
    for start in range(0, len(views), _BATCH):
        part = slice(start, start + _BATCH)
        images = vcdit.synthesize(
            network,
            truth.source.to(device),
            FRONTAL,
            views[part],
            noise[part].to(device),
            field_mm=FIELD_MM,
            steps=steps,
        )
        made.append(images[:, 0].cpu())
        advance(len(views[part]))
    return torch.cat(made)


def _shown(
    truth: Truth, made: Float[Tensor, "views h w"], frontal: Float[Tensor, "h w"]
) -> dict[float, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    shown = {}
    for angle in SHEET_DEG:
        view = FRONTAL.rotated(angle)
        if view == FRONTAL:
            shown[angle] = (truth.source[0].numpy(), frontal.numpy())
        elif view in truth.views:
            index = truth.views.index(view)
            shown[angle] = (truth.images[index].numpy(), made[index].numpy())
    return shown


def _mean_images(means: MeanViews, truth: Truth) -> Float[Tensor, "views h w"] | None:
    images = [means.at(view, truth.images.shape[-1]) for view in truth.views]
    found = [image for image in images if image is not None]
    return torch.stack(found) if len(found) == len(images) else None


def _stacked(parts: Sequence[Mapping[str, NDArray[np.float64]]]) -> Scores:
    return {name: np.stack([part[name] for part in parts]) for name in METRICS}
