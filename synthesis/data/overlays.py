"""Uncertainty maps as files of their own: the numbers, and a picture over the view.

The views themselves are never touched: a map is beside its view, not in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from synthesis.types import Radiograph

__all__ = ["overlay", "write_uncertainty"]

FULL: Final = 0.1
"""Spread, in parts of the intensity scale, that is shown in full colour."""

_COLOUR: Final = np.array([255.0, 64.0, 0.0])
_STRONGEST: Final = 0.75
"""Most that colour covers, so that the view can be seen through it."""


def overlay(image: Radiograph, spread: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A view with its uncertainty in orange over it: (h, w, 3).

    Args:
        image: The view.
        spread: Of its shape, in its detector values.
    """
    scale = image.intensity
    unit = scale.to_unit(image.pixels)
    grey = np.clip(unit / max(float(np.percentile(unit, 99.9)), 1e-6), 0.0, 1.0)[..., None] * 255.0
    part = np.clip(spread / (scale.high - scale.low) / FULL, 0.0, 1.0)[..., None] * _STRONGEST
    mixed: NDArray[np.uint8] = np.round(grey * (1 - part) + _COLOUR * part).astype(np.uint8)
    return mixed


def write_uncertainty(
    images: Sequence[Radiograph], spreads: Sequence[NDArray[np.float32]], folder: Path
) -> list[Path]:
    """``NNN_LABEL_uncertainty.npy`` (detector values) and ``.png`` (overlay) a view.

    Args:
        images: In the order in which `synthesis.data.pictures.write_pictures` numbered them.
        spreads: One a view, in the source's detector values.
        folder: Gets the files.

    Returns:
        The pictures.
    """
    from PIL import Image

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index, (image, spread) in enumerate(zip(images, spreads, strict=True), start=1):
        words = image.view.label.lower().replace(" ", "-")
        stem = f"{index:03d}_{words}_uncertainty"
        np.save(folder / f"{stem}.npy", spread)
        path = folder / f"{stem}.png"
        Image.fromarray(overlay(image, spread)).save(path)
        paths.append(path)
    return paths
