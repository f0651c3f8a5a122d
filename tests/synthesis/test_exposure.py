"""The exposed field: shutters of every kind put on an image by hand, and images that have none."""

from __future__ import annotations

import numpy as np
import pytest

from synthesis.exposure import MIN_FIELD_SHARE, exposed_field

ROWS, COLUMNS = 300, 260


def chest(noise: float = 8.0, seed: int = 0) -> np.ndarray:
    """Air about a body with lungs, ribs, and a belly that is white down to the lower border."""
    y, x = np.mgrid[0:ROWS, 0:COLUMNS]
    y, x = y / ROWS - 0.5, x / COLUMNS - 0.5
    body = 2000 / (1 + np.exp((np.abs(x) - 0.40 - 0.05 * y) * 60))
    lungs = 1300 / (1 + np.exp((np.hypot(np.abs(x) - 0.2, (y + 0.08) * 0.6) - 0.15) * 50))
    ribs = 120 * np.sin(y * 60 + np.abs(x) * 12) * (np.abs(x) < 0.4)
    belly = 600 / (1 + np.exp((0.28 - y + 0.5 * x**2) * 60)) * (np.abs(x) < 0.42)
    grain = np.random.default_rng(seed).normal(0, noise, y.shape)
    return (300 + body - lungs + ribs + belly + grain).astype(np.float32)


def everywhere(image: np.ndarray) -> np.ndarray:
    return np.ones(image.shape, np.bool_)


def outside(*, turn_deg: float = 0.0) -> np.ndarray:
    """What four shutters cover: 20, 30, 26 and 18 pixels deep at the middle of their side."""
    y, x = np.mgrid[0:ROWS, 0:COLUMNS]
    slope = np.tan(np.deg2rad(turn_deg))
    dy, dx = slope * (x - COLUMNS / 2), slope * (y - ROWS / 2)
    return (y < 20 + dy) | (y >= ROWS - 30 + dy) | (x < 26 - dx) | (x >= COLUMNS - 18 - dx)


@pytest.mark.parametrize("seed", range(4))
def test_an_image_without_shutters_is_exposed_everywhere(seed: int) -> None:
    image = chest(seed=seed)
    for shown in (image, image[::-1], image[:, ::-1], image[40:-50, 30:-30]):
        field = exposed_field(shown, everywhere(shown))
        assert field.mask.all()
        assert (field.rows, field.columns) == ((0, shown.shape[0]), (0, shown.shape[1]))


@pytest.mark.parametrize("turn_deg", [0.0, 1.5, -2.5])
@pytest.mark.parametrize("value", [0.0, 4095.0, 1200.0])
def test_a_flat_mask_of_any_value_is_found_and_little_else(value: float, turn_deg: float) -> None:
    covered = outside(turn_deg=turn_deg)
    image = np.where(covered, np.float32(value), chest())
    field = exposed_field(image, everywhere(image))
    assert (field.mask & covered).mean() < 0.004
    assert (~field.mask & ~covered).mean() < 0.06


@pytest.mark.parametrize("turn_deg", [0.0, 2.0])
@pytest.mark.parametrize("soft", [1, 5])
def test_the_shadow_of_a_collimator_is_found_although_it_is_noisy_and_soft(
    soft: int, turn_deg: float
) -> None:
    shadow = outside(turn_deg=turn_deg).astype(float)
    kernel = np.ones(soft) / soft
    for axis in (0, 1):
        shadow = np.apply_along_axis(
            lambda line: np.convolve(np.pad(line, soft, mode="edge"), kernel, "same")[soft:-soft],
            axis,
            shadow,
        )
    noise = np.random.default_rng(1).normal(0, 30, shadow.shape)
    image = (chest() * (1 - shadow) + (3300 + noise) * shadow).astype(np.float32)
    field = exposed_field(image, everywhere(image))
    covered = outside(turn_deg=turn_deg)
    assert (field.mask & covered).mean() < 0.01
    assert (~field.mask & ~covered).mean() < 0.06


def test_one_shutter_alone_is_found_at_any_side() -> None:
    for side, box in enumerate([np.s_[:25], np.s_[-25:], np.s_[:, :25], np.s_[:, -25:]]):
        image = chest()
        image[box] = 3500 + np.random.default_rng(2).normal(0, 20, image[box].shape)
        field = exposed_field(image, everywhere(image))
        found = (
            field.rows[0],
            ROWS - field.rows[1],
            field.columns[0],
            COLUMNS - field.columns[1],
        )
        assert 25 <= found[side] <= 34
        assert sum(found) == found[side]


def test_a_letter_on_a_mask_does_not_hide_it() -> None:
    image = chest()
    image[:40] = 0.0
    image[10:24, 200:206] = 4095.0
    field = exposed_field(image, everywhere(image))
    assert field.rows[0] >= 40


def test_what_is_known_to_be_hidden_stays_hidden_and_bounds_the_field() -> None:
    valid = np.zeros((ROWS, COLUMNS), np.bool_)
    valid[30:250, 20:240] = True
    valid[100:110, 100:110] = False
    field = exposed_field(chest(), valid)
    assert (field.rows, field.columns) == ((30, 250), (20, 240))
    np.testing.assert_array_equal(field.mask, valid)
    assert chest()[field.box].shape == (220, 220)


def test_a_finding_that_leaves_next_to_nothing_is_none() -> None:
    image = np.full((ROWS, COLUMNS), 7.0, np.float32)
    image[140:160] = chest()[140:160]
    field = exposed_field(image, everywhere(image))
    assert field.mask.mean() >= MIN_FIELD_SHARE
    flat = np.full((ROWS, COLUMNS), 7.0, np.float32)
    assert exposed_field(flat, everywhere(flat)).mask.all()
