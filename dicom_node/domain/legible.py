"""Text of others, made fit to be kept and shown."""

from __future__ import annotations

import unicodedata
from typing import Final

__all__ = ["LEGIBLE_CHARACTERS", "legible"]

LEGIBLE_CHARACTERS: Final = 1024
"""Most that is kept of a text; attributes of images that may decide a route have 64 a value."""

_STANDS_FOR_OTHERS: Final = "\N{REPLACEMENT CHARACTER}"


def legible(text: str) -> str:
    """The text without what breaks a line, a terminal or a database, and not too long.

    NUL does not fit into every database, half a surrogate pair into no encoding, and control
    characters would write into the log of whoever prints them.
    """
    cut = text if len(text) <= LEGIBLE_CHARACTERS else f"{text[: LEGIBLE_CHARACTERS - 3]}..."
    if cut.isascii() and cut.isprintable():
        return cut
    return "".join(each if _harmless(each) else _STANDS_FOR_OTHERS for each in cut)


def _harmless(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] != "C" and category not in ("Zl", "Zp")
