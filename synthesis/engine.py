"""Loads a checkpoint and synthesizes: radiograph and views in, radiographs out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
import torch.nn.functional as F

from synthesis import checkpoint
from synthesis.consistency import epipolar_scores
from synthesis.consistency.calibration import bundled_calibration, turn_deg
from synthesis.diffusion import view_noise
from synthesis.eligibility import judge
from synthesis.errors import IneligibleError, NonFiniteError
from synthesis.families import svdrr, vcdit
from synthesis.framing import continued
from synthesis.types import (
    ASSUMED_FIELD_MM,
    IntensityScale,
    ModelIdentity,
    Radiograph,
    SynthesisRequest,
    SynthesisResult,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float
    from numpy.typing import NDArray
    from torch import Tensor

    from synthesis.model import ViewTransformer
    from synthesis.types import View

__all__ = ["ASSUMED_FIELD_MM", "SynthesisEngine", "fitted", "load"]

_BATCH: Final = 64
"""Views at a time, at most."""

_NOISE: Final = 2**25
"""Pixels of noise at a time, so that memory stays bounded whatever is asked: 128 MiB."""


class SynthesisEngine:
    """One model on one device.

    Args:
        model: A checkpoint, or the published model, which is on its device already.
        device: Of torch; ``auto`` is the first GPU, or the CPU where there is none.
    """

    def __init__(
        self, model: checkpoint.Checkpoint | svdrr.SvdrrPipeline, *, device: str = "auto"
    ) -> None:
        if isinstance(model, svdrr.SvdrrPipeline):
            self.identity: ModelIdentity = model.identity
            self._device = model.device
            self._network: svdrr.SvdrrPipeline | ViewTransformer = model
            return
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.identity = model.identity()
        self._device = torch.device(device)
        self._network = model.model().to(self._device)

    def synthesize(self, request: SynthesisRequest) -> SynthesisResult:
        """Make every view of a request.

        An image that is no upright frontal chest radiograph is refused first, unless the request
        allows it.

        With several samples a view, the one is kept that agrees best with the source (epipolar
        consistency); where that says nothing, as at the source's own angle, the one nearest to
        their mean. Their standard deviation is the view's uncertainty.

        A lateral lets less through than a frontal view, and a radiographer exposes it longer, which
        in attenuation subtracts a constant. The same is done here, as automatic exposure control
        does it, by the mean over a central field; `SynthesisResult.exposures` holds the constants.

        Raises:
            IneligibleError: The source is no image to synthesize from.
            NonFiniteError: The model produced NaN or infinity.
        """
        began = time.monotonic()
        eligibility = judge(request.source)
        if not (eligibility.eligible or request.allow_ineligible):
            raise IneligibleError(
                f"no views are made from this source: {eligibility.reason}; "
                "where that is wrong, set allow_ineligible and try again"
            )
        steps = request.steps or self.identity.default_steps
        size = self.identity.resolution
        image, field_mm = fitted(request.source, size)
        source = torch.from_numpy(image)[None].to(self._device)
        views = request.views.views
        drawn: list[Float[Tensor, "views h w"]] = []
        for sample in range(request.samples):
            made = []
            batch = max(1, min(_BATCH, _NOISE // (steps * size**2)))
            for start in range(0, len(views), batch):
                part = views[start : start + batch]
                made.append(self._draw(source, request, part, sample, steps, field_mm).cpu())
            drawn.append(torch.cat(made))
        stack = torch.stack(drawn)  # (samples, views, h, w)
        if not torch.isfinite(stack).all():
            raise NonFiniteError(f"model {self.identity.name} produced NaN or infinity")
        spacing = field_mm / size
        scores = _scores(request, stack, spacing)
        distance = (stack - stack.mean(dim=0)).square().mean(dim=(2, 3))  # (samples, views)
        chosen = [
            int(distance[:, index].argmin() if of is None else of.argmax())
            for index, of in enumerate(scores)
        ]
        kept_scores = tuple(
            None if of is None else float(of[kept]) for of, kept in zip(scores, chosen, strict=True)
        )
        scale = request.source.intensity
        usual = _exposed(scale.from_model(image))
        images, exposures = [], []
        for index, (view, kept) in enumerate(zip(views, chosen, strict=True)):
            pixels = scale.from_model(stack[kept, index].numpy())
            extra = max(0.0, _exposed(pixels) - usual)
            pixels -= np.float32(extra)
            exposures.append(extra)
            images.append(
                Radiograph(pixels=pixels, spacing_mm=(spacing, spacing), view=view, intensity=scale)
            )
        return SynthesisResult(
            images=tuple(images),
            model=self.identity,
            chosen=tuple(chosen),
            exposures=tuple(exposures),
            scores=kept_scores,
            percentiles=_percentiles(request, kept_scores),
            uncertainty=_uncertainty(stack, scale) if request.samples > 1 else None,
            eligibility=eligibility.score,
            ineligible="" if eligibility.eligible else eligibility.reason,
            steps=steps,
            seed=request.seed,
            seconds=time.monotonic() - began,
            spacing_nominal=request.source.spacing_mm is None,
        )

    def _draw(
        self,
        source: Float[Tensor, "1 h w"],
        request: SynthesisRequest,
        views: Sequence[View],
        sample: int,
        steps: int,
        field_mm: float,
    ) -> Float[Tensor, "views h w"]:
        """One sample of some of the views, as the model's family does it."""
        seen_from, seed = request.source.view, request.seed
        if isinstance(self._network, svdrr.SvdrrPipeline):
            return svdrr.draw(
                self._network, source[0], seen_from, views, seed=seed, sample=sample, steps=steps
            )
        size = source.shape[-1]
        noise = torch.stack([view_noise(seed, sample, v, size, steps) for v in views])
        return vcdit.synthesize(
            self._network,
            source,
            seen_from,
            views,
            noise.to(self._device),
            field_mm=field_mm,
            steps=steps,
        )[:, 0]


def _exposed(image: NDArray[np.float32]) -> float:
    """Mean over the central quarter of an image, where the chambers of exposure control lie."""
    rows, columns = (n // 4 for n in image.shape)
    return float(image[rows:-rows, columns:-columns].mean())


def _scores(
    request: SynthesisRequest, stack: Float[Tensor, "samples views h w"], pitch_mm: float
) -> list[Float[Tensor, " samples"] | None]:
    """The consistency of every sample of every view with the source."""
    source, source_spacing_mm, _ = _resized(request.source, stack.shape[-1])
    return [
        epipolar_scores(
            source,
            request.source.view,
            source_spacing_mm,
            stack[:, index],
            view,
            (pitch_mm, pitch_mm),
        )
        for index, view in enumerate(request.views)
    ]


def _percentiles(
    request: SynthesisRequest, scores: Sequence[float | None]
) -> tuple[float | None, ...]:
    """Of each score: percent of pairs of two patients that agree less."""
    table, source = bundled_calibration(), request.source.view
    return tuple(
        None if score is None else table.wrong_below(score, turn_deg(source, view))
        for view, score in zip(request.views, scores, strict=True)
    )


def _uncertainty(
    stack: Float[Tensor, "samples views h w"], scale: IntensityScale
) -> tuple[NDArray[np.float32], ...]:
    """One map a view, in the source's detector values."""
    return tuple(scale.from_model(samples.numpy()).std(axis=0) for samples in stack.unbind(dim=1))


def fitted(source: Radiograph, size: int) -> tuple[NDArray[np.float32], float]:
    """A radiograph as the network reads it: square, centred, continued to all sides, on [-1, 1].

    The shorter sides are those of the detector or of the exposed field, and the body goes on beyond
    them; with air there, a network takes the body to end (`synthesis.framing`).

    Args:
        source: Any shape, any spacing.
        size: Side of the result in pixels.

    Returns:
        The image (size, size), and the side of its field in mm (`ASSUMED_FIELD_MM` when the source
        does not state its spacing).
    """
    resized, _, field_mm = _resized(source, size)
    rows, columns = resized.shape
    top, left = (size - rows) // 2, (size - columns) // 2
    padded = continued(
        resized, left=left, right=size - columns - left, top=top, bottom=size - rows - top
    )
    return padded.numpy(), field_mm


def _resized(
    source: Radiograph, size: int
) -> tuple[Float[Tensor, "rows columns"], tuple[float, float], float]:
    """A radiograph on [-1, 1] whose longer side is ``size``; its pitch and that side in mm."""
    height, width = source.pixels.shape
    if source.spacing_mm is None:
        pitch = ASSUMED_FIELD_MM / max(height, width)
        spacing = (pitch, pitch)
    else:
        spacing = source.spacing_mm
    tall, wide = height * spacing[0], width * spacing[1]
    field_mm = max(tall, wide)
    rows = max(1, round(size * tall / field_mm))
    columns = max(1, round(size * wide / field_mm))
    model = torch.from_numpy(source.intensity.to_model(source.pixels))[None, None]
    resized = F.interpolate(model, size=(rows, columns), mode="bilinear", antialias=True)
    return resized[0, 0], (tall / rows, wide / columns), field_mm


def load(path: str | Path, *, device: str = "auto") -> SynthesisEngine:
    """An engine from a checkpoint, or from a folder of published weights (`families.svdrr`).

    Args:
        path: A file, a folder, or ``bundled``, the packaged weights.
        device: Of torch, or ``auto``.

    Raises:
        CheckpointError: The weights are missing, broken, or do not fit this version.
    """
    if Path(path).is_dir():
        return SynthesisEngine(svdrr.load(path, device))
    return SynthesisEngine(checkpoint.read(path), device=device)
