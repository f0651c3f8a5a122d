"""Mixed patients are patients: what is rendered of a mixture is the mixture of what is rendered."""

from __future__ import annotations

import numpy as np
import torch

from synthesis.data.augmentation import body_variation
from synthesis.data.mixing import mixed
from synthesis.geometry.bands import blurred
from synthesis.types import View

LEVEL = [View(primary_deg=0.0, secondary_deg=0.0), View(primary_deg=40.0, secondary_deg=0.0)]
TILTED = [*LEVEL, View(primary_deg=10.0, secondary_deg=15.0)]


def pair(views: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return (
        torch.rand(views, 24, 16, generator=generator),
        1 + torch.rand(views, 24, 16, generator=generator),
    )


def shares(views: list[View], seed: int) -> torch.Tensor:
    """Of the first patient, in every pixel."""
    first, second = pair(len(views))
    made = mixed(first, second, views, np.random.default_rng(seed))
    return (second - made) / (second - first)


def test_a_row_has_one_share_in_every_view_and_some_bodies_change_along_the_axis() -> None:
    ways = set()
    for seed in range(20):
        share = shares(LEVEL, seed)
        of_row = share[:1, :, :1].expand_as(share)
        torch.testing.assert_close(share, of_row, atol=1e-4, rtol=0)
        assert share.min() >= -1e-4
        assert share.max() <= 1 + 1e-4
        ways.add(bool(of_row.std() > 1e-3))
    assert ways == {True, False}


def test_bodies_seen_from_above_overlap_everywhere() -> None:
    for seed in range(20):
        assert shares(TILTED, seed).std() < 1e-4


def test_a_seed_decides_the_mixture() -> None:
    torch.testing.assert_close(shares(LEVEL, 3), shares(LEVEL, 3), atol=0, rtol=0)
    assert not torch.equal(shares(LEVEL, 3), shares(LEVEL, 4))


def test_a_varied_body_stays_as_sharp_as_it_was() -> None:
    noise = torch.randn(2, 96, 96, generator=torch.Generator().manual_seed(4))
    image = 3.0 + 0.3 * blurred(noise[:, None], 0.6)[:, 0]  # detail up to the finest there is
    kept = []
    for seed in range(12):
        varied, _ = body_variation(image, LEVEL, np.random.default_rng(seed))
        inner = varied[:, 24:-24, 24:-24]
        kept.append(float(inner.std() / inner.mean()))
    before = float(image.std() / image.mean())
    assert np.mean(kept) > 0.9 * before  # 0.8 by linear interpolation
    assert body_variation(noise, LEVEL, np.random.default_rng(1))[0].min() >= 0.0
