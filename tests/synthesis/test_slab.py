"""The first guess: a source smeared through the body's depth and projected again."""

from __future__ import annotations

import math

import torch

from synthesis.geometry.slab import DEPTH_MM, SOFTNESS_MM, slab_guess

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


def test_a_turn_about_the_long_axis_keeps_matter_and_every_rows_sum_but_for_softness() -> None:
    source = blob(26, 20) + blob(36, 41)
    rows = torch.arange(SIZE, dtype=torch.float32)
    for azimuth in (-90, -60, -30, 15, 45, 75, 90):
        made = guess(source, azimuth).sum(1)
        # The profile's last thousandth falls beside the field.
        torch.testing.assert_close(made.sum(), source.sum(), rtol=1e-3, atol=0)
        middle = (source.sum(1) * rows).sum()
        torch.testing.assert_close((made * rows).sum(), middle, rtol=1e-3, atol=0)
        reach = math.ceil(SOFTNESS_MM / 2 / PITCH)
        assert float(made[: 18 - reach].abs().max()) < 1e-6
        assert float(made[43 + reach :].abs().max()) < 1e-6


def test_a_tilt_keeps_every_columns_sum() -> None:
    source = blob(26, 30)
    for elevation in (-40, 25, 60):
        torch.testing.assert_close(guess(source, 0, elevation).sum(0), source.sum(0))


def test_at_90_degrees_a_row_is_spread_over_the_depth_of_the_body_wherever_it_was() -> None:
    x = (torch.arange(SIZE) - (SIZE - 1) / 2) * PITCH / (DEPTH_MM / 2)
    profile = (1 - x**2).clamp_min(0) ** 2
    profile = profile / profile.sum()
    for column in (12, 32, 50):
        made = guess(blob(column, 32), 90)
        expected = made.sum(1)[:, None] * profile
        assert float((made - expected).abs().max()) < 0.01 * float(expected.max())


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


def test_the_profile_is_as_wide_as_a_round_bar_of_a_chest_is_thick() -> None:
    x = (torch.arange(SIZE) - (SIZE - 1) / 2) * PITCH
    made = guess(torch.ones(SIZE, SIZE), 90.0)[32]
    deviation = float((made * x**2).sum() / made.sum()) ** 0.5
    assert abs(deviation - 250.0 / 4) < 1.0  # a semicircle's is half its radius
