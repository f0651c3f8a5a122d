"""Whoever sees badly can read the console (WCAG 2.2, 1.4.3 and 1.4.11)."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest

from dicom_node import console

CSS = (Path(console.__file__).parent / "static" / "console.css").read_text()
THEMES = [
    dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block))
    for block in re.findall(r"\{([^{}]*--ground:[^{}]*)\}", CSS)
]
GROUNDS = ("ground", "card", "sunk")
TEXTS = [
    *product(("text", "soft", "link"), GROUNDS),
    *((f"{kind}", f"{kind}-ground") for kind in ("good", "warn", "bad", "busy")),
    *product(("good", "warn", "bad", "busy"), ("card",)),
    ("on-accent", "accent"),
    ("on-danger", "danger"),
]


def luminance(colour: str) -> float:
    """Relative luminance of sRGB."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_black_on_white_has_the_greatest_contrast_there_is() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)


def test_dark_is_the_same_whether_the_system_asks_for_it_or_the_person() -> None:
    light, *dark = THEMES
    assert len(dark) == 2
    assert dark[0] == dark[1] != light


@pytest.mark.parametrize("theme", THEMES[:2], ids=["light", "dark"])
def test_every_text_can_be_read_on_its_ground(theme: dict[str, str]) -> None:
    weak = {
        (text, ground): round(contrast(theme[text], theme[ground]), 2)
        for text, ground in TEXTS
        if contrast(theme[text], theme[ground]) < 4.5
    }
    assert not weak


@pytest.mark.parametrize("theme", THEMES[:2], ids=["light", "dark"])
def test_borders_of_controls_and_the_focus_stand_out(theme: dict[str, str]) -> None:
    for line, ground in product(("edge", "focus"), ("ground", "card")):
        assert contrast(theme[line], theme[ground]) >= 3.0, (line, ground)
