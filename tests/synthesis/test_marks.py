"""Marks put on a chest with Pillow's font: found, taken out, and nothing else touched."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from synthesis.marks import filled, marks
from tests.synthesis.test_exposure import chest

SCALE = 3


def large() -> np.ndarray:
    """900 x 780 pixels."""
    return np.kron(chest(0.0), np.ones((SCALE, SCALE), np.float32)) + np.random.default_rng(
        4
    ).normal(0, 8, (900, 780)).astype(np.float32)


def written(shape: tuple[int, int], text: str, at: tuple[int, int], size: int) -> np.ndarray:
    """Coverage, 0 to 1, of text whose upper left corner is at (x, y)."""
    page = Image.new("L", shape[::-1])
    ImageDraw.Draw(page).text(at, text, fill=255, font=ImageFont.load_default(size))
    return np.asarray(page, np.float32) / 255


def everywhere(image: np.ndarray) -> np.ndarray:
    return np.ones(image.shape, np.bool_)


def test_a_chest_without_marks_has_none() -> None:
    for image in (large(), large()[::-1], large()[:, 100:-100]):
        assert not marks(image, everywhere(image)).any()


@pytest.mark.parametrize(
    ("text", "at", "size"),
    [("R", (20, 60), 60), ("L", (700, 90), 45), ("PA", (10, 500), 40), ("L", (640, 200), 60)],
)
def test_a_lead_letter_near_the_border_is_found_and_taken_out(
    text: str, at: tuple[int, int], size: int
) -> None:
    clean = large()
    letter = written(clean.shape, text, at, size)
    lead = np.random.default_rng(5).normal(3300, 10, clean.shape)
    image = (clean * (1 - letter) + lead * letter).astype(np.float32)
    found = marks(image, everywhere(image))
    strokes = letter > 0.3
    assert (found & strokes).sum() >= 0.97 * strokes.sum()
    assert found.sum() < 12 * strokes.sum()
    restored = filled(image, found)
    np.testing.assert_array_equal(restored[~found], image[~found])
    before = np.abs(image - clean)[strokes].mean()
    assert np.abs(restored - clean)[strokes].mean() < 0.1 * before


def test_text_burned_in_is_found_anywhere() -> None:
    clean = large()
    letter = written(clean.shape, "AP SUPINE 08:15", (250, 380), 26)
    image = np.where(letter > 0.4, np.float32(4095), clean)
    found = marks(image, everywhere(image))
    assert found[letter > 0.4].mean() > 0.97
    assert found.mean() < 0.05


def test_what_is_broad_stays_although_it_is_the_whitest() -> None:
    image = large()
    image[300:420, 300:420] = 4095.0  # a pacemaker's can
    assert not marks(image, everywhere(image))[310:410, 310:410].any()


@pytest.mark.parametrize("step", [1.0, 2.0, 10.0, 25.0])
def test_the_whitest_of_few_grey_levels_is_no_text(step: float) -> None:
    image = np.rint(chest(2.0) / step).astype(np.float32)
    assert not marks(image, everywhere(image)).any()


def test_a_clipped_window_is_no_text() -> None:
    image = np.minimum(large(), np.float32(2300))
    assert (image == image.max()).mean() > 0.02
    assert marks(image, everywhere(image)).mean() < 0.005


def test_marks_are_looked_for_in_the_field_alone() -> None:
    image = large()
    letter = written(image.shape, "R", (20, 60), 60)
    image = np.where(letter > 0.4, np.float32(4095), image)
    valid = everywhere(image)
    valid[:, :120] = False
    assert not marks(image, valid).any()
    assert not marks(image, np.zeros(image.shape, np.bool_)).any()
    flat = np.full((80, 90), 3.0, np.float32)
    assert not marks(flat, everywhere(flat)).any()


def test_a_hole_in_a_slope_is_filled_with_the_slope() -> None:
    slope = np.add.outer(np.arange(90.0), 2 * np.arange(70.0)).astype(np.float32)
    hole = np.zeros(slope.shape, np.bool_)
    hole[40:50, 30:38] = True
    restored = filled(np.where(hole, np.float32(9999), slope), hole)
    np.testing.assert_array_equal(restored[~hole], slope[~hole])
    assert np.abs(restored - slope)[hole].max() < 12  # of 26 across the hole
    border = np.zeros(slope.shape, np.bool_)
    border[:9] = True
    continued = filled(np.where(border, np.float32(-9999), slope), border)
    assert np.abs(continued[:9] - slope[9]).max() < 20
