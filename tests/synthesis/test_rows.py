"""Rows of matter."""

from __future__ import annotations

import torch

from synthesis.geometry.rows import row_sums, with_row_sums


def images(seed: int) -> torch.Tensor:
    return 1.6 * torch.rand(2, 1, 12, 10, generator=torch.Generator().manual_seed(seed)) - 1


def test_a_row_of_air_holds_nothing_and_a_row_of_the_scale_all() -> None:
    image = torch.full((1, 1, 2, 5), -1.0)
    image[:, :, 1] = 1.0
    assert row_sums(image).flatten().tolist() == [0.0, 1.0]


def test_trusted_rows_become_what_is_asked_and_others_stay() -> None:
    image = images(1)
    asked = row_sums(image) * 1.05
    trusted = with_row_sums(image, asked, torch.ones(2, 1, 3))
    torch.testing.assert_close(row_sums(trusted), asked, atol=1e-3, rtol=0)
    torch.testing.assert_close(with_row_sums(image, asked, torch.zeros(2, 1, 3)), image)


def test_a_row_is_changed_by_a_fifth_at_most_and_air_stays_air() -> None:
    image = images(2)
    image[:, :, :, 0] = -1.0
    made = with_row_sums(image, 9 * row_sums(image), torch.ones(2, 1, 1))
    assert (row_sums(made) / row_sums(image)).max() < 1.23
    assert torch.equal(made[:, :, :, 0], image[:, :, :, 0])
