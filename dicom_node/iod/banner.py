"""The visible mark: that the image is synthetic, and which view it is.

The mark has rows of its own, a strip above the image and one of the same height below it. So no
pixel of the anatomy is covered or changed, both marks stay when one edge is cropped, and the
middle of the image (where the isocentre is projected) stays the middle of the matrix. Pixel
spacing is not touched. Each strip holds white letters on black at the ends of the grey range in
use, whatever the anatomy beside it, so it is legible under every window that shows the image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from synthesis.types import View

__all__ = ["MARK", "add_banner", "banner_rows", "view_words"]

MARK: Final = "SYNTHETIC - NOT FOR DIAGNOSIS"
"""Burned in above every image."""

FILL: Final = 0.94
"""Share of the width that the mark takes."""

MAX_HEIGHT_SHARE: Final = 0.08
"""Most of the image's height that the letters of one strip take."""

MARGIN: Final = 0.35
"""Space above and below the letters, in letter heights."""

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def view_words(view: View) -> str:
    """The view's label with its angles, e.g. ``LAO 30  (+30 / +0 deg)``."""
    return f"{view.label}  ({view.primary_deg:+g} / {view.secondary_deg:+g} deg)"


def banner_rows(width: int, height: int) -> int:
    """Rows of one strip for an image of this size."""
    font = _font(MARK, width, height)
    _, top, _, bottom = font.getbbox("Ay|(")
    letters = bottom - top
    return round(letters * (1.0 + 2.0 * MARGIN))


def _font(words: str, width: int, height: int) -> Font:
    """Pillow's own font in the largest size at which the words fit."""
    size = max(round(height * MAX_HEIGHT_SHARE), 6)
    while size > 6:
        font = ImageFont.load_default(size)
        left, _, right, _ = font.getbbox(words)
        if right - left <= FILL * width:
            return font
        size -= 1
    return ImageFont.load_default(6)


def _strip(words: str, width: int, height: int, rows: int) -> NDArray[np.float64]:
    """Letters as 1 on 0, smooth edges between, shape (rows, width)."""
    common = _font(MARK, width, height)
    own = _font(words, width, height)
    # Both strips in one size where the words allow it.
    font = min(common, own, key=lambda one: getattr(one, "size", 0))
    canvas = Image.new("L", (width, rows), 0)
    ImageDraw.Draw(canvas).text((width / 2, rows / 2), words, fill=255, font=font, anchor="mm")
    return np.asarray(canvas, np.float64) / 255.0


def add_banner(
    stored: NDArray[np.uint16], view: View, *, black: float, white: float
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
    rows = banner_rows(width, height)
    above, below = (
        np.rint(black + (white - black) * _strip(words, width, height, rows)).astype(stored.dtype)
        for words in (MARK, view_words(view))
    )
    return np.concatenate([above, stored, below], axis=0)
