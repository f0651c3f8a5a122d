"""Resizing keeps what an image has."""

from __future__ import annotations

import math

import pytest
import torch

from synthesis.geometry.resizing import resized


def wave(side: int, periods: int) -> torch.Tensor:
    place = (torch.arange(side) + 0.5) / side
    return torch.cos(2 * math.pi * periods * place).expand(1, 1, side, side)


@pytest.mark.parametrize("periods", [1, 4, 12])
def test_waves_become_the_same_waves_on_more_pixels(periods: int) -> None:
    """12 periods on 32 pixels: a period of less than three of them."""
    inside = (..., slice(24, -24), slice(24, -24))
    made, right = resized(wave(32, periods), 96)[inside], wave(96, periods)[inside]
    assert (made - right).square().mean() < 0.02 * right.square().mean()


def test_an_even_image_stays_even_and_the_same_side_is_left_alone() -> None:
    image = torch.full((2, 1, 16, 16), 0.3)
    torch.testing.assert_close(resized(image, 40), torch.full((2, 1, 40, 40), 0.3))
    assert resized(image, 16) is image


def test_fewer_pixels_are_means() -> None:
    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert resized(image, 2).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
