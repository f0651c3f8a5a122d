"""Beyond the borders of an image: up and down it goes on, to the sides it ends in air."""

from __future__ import annotations

import numpy as np
import torch

from synthesis.framing import FADE, continued


def test_the_image_itself_stays_where_it_was_put() -> None:
    image = torch.randn(2, 3, 20, 12, generator=torch.Generator().manual_seed(0))
    made = continued(image, left=3, right=5, top=2, bottom=7)
    assert made.shape == (2, 3, 29, 20)
    assert torch.equal(made[..., 2:22, 3:15], image)
    assert torch.equal(continued(image, left=0, right=0, top=0, bottom=0), image)


def test_rows_go_on_as_they_end() -> None:
    image = torch.rand(20, 12)
    made = continued(image, left=0, right=0, top=4, bottom=6)
    assert torch.equal(made[:4], image[:1].expand(4, -1))
    assert torch.equal(made[24:], image[-1:].expand(6, -1))


def test_columns_fade_into_air_by_a_bell_of_known_width() -> None:
    image = torch.zeros(100, 60)
    made = continued(image, left=20, right=20, top=0, bottom=0)
    distance = np.arange(1, 21)
    expected = np.exp(-((distance / (FADE * 100)) ** 2)) - 1.0
    np.testing.assert_allclose(made[50, 80:].numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(made[50, :20].numpy(), expected[::-1], atol=1e-6)


def test_air_goes_on_as_air() -> None:
    made = continued(torch.full((10, 8), -1.0), left=4, right=4, top=3, bottom=3)
    assert torch.equal(made, torch.full((16, 16), -1.0))
