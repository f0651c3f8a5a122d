"""The visible mark: that the image is synthetic, which view it is, and which side is which.

The mark has rows of its own, a strip above the image and one of the same height below it. So no
pixel of the anatomy is covered or changed, both marks stay when one edge is cropped, and the
middle of the image (where the isocentre is projected) stays the middle of the matrix. Pixel
spacing is not touched. Each strip holds white letters on black at the ends of the grey range in
use, whatever the anatomy beside it, so it is legible under every window that shows the image.
The side letters at the ends of the strip below are those of Patient Orientation, which viewers do
not show of projections.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dicom_node.iod.orientation import side_letters

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from synthesis.types import View

__all__ = ["MARK", "add_banner", "banner_rows", "letter_masks", "painted", "view_words"]

MARK: Final = "SYNTHETIC - NOT FOR DIAGNOSIS"
"""Burned in above every image."""

FILL: Final = 0.94
"""Share of the width that the mark takes."""

GAP: Final = 1.0
"""Least space between the view's words and the side letters, in the width of an M."""

MAX_HEIGHT_SHARE: Final = 0.08
"""Most of the image's height that the letters of one strip take."""

MARGIN: Final = 0.35
"""Space above and below the letters, in letter heights."""

SMALLEST: Final = 6
"""Smallest size of the letters; an image too narrow for it cuts them off."""

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def view_words(view: View) -> str:
    """The view's label with its angles, e.g. ``LAO 30  (+30 / 0 deg)``."""
    angles = (f"{a:+g}" if a else "0" for a in (view.primary_deg, view.secondary_deg))
    return f"{view.label}  ({' / '.join(angles)} deg)"


@lru_cache(maxsize=1024)
def banner_rows(width: int, height: int) -> int:
    """Rows of one strip for an image of this size."""
    font = _font(MARK, width, height, FILL)
    _, top, _, bottom = font.getbbox("Ay|(")
    letters = bottom - top
    return round(letters * (1.0 + 2.0 * MARGIN))


@lru_cache(maxsize=4096)
def _font(words: str, width: int, height: int, fill: float) -> Font:
    """Pillow's own font in the largest size at which the words fit into a share of the width."""
    return _fitting(words, width, max(round(height * MAX_HEIGHT_SHARE), SMALLEST), fill)


@lru_cache(maxsize=1024)
def _fitting(words: str, width: int, size: int, fill: float) -> Font:
    while size > SMALLEST:
        font = _own_font(size)
        left, _, right, _ = font.getbbox(words)
        if right - left <= fill * width:
            return font
        size -= 1
    return _own_font(SMALLEST)


@lru_cache(maxsize=256)
def _own_font(size: int) -> Font:
    return ImageFont.load_default(size)


def _strip(
    words: str, width: int, height: int, rows: int, sides: tuple[str, str] = ("", "")
) -> NDArray[np.float64]:
    common = _font(MARK, width, height, FILL)
    taken = max(_length(common, side) for side in sides)
    if taken:
        taken += GAP * _length(common, "M")
    own = _font(words, width, height, FILL - 2.0 * taken / width)
    # Both strips in one size where the words allow it.
    font = min(common, own, key=lambda one: getattr(one, "size", 0))
    canvas = Image.new("L", (width, rows), 0)
    draw, middle, margin = ImageDraw.Draw(canvas), rows / 2, width * (1.0 - FILL) / 2.0
    draw.text((width / 2, middle), words, fill=255, font=font, anchor="mm")
    for side, x, anchor in zip(sides, (margin, width - margin), ("lm", "rm"), strict=True):
        draw.text((x, middle), side, fill=255, font=common, anchor=anchor)
    return np.asarray(canvas, np.float64) / 255.0


def _length(font: Font, words: str) -> float:
    left, _, right, _ = font.getbbox(words)
    return right - left


def letter_masks(
    view: View, width: int, height: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The strips above and below an image of this size: letters as 1 on 0, smooth between."""
    rows = banner_rows(width, height)
    above = _strip(MARK, width, height, rows)
    below = _strip(view_words(view), width, height, rows, side_letters(view))
    return above, below


def add_banner(
    stored: NDArray[np.uint16], view: View, *, black: int, white: int
) -> NDArray[np.uint16]:
    """The image with the mark above and its view below.

    Args:
        stored: Stored values, shape (rows, columns).
        view: Of the image.
        black: Stored value shown black, e.g. the window's end.
        white: Stored value shown white.

    Returns:
        Shape (rows + 2 * `banner_rows`, columns); the image itself is unchanged in the middle.
    """
    height, width = stored.shape
    above, below = (
        painted(mask, black=black, white=white).astype(stored.dtype)
        for mask in letter_masks(view, width, height)
    )
    return np.concatenate([above, stored, below], axis=0)


def painted(mask: NDArray[np.float64], *, black: float, white: float) -> NDArray[np.float64]:
    """A mask of letters in stored values."""
    return np.rint(black + (white - black) * mask)
