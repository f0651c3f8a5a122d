"""The tone curve that a radiograph went through, estimated from the image alone.

Vendors bend a radiograph's grey levels before they show it: gammas, toes and shoulders, the S of
film, logarithms. What is left of attenuation is its order. But chests are alike: so much air, so
much lung, so much of heart and abdomen, each where it lies. A small network that has seen many of
them, each under many curves, reads from an image's quantiles and its coarse picture by which curve
they would be as chests are. `synthesis.training.tones` teaches it.

Numpy alone, so that whatever reads radiographs can use it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "FEATURES",
    "SIDE",
    "STEPS",
    "bundled_tones",
    "features",
    "rising",
    "thumbnail",
    "tone_of",
]

SIDE: Final = 64
"""Of the picture that is looked at, in pixels."""

STEPS: Final = 12
"""Of a tone."""

_Array = TypeVar("_Array", bound=Any)

_COARSE: Final = 16
_QUANTILES: Final = np.linspace(0.01, 0.99, 33)

FEATURES: Final = len(_QUANTILES) + _COARSE**2
"""Numbers that the network reads."""

_LEAST: Final = 0.2
"""Least slope of a tone, so that it can be inverted."""

_BEYOND: Final = (-0.2, 1.3)
"""Values outside, on the scale from air to dense, are letters, implants and lead."""


def tone_of(image: NDArray[np.floating], *, air: float, dense: float) -> tuple[float, ...]:
    """The tone of a frontal chest radiograph, as `synthesis.types.IntensityScale` takes it.

    Args:
        image: Attenuation, larger = more, of any shape, shutters and letters taken out.
        air: Value of air.
        dense: Of the densest parts, above it.
    """
    unit = (thumbnail(image) - air) / (dense - air)
    read = features(unit[None])
    weights = _bundled()
    for layer in range(len(weights) // 2):
        read = read @ weights[f"{layer}.weight"].T + weights[f"{layer}.bias"]
        if f"{layer + 1}.weight" in weights:
            read = read / (1.0 + np.exp(-read))  # SiLU
    shares = np.exp(read[0] - read[0].max())
    inner = np.cumsum(rising(shares / shares.sum()))[:-1]
    return (0.0, *(float(value) for value in inner), 1.0)


def rising(shares: _Array) -> _Array:
    """What each step of a tone adds, from shares of 1: an array of numpy or of torch."""
    added: _Array = shares * (1.0 - _LEAST) + _LEAST / STEPS
    return added


def thumbnail(image: NDArray[np.floating]) -> NDArray[np.float64]:
    """(SIDE, SIDE): means over cells of an image of any shape."""
    small = np.asarray(image, np.float64)
    for axis in (0, 1):
        edges = np.linspace(0, small.shape[axis], SIDE + 1).astype(np.int64)[:-1]
        counts = np.maximum(np.diff(edges, append=small.shape[axis]), 1)
        sums = np.add.reduceat(small, edges, axis=axis)
        small = sums / (counts[:, None] if axis == 0 else counts)
    return small


def features(units: NDArray[np.floating]) -> NDArray[np.float64]:
    """(n, FEATURES) of thumbnails (n, SIDE, SIDE) from air, 0, to dense, 1."""
    units = np.clip(units, *_BEYOND)
    quantiles = np.quantile(units.reshape(len(units), -1), _QUANTILES, axis=1).T
    cell = SIDE // _COARSE
    coarse = units.reshape(len(units), _COARSE, cell, _COARSE, cell).mean(axis=(2, 4))
    both: NDArray[np.float64] = np.concatenate([quantiles, coarse.reshape(len(units), -1)], axis=1)
    return 2.0 * both - 1.0


def bundled_tones() -> Path:
    """Weights of the packaged network."""
    return Path(__file__).parent / "weights" / "tones.npz"


@cache
def _bundled() -> Mapping[str, NDArray[np.float64]]:
    with np.load(bundled_tones()) as stored:
        return {name: stored[name].astype(np.float64) for name in stored.files}
