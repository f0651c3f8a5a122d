"""The first guess: a source smeared through the body's depth and projected again."""

from __future__ import annotations

import math

import numpy as np
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


def test_at_90_degrees_a_row_is_its_sum_spread_over_the_depth_as_a_round_bars_is() -> None:
    made = guess(blob(12, 32), 90)
    radius = DEPTH_MM / 2 / PITCH  # 25 pixels, about the middle wherever the source was
    place = (torch.arange(SIZE) - (SIZE - 1) / 2) / radius
    profile = 2 / (math.pi * radius) * (1 - place**2).clamp_min(0.0).sqrt()
    expected = blob(12, 32).sum(1)[:, None] * profile
    error = (made - expected).abs().max() / expected.max()
    assert error < 0.03  # the mean over a pixel against its middle, at the steep ends
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


def test_it_is_exact_for_a_body_whose_matter_lies_that_deep() -> None:
    # Such a body, point by point: 180 mm wide, its matter spread over the depth as in a round bar,
    # every point carried to where parallel rays put it. No formula, only counting.
    x = (np.arange(3600) + 0.5) / 20 - 90
    depth = ((np.arange(2000) + 0.5) / 1000 - 1) * DEPTH_MM / 2
    weight = np.sqrt(1 - (depth / (DEPTH_MM / 2)) ** 2)
    weight /= weight.sum()
    edges = (np.arange(SIZE + 1) - SIZE / 2) * PITCH
    source = np.histogram(x, edges)[0] / (20 * PITCH)
    for azimuth in (15.0, 30.0, 60.0, 85.0):
        angle = math.radians(azimuth)
        place = x[:, None] * math.cos(angle) + depth * math.sin(angle)
        counted = np.histogram(place, edges, weights=np.broadcast_to(weight, place.shape))[0]
        made = guess(torch.from_numpy(source).float().expand(SIZE, -1), azimuth)[32].numpy()
        np.testing.assert_allclose(made, counted / (20 * PITCH), atol=3e-3)
