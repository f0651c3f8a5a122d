"""The scale of a radiograph's grey levels, from the image itself."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from dicom_node.domain.errors import ImageError
from dicom_node.iod.grey import Window
from synthesis.cleaning import AIR_PERCENT
from synthesis.tones import tone_of
from synthesis.types import FRONTAL_DENSE, IntensityScale

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dicom_node.iod.grey import Grey, GreyScale

__all__ = ["DENSE_PERCENT", "intensity_scale", "with_windows"]

DENSE_PERCENT: Final = 99.5
"""Percentile taken as dense: above it lie lead markers, clips and letters burned in white."""

SPIKE_SHARE: Final = 0.005
"""An extreme value held by more than this share of the pixels is a mask or saturation."""

MIN_VALID_SHARE: Final = 0.25
"""Least share of the image that is neither padding nor mask."""


def intensity_scale(grey: Grey, *, seen: NDArray[np.float32]) -> IntensityScale:
    """Air and dense as robust percentiles of the exposed field, and the tone between them.

    Values for processing are taken for attenuation as they are; those for presentation went through
    a curve, which is estimated from the image (`synthesis.tones`).

    Padding does not count. Nor does a smallest or largest value that many pixels share exactly:
    collimator masks and saturated detectors are flat to the last bit, anatomy never is.

    Args:
        grey: Whose valid pixels are those to go by.
        seen: The image as a model sees it.

    Raises:
        ImageError: The image is constant, or almost all of it is padding or mask.
    """
    values = grey.attenuation[grey.valid]
    least = MIN_VALID_SHARE * grey.attenuation.size
    if values.size < least:
        raise ImageError("less than a quarter of the image is exposed field: the rest is padding")
    inner = _without_spikes(values)
    values = inner if inner.size >= least else values
    low, high = (float(v) for v in np.percentile(values, (AIR_PERCENT, DENSE_PERCENT)))
    if not high > low:
        raise ImageError("the image is constant: there is nothing to make views from")
    tone = tone_of(seen, air=low, dense=high) if grey.presented else ()
    return IntensityScale.of_frontal(air=low, dense=high, tone=tone)


def _without_spikes(values: NDArray[np.float32]) -> NDArray[np.float32]:
    for extreme in (values.min(), values.max()):
        at = values == extreme
        if np.count_nonzero(at) > SPIKE_SHARE * at.size:
            values = values[~at]
            if not values.size:
                break
    return values


def with_windows(grey: Grey, intensity: IntensityScale) -> GreyScale:
    """The grey scale with a window in any case: the source's, else what viewers show without one.

    A presentation image without a window is shown from its smallest to its largest value; one for
    processing has no look of its own and is shown over its intensity scale.
    """
    scale = grey.scale
    if scale.windows:
        return scale
    if grey.presented:
        values = grey.attenuation[grey.valid]
        ends = (float(values.min()), float(values.max()))
    else:
        dense = intensity.low + FRONTAL_DENSE * (intensity.high - intensity.low)
        ends = (intensity.low, dense)
    low, high = sorted(scale.gain * end + scale.bias for end in ends)
    return replace(scale, windows=(Window(low=low, high=high),))
