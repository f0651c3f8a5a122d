"""Effects on a source, each against what it must do to an image whose answer is plain."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from synthesis.data import appearance
from synthesis.data.appearance import Shares, glyph, source_appearance

SIDE = 96
EFFECTS = (
    "blurred",
    "noisy",
    "edge_enhanced",
    "equalised",
    "clipped",
    "airless",
    "rescaled",
    "collimated",
    "marked",
)


def generator(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def chest(count: int = 12) -> Tensor:
    """Air at both sides, a body at 0.1 with two lungs at -0.5 in it."""
    image = torch.full((SIDE, SIDE), -1.0)
    image[:, 12:84] = 0.1
    image[20:70, 18:42] = image[20:70, 54:78] = -0.5
    return image.expand(count, 1, SIDE, SIDE).clone()


def flat(value: float, count: int = 12) -> Tensor:
    return torch.full((count, 1, SIDE, SIDE), value)


@pytest.fixture(params=EFFECTS)
def effect(request: pytest.FixtureRequest) -> Callable[[Tensor, torch.Generator], Tensor]:
    found: Callable[[Tensor, torch.Generator], Tensor] = getattr(appearance, request.param)
    return found


def test_every_effect_keeps_the_form_is_repeatable_and_leaves_its_input_alone(
    effect: Callable[[Tensor, torch.Generator], Tensor],
) -> None:
    images = chest()
    made, again = effect(images, generator()), effect(images, generator())
    assert made.shape == images.shape and made.dtype == images.dtype
    assert made.isfinite().all()
    assert torch.equal(made, again)
    assert torch.equal(images, chest())
    assert not torch.equal(made, images)
    assert not torch.equal(made, effect(images, generator(6)))


def test_a_share_of_none_changes_nothing_and_a_share_of_all_changes_most() -> None:
    images = chest(40)
    assert torch.equal(source_appearance(images, generator(), share=0.0), images)
    made = source_appearance(images, generator(), share=1.0)
    same = sum(torch.equal(a, b) for a, b in zip(made, images, strict=True))
    # No effect at all: the product of (1 - its share), below two in a hundred.
    assert same <= 4
    assert made.isfinite().all() and made.shape == images.shape
    assert torch.equal(images, chest(40))


def test_the_shares_choose_the_effects() -> None:
    only = Shares(
        **{name: 0.0 for name in EFFECTS if name != "marked"},  # type: ignore[arg-type]
        marked=1.0,
    )
    made = source_appearance(chest(8), generator(), share=1.0, shares=only)
    for image in made:
        changed = (image != chest(1)[0]).float().mean()
        assert 0.0 < changed < 0.2


def test_images_of_any_shape_and_small_ones_pass() -> None:
    for shape in ((3, 1, 32, 32), (2, 1, 40, 64), (1, 1, 256, 256)):
        made = source_appearance(torch.zeros(shape) - 0.3, generator(), share=1.0)
        assert made.shape == shape and made.isfinite().all()


def test_blur_keeps_what_is_flat_and_makes_a_step_a_monotone_slope() -> None:
    torch.testing.assert_close(appearance.blurred(flat(0.2), generator()), flat(0.2))
    step = flat(-1.0)
    step[..., SIDE // 2 :] = 0.0
    slope = appearance.blurred(step, generator())
    assert (slope.diff(dim=-1) >= -1e-6).all()
    steepest = slope.diff(dim=-1).amax(dim=(1, 2, 3))
    assert (steepest < 0.9999).all() and steepest.min() < 0.95
    torch.testing.assert_close(slope.mean((2, 3)), step.mean((2, 3)))


def test_noise_follows_the_quanta_that_came_through() -> None:
    dense = appearance.noisy(flat(0.0, 64), generator()).std((1, 2, 3))
    air = (appearance.noisy(flat(-1.0, 64), generator()) + 1.0).std((1, 2, 3))
    # The same draws: the grain of air is smaller by e^1.5, all else equal.
    torch.testing.assert_close(dense / air, torch.full((64,), math.exp(1.5)), rtol=1e-3, atol=0)
    assert 0.005 < dense.mean() < 0.03


def test_an_unsharp_mask_overshoots_at_edges_and_nowhere_else() -> None:
    torch.testing.assert_close(appearance.edge_enhanced(flat(0.2), generator()), flat(0.2))
    made = appearance.edge_enhanced(chest(), generator())
    assert (made.amax((1, 2, 3)) > 0.1 + 0.01).all()
    assert (made.mean((1, 2, 3)) - chest().mean((1, 2, 3))).abs().max() < 0.01


def test_equalising_brings_regions_together_and_leaves_air_and_fine_detail() -> None:
    images = chest()
    images[..., 30:60:2, 22:38] += 0.02
    made = appearance.equalised(images, generator())
    lung, belly = made[..., 40:50, 25:35], made[..., 80:90, 40:60]
    assert ((belly.mean((1, 2, 3)) - lung.mean((1, 2, 3))) < 0.57).all()  # of 0.6
    detail = made[..., 40:50:2, 25:35] - made[..., 41:51:2, 25:35]
    torch.testing.assert_close(detail.mean((1, 2, 3)), torch.full((12,), 0.02), rtol=0, atol=2e-3)
    assert (made[..., :4].mean((1, 2, 3)) + 1.0).abs().max() < 0.02


def test_a_burned_in_window_ends_in_one_white() -> None:
    ramp = torch.linspace(-1.0, 0.4, SIDE * SIDE).view(1, 1, SIDE, SIDE).repeat(12, 1, 1, 1)
    made = appearance.clipped(ramp, generator())
    for image in made:
        white = (image == image.max()).float().mean()
        assert 5e-4 < white < 0.09  # 1 in 1000 to 1 in 20, found on every fourth row
        inside = (image > image.min()) & (image < image.max())
        assert torch.equal(image[inside], ramp[0][inside])


def test_without_raw_air_the_lung_becomes_black_and_the_dense_stays() -> None:
    made = appearance.airless(chest(), generator())
    assert torch.equal(made[..., :12], flat(-1.0)[..., :12])
    assert (made[..., 40, 30] < -0.99).all()  # was -0.5
    torch.testing.assert_close(made[..., 80, 48], flat(0.1)[..., 0, 0])


def test_rescaling_is_a_mild_straight_line() -> None:
    made = appearance.rescaled(chest(), generator())
    assert (made - chest()).abs().max() < 0.03 + 0.08 * 1.1 + 1e-6
    air, lung, body = made[..., 0, 0], made[..., 40, 30], made[..., 80, 48]
    torch.testing.assert_close((lung - air) / (body - air), torch.full_like(air, 0.5 / 1.1))


def test_shutters_lie_at_the_sides_and_leave_the_middle() -> None:
    made = appearance.collimated(flat(-0.77, 60), generator())
    changed = (made + 0.77).abs() > 0.01
    assert not changed[..., 30:66, 30:66].any()
    border = torch.ones(SIDE, SIDE, dtype=torch.bool)
    border[8:-8, 8:-8] = False
    at_border = (changed & border).flatten(1).any(dim=1)
    assert at_border.float().mean() > 0.4  # a flat image continued to its head and foot is itself
    assert not (changed.flatten(1).any(dim=1) & ~at_border).any()
    sides = torch.stack(
        [changed[..., 0, 48], changed[..., -1, 48], changed[..., 48, 0], changed[..., 48, -1]]
    )
    assert (sides.float().mean((1, 2)) > 0.2).all()


def test_behind_a_shutter_that_was_found_the_body_goes_on() -> None:
    ramp = torch.linspace(-0.9, 0.1, SIDE).view(1, 1, SIDE, 1).repeat(80, 1, 1, SIDE)
    made = appearance.collimated(ramp, generator())
    middle = made[:, 0, :, SIDE // 2]
    upper = (middle[:, :1] == middle[:, :4]).all(dim=1) & (middle[:, 0] > -0.89)
    assert upper.float().mean() > 0.1  # the first row of the field, again and again
    # At the sides it ends: towards air, and no further.
    assert (made >= -1.0 - 1e-6).all()


def test_a_mark_is_small_and_stands_near_a_border() -> None:
    made = appearance.marked(flat(-0.3, 60), generator())
    changed = (made + 0.3).abs() > 0.05
    assert changed.flatten(1).any(dim=1).all()
    assert (changed.float().mean((1, 2, 3)) < 0.15).all()
    assert changed[..., 38:58, 38:58].float().mean() < 0.01


def test_letters_are_upright_and_not_mirrored() -> None:
    letter = glyph("L", 36)
    rows, columns = letter.shape
    foot, head = letter[rows * 3 // 4 :], letter[: rows // 4]
    assert foot.sum() > 2 * head.sum()
    assert letter[:, : columns // 2].sum() > 1.5 * letter[:, columns // 2 :].sum()
    assert glyph("RL", 36).shape[1] > 1.6 * columns
    assert letter.max() > 0.9 and letter[0].max() < 0.5
