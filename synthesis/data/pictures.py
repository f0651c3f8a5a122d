"""Images of people's everyday formats: a radiograph from PNG or NumPy, views as PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from synthesis.cleaning import cleaned
from synthesis.data.rendering import SCALE
from synthesis.errors import RadiographError
from synthesis.tones import tone_of
from synthesis.types import IntensityScale, Radiograph, View

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image as PillowImage

__all__ = ["read_radiograph", "write_pictures"]

_PERCENT: Final = (0.5, 99.5)
"""Of the values, taken as air and as the densest matter: letters and dead pixels lie beyond."""


def read_radiograph(
    path: Path,
    *,
    view: View,
    spacing_mm: float | None,
    line_integrals: bool = False,
    inverted: bool = False,
) -> Radiograph:
    """A grey PNG (8 or 16 bits) or a 2-D ``.npy`` as a radiograph; bright = dense.

    Unless it is a rendered one, shutters and letters are taken out (`synthesis.cleaning`).

    Args:
        path: The file.
        view: Where it was taken from.
        spacing_mm: Pixel pitch at the detector, where known.
        line_integrals: Values are line integrals on `SCALE`; else percentiles make the scale.
        inverted: Bright = air.

    Raises:
        RadiographError: The file is no such image, or is constant.
    """
    path = Path(path)
    try:
        pixels = _pixels(path)
    except (OSError, ValueError) as error:
        raise RadiographError(f"{path}: not a readable PNG or .npy image ({error})") from error
    if pixels.ndim != 2:
        raise RadiographError(f"{path}: expected one grey image, not an array {pixels.shape}")
    if not np.isfinite(pixels).all():
        raise RadiographError(f"{path}: holds NaN or infinite values")
    if inverted:
        pixels = pixels.max() - pixels
    if line_integrals:
        intensity = SCALE
    else:
        clean = cleaned(pixels, np.ones(pixels.shape, np.bool_))
        low, high = (float(v) for v in np.percentile(pixels[clean.body], _PERCENT))
        tone = tone_of(clean.image, air=low, dense=high) if high > low else ()
        intensity = IntensityScale.of_frontal(air=low, dense=high, tone=tone)
        pixels = clean.image
    return Radiograph(
        pixels=pixels,
        spacing_mm=None if spacing_mm is None else (spacing_mm, spacing_mm),
        view=view,
        intensity=intensity,
    )


def _pixels(path: Path) -> NDArray[np.float32]:
    from PIL import Image

    if path.suffix == ".npy":
        return np.asarray(np.load(path), np.float32)
    with Image.open(path) as image:
        deep = image.mode.startswith("I")
        return np.asarray(image if deep else image.convert("L"), np.float32)


def write_pictures(
    source: Radiograph, images: Sequence[Radiograph], folder: Path, *, columns: int = 6
) -> list[Path]:
    """One 16-bit PNG a view in the grey levels of the source, and ``contact_sheet.png``.

    Args:
        source: Stands first on the sheet.
        images: In the order wanted.
        folder: Gets the files.
        columns: Of the sheet, at most.

    Returns:
        The files, the sheet last.
    """
    from PIL import Image

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index, image in enumerate(images, start=1):
        unit = np.clip(image.intensity.to_unit(image.pixels), 0.0, 1.0)
        words = image.view.label.lower().replace(" ", "-")
        path = folder / f"{index:03d}_{words}.png"
        Image.fromarray(np.round(unit * 65535).astype(np.uint16)).save(path)
        paths.append(path)
    labels = ["source", *(image.view.label for image in images)]
    shown = [i.intensity.to_unit(i.pixels) for i in (source, *images)]
    white = max(float(np.percentile(unit, 99.9)) for unit in shown)  # one window for the sheet
    tiles = [_tile(unit / white, label) for unit, label in zip(shown, labels, strict=True)]
    rows = -(-len(tiles) // columns)
    columns = -(-len(tiles) // rows)  # rows of like length
    wide, tall = tiles[0].size
    sheet = Image.new("L", (columns * wide, rows * tall))
    for index, tile in enumerate(tiles):
        sheet.paste(tile, (index % columns * wide, index // columns * tall))
    path = folder / "contact_sheet.png"
    sheet.save(path)
    return [*paths, path]


def _tile(unit: NDArray[np.floating], label: str, side: int = 256) -> PillowImage.Image:
    from PIL import Image, ImageDraw

    picture = Image.fromarray(np.round(np.clip(unit, 0.0, 1.0) * 255).astype(np.uint8))
    picture.thumbnail((side, side))
    if max(picture.size) < side:
        larger = side / max(picture.size)
        picture = picture.resize((round(picture.width * larger), round(picture.height * larger)))
    tile = Image.new("L", (side, side + 18))
    tile.paste(picture, ((side - picture.width) // 2, 18 + (side - picture.height) // 2))
    ImageDraw.Draw(tile).text((4, 3), label, fill=255)
    return tile
