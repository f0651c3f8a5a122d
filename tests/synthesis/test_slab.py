"""The first guess: a source smeared through the body's depth and projected again."""

from __future__ import annotations

import math

import torch

from synthesis.geometry.slab import DEPTH_MM, slab_guess

SIZE, PITCH = 64, 5.0


def guess(source: torch.Tensor, azimuth: float = 0.0, elevation: float = 0.0) -> torch.Tensor:
    """Matter (h, w) in, matter out; angles in degrees."""
    out = slab_guess(
        source[None, None] * 2 - 1,
        torch.tensor([math.radians(azimuth)]),
        torch.tensor([math.radians(elevation)]),
        torch.tensor([PITCH]),
    )
    return (out[0, 0] + 1) / 2


def blob(column: int = 32, row: int = 32) -> torch.Tensor:
    source = torch.zeros(SIZE, SIZE)
    source[row - 2 : row + 2, column - 2 : column + 2] = torch.rand(
        4, 4, generator=torch.Generator().manual_seed(0)
    )
    return source


def test_no_turn_is_the_source_itself() -> None:
    source = torch.rand(SIZE, SIZE)
    torch.testing.assert_close(guess(source), source)


def test_a_turn_about_the_long_axis_keeps_every_rows_sum() -> None:
    source = blob(26, 20) + blob(36, 41)
    for azimuth in (-90, -60, -30, 15, 45, 75, 90):
        torch.testing.assert_close(guess(source, azimuth).sum(1), source.sum(1))


def test_a_tilt_keeps_every_columns_sum() -> None:
    source = blob(26, 30)
    for elevation in (-40, 25, 60):
        torch.testing.assert_close(guess(source, 0, elevation).sum(0), source.sum(0))


def test_at_90_degrees_a_row_is_its_sum_spread_over_the_depth_of_the_body() -> None:
    made = guess(blob(12, 32), 90)
    radius = DEPTH_MM / 2 / PITCH  # 25 pixels, about the middle wherever the source was
    x = torch.arange(SIZE) - (SIZE - 1) / 2
    semicircle = 2 / (math.pi * radius**2) * (radius**2 - x**2).clamp_min(0).sqrt()
    expected = blob(12, 32).sum(1)[:, None] * semicircle
    assert float((made - expected)[:, 9:55].abs().max()) < 0.01 * float(expected.max())
    assert made[:, :6].abs().max() < 1e-6
    assert made[:, 58:].abs().max() < 1e-6


def test_the_further_the_turn_the_wider_the_smear() -> None:
    columns = torch.arange(SIZE, dtype=torch.float32)
    widths = []
    for azimuth in range(0, 91, 10):
        made = guess(blob(), azimuth).sum(0)
        made = made / made.sum()
        middle = (made * columns).sum()
        widths.append(float((made * (columns - middle) ** 2).sum()))
    assert widths == sorted(widths)


def test_what_stands_right_of_the_middle_stays_there_and_comes_nearer_by_the_cosine() -> None:
    columns = torch.arange(SIZE, dtype=torch.float32)
    for azimuth in (30.0, 60.0):
        made = guess(blob(42), azimuth).sum(0)
        source = blob(42).sum(0)
        was = float((source * columns).sum() / source.sum()) - 31.5
        now = float((made * columns).sum() / made.sum()) - 31.5
        assert abs(now - was * math.cos(math.radians(azimuth))) < 0.02


def test_it_is_exact_from_the_side_for_a_body_that_is_a_round_bar() -> None:
    # A bar of the assumed depth, of attenuation 1 per mm: the chord, from wherever one looks.
    x = (torch.arange(SIZE) - (SIZE - 1) / 2) * PITCH
    chord = 2 * ((DEPTH_MM / 2) ** 2 - x**2).clamp_min(0).sqrt()
    made = guess(chord.expand(SIZE, -1), 90.0)[32]
    assert float((made - chord).abs().max()) < 0.03 * DEPTH_MM
