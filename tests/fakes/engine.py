"""An engine that draws gradients instead of running a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from synthesis.types import ModelIdentity, Radiograph, SynthesisRequest, SynthesisResult

if TYPE_CHECKING:
    from collections.abc import Callable

WEIGHTS = "ab" * 32


class FakeEngine:
    """A `ports.Engine`: the same request gives the same images.

    ``failures`` are raised one a call, first to last, before anything is made; ``during`` is called
    in the middle of the work.
    """

    def __init__(self, *failures: Exception, weights: str = WEIGHTS) -> None:
        self.failures = list(failures)
        self.weights = weights
        self.requests: list[SynthesisRequest] = []
        self.during: Callable[[], None] = lambda: None
        self.closed = False

    def synthesize(
        self, model: str, request: SynthesisRequest, *, deadline_s: float
    ) -> SynthesisResult:
        self.requests.append(request)
        self.during()
        if self.failures:
            raise self.failures.pop(0)
        scale = request.source.intensity
        height, width = 256, 256
        images = []
        for index, view in enumerate(request.views):
            noise = np.random.default_rng([request.seed, index]).random((height, width))
            ramp = np.linspace(0.0, 1.0, width)[None, :] * 0.8 + 0.2 * noise
            images.append(
                Radiograph(
                    pixels=(scale.low + ramp * (scale.high - scale.low)).astype(np.float32),
                    spacing_mm=(1.4, 1.4),
                    view=view,
                    intensity=scale,
                )
            )
        return SynthesisResult(
            images=tuple(images),
            model=ModelIdentity(
                name="gradient",
                version="1",
                family="vcdit",
                digest=self.weights,
                resolution=256,
                default_steps=8,
            ),
            chosen=(request.samples - 1,) * len(images),
            steps=request.steps or 8,
            seed=request.seed,
            seconds=0.0,
            spacing_nominal=request.source.spacing_mm is None,
        )

    def close(self) -> None:
        self.closed = True
