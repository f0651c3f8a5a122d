"""One picture: the radiograph that was exposed, and the views made from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Tile", "draw", "shown"]

BACKGROUND: Final = (11, 14, 19)
FRAME: Final = (38, 46, 58)
ACCENT: Final = (86, 190, 170)
WARNING: Final = (226, 170, 84)
BRIGHT: Final = (236, 240, 244)
DIM: Final = (140, 150, 163)

MARGIN: Final = 36
GAP: Final = 18
CAPTION: Final = 34
HEADER: Final = 78
LEAST_WIDTH: Final = 1080
"""Room for the words of the header, however few the views."""
VIEW_SIDE: Final = 300
"""Longest side of a view's picture in pixels."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tile:
    """One picture with its words.

    Attributes:
        pixels: uint8, shape (height, width), as it is to be seen.
        title: Its view.
        detail: Its angles.
    """

    pixels: NDArray[np.uint8]
    title: str
    detail: str


def shown(
    stored: NDArray[np.integer], *, center: float, width: float, inverted: bool
) -> NDArray[np.uint8]:
    """Stored values through a linear window (PS3.3 C.11.2.1.2.1) to the grey levels of a screen.

    Args:
        stored: Shape (height, width).
        center: Window Center.
        width: Window Width.
        inverted: True for MONOCHROME1.
    """
    low = center - 0.5 - (width - 1) / 2
    unit = np.clip((stored.astype(np.float64) - low) / max(width - 1, 1.0), 0.0, 1.0)
    return np.rint(255.0 * (1.0 - unit if inverted else unit)).astype(np.uint8)


def draw(source: Tile, views: Sequence[Tile], *, title: str, subtitle: str) -> Image.Image:
    """The sheet: the source large on the left, the views beside it in reading order.

    Args:
        source: The exposed radiograph.
        views: In the order they are to be seen, at least one.
        title: Of the sheet.
        subtitle: Small words below it.
    """
    rows = 1 if len(views) <= 3 else 2 if len(views) <= 12 else 3
    columns = math.ceil(len(views) / rows)
    box_height, box_width = _box(views)
    cell = box_height + CAPTION
    source_height = (rows if rows < 3 else 2) * cell + (min(rows, 2) - 1) * GAP - CAPTION
    source_width = min(
        round(source_height * source.pixels.shape[1] / source.pixels.shape[0]),
        round(source_height * 1.2),
    )
    width = max(2 * MARGIN + source_width + columns * (box_width + GAP), LEAST_WIDTH)
    height = 2 * MARGIN + HEADER + rows * cell + (rows - 1) * GAP
    sheet = Image.new("RGB", (width, height), BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    _header(pen, width, title, subtitle)
    top = MARGIN + HEADER
    _place(sheet, source, (MARGIN, top), (source_width, source_height), accent=ACCENT)
    left = MARGIN + source_width + GAP
    for index, view in enumerate(views):
        row, column = divmod(index, columns)
        corner = (left + column * (box_width + GAP), top + row * (cell + GAP))
        _place(sheet, view, corner, (box_width, box_height), accent=FRAME)
    return sheet


def _box(views: Sequence[Tile]) -> tuple[int, int]:
    """Height and width that every view fits into."""
    scales = [VIEW_SIDE / max(view.pixels.shape) for view in views]
    heights = [view.pixels.shape[0] * scale for view, scale in zip(views, scales, strict=True)]
    widths = [view.pixels.shape[1] * scale for view, scale in zip(views, scales, strict=True)]
    return round(max(heights)), round(max(widths))


def _header(pen: ImageDraw.ImageDraw, width: int, title: str, subtitle: str) -> None:
    pen.text((MARGIN, MARGIN - 6), title, font=_font(27), fill=BRIGHT)
    pen.text((MARGIN, MARGIN + 32), subtitle, font=_font(15), fill=DIM)
    pen.text(
        (width - MARGIN, MARGIN - 2),
        "SYNTHETIC - NOT FOR DIAGNOSIS",
        font=_font(17),
        fill=WARNING,
        anchor="ra",
    )


def _place(
    sheet: Image.Image,
    tile: Tile,
    corner: tuple[int, int],
    box: tuple[int, int],
    *,
    accent: tuple[int, int, int],
) -> None:
    """A tile's picture, centred in a box given as (width, height), and its words below."""
    picture = Image.fromarray(tile.pixels)
    scale = min(box[0] / picture.width, box[1] / picture.height)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    method = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC
    picture = picture.resize(size, method)
    pen = ImageDraw.Draw(sheet)
    left, top = corner
    pen.rectangle((left - 1, top - 1, left + box[0], top + box[1]), outline=accent, fill=(0, 0, 0))
    sheet.paste(picture, (left + (box[0] - size[0]) // 2, top + (box[1] - size[1]) // 2))
    baseline = top + box[1] + 9
    pen.text((left, baseline), tile.title, font=_font(17), fill=BRIGHT)
    pen.text((left + box[0], baseline + 1), tile.detail, font=_font(15), fill=DIM, anchor="ra")


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
