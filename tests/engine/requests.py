from __future__ import annotations

import numpy as np

from synthesis.types import (
    IntensityScale,
    Radiograph,
    SeenFrom,
    SynthesisRequest,
    View,
    ViewSet,
)


def request(
    side: int = 8, spacing_mm: tuple[float, float] | None = (0.14, 0.15)
) -> SynthesisRequest:
    pixels = np.random.default_rng(3).normal(900, 300, (side, side + 1)).astype(np.float32)
    return SynthesisRequest(
        source=Radiograph(
            pixels=pixels,
            spacing_mm=spacing_mm,
            view=View(primary_deg=180.0),
            intensity=IntensityScale(low=12.25, high=4011.1),
        ),
        views=ViewSet(
            name="some",
            views=(
                View(primary_deg=-30.0, secondary_deg=1 / 3),
                View(primary_deg=90.0, source_detector_mm=1234.5, source_isocenter_mm=1000.1),
                View(primary_deg=120.0, seen_from=SeenFrom.DETECTOR),
            ),
        ),
        samples=2,
        steps=7,
        seed=2**40 + 1,
    )
