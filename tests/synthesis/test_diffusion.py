"""Sampler, loss and noise against closed forms."""

from __future__ import annotations

import math

import pytest
import torch

from synthesis.diffusion import draw_times, sample, velocity_loss, view_noise
from synthesis.types import SeenFrom, View

MEAN, SPREAD = 0.7, 0.4


def gaussian(z: torch.Tensor, time: float) -> torch.Tensor:
    """E[x | z, t] for x ~ N(MEAN, SPREAD^2), z = t x + (1 - t) noise."""
    variance = time**2 * SPREAD**2 + (1 - time) ** 2
    return MEAN + time * SPREAD**2 / variance * (z - time * MEAN)


NOISE = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
EXACT = MEAN + SPREAD * NOISE
"""Where the flow carries each noise: z(t) = t MEAN + sqrt(t^2 SPREAD^2 + (1 - t)^2) noise."""


def error(steps: int) -> float:
    return float((sample(gaussian, NOISE, steps=steps) - EXACT).abs().max())


def test_many_steps_reach_the_closed_form_of_the_flow() -> None:
    assert error(4096) < 2e-3


def test_the_error_falls_with_the_number_of_steps_as_eulers_does() -> None:
    for steps in (64, 128, 256):
        assert error(steps) / error(2 * steps) == pytest.approx(2.0, rel=0.1)


def test_one_step_is_the_regression() -> None:
    torch.testing.assert_close(
        sample(gaussian, NOISE, steps=1), torch.full_like(NOISE, MEAN), atol=1e-12, rtol=0
    )


@pytest.mark.parametrize("steps", [1, 2, 3, 8])
def test_a_step_costs_one_evaluation_at_equal_times_from_zero(steps: int) -> None:
    times = []

    def denoise(z: torch.Tensor, time: float) -> torch.Tensor:
        times.append(time)
        return torch.zeros_like(z)

    sample(denoise, NOISE, steps=steps)
    assert times == pytest.approx([k / steps for k in range(steps)])


def test_a_denoiser_that_knows_the_answer_is_believed() -> None:
    torch.testing.assert_close(sample(lambda z, t: EXACT, NOISE, steps=7), EXACT)


def test_the_loss_is_the_squared_error_of_the_velocity() -> None:
    generator = torch.Generator().manual_seed(1)
    clean, noise, predicted = torch.randn(3, 5, 1, 6, 6, generator=generator, dtype=torch.float64)
    time = torch.tensor([0.0, 0.2, 0.5, 0.8, 0.94], dtype=torch.float64)
    t = time.view(-1, 1, 1, 1)
    z = t * clean + (1 - t) * noise
    velocity = clean - noise
    stated = (predicted - z) / (1 - t)
    torch.testing.assert_close(
        velocity_loss(predicted, clean, time), ((stated - velocity) ** 2).mean()
    )


def test_the_loss_stays_finite_at_the_end() -> None:
    one = torch.ones(1, 1, 4, 4)
    assert float(velocity_loss(one, one * 0, torch.ones(1))) == pytest.approx(400.0)


def test_times_have_the_distribution_asked_for() -> None:
    times = draw_times(40_000, torch.Generator().manual_seed(0), mean=-0.6, spread=1.0, start=0.15)
    assert float((times == 0).float().mean()) == pytest.approx(0.15, abs=0.01)
    logits = torch.logit(times[times > 0].double())
    assert float(logits.mean()) == pytest.approx(-0.6, abs=0.02)
    assert float(logits.std()) == pytest.approx(1.0, abs=0.02)
    assert float(times.max()) < 1.0


def test_noise_depends_on_seed_sample_and_view_and_on_nothing_else() -> None:
    view = View(primary_deg=30.0, secondary_deg=5.0)
    first = view_noise(1, 0, view, 16)
    torch.randn(100)  # the global generator has no say
    assert torch.equal(first, view_noise(1, 0, View(primary_deg=390.0, secondary_deg=5.0), 16))
    others = [
        view_noise(2, 0, view, 16),
        view_noise(1, 1, view, 16),
        view_noise(1, 0, View(primary_deg=30.1, secondary_deg=5.0), 16),
        view_noise(1, 0, View(primary_deg=30.0, secondary_deg=-5.0), 16),
        view_noise(1, 0, View(primary_deg=30.0, secondary_deg=5.0, seen_from=SeenFrom.TUBE), 16),
    ]
    assert all(not torch.equal(first, other) for other in others)


def test_noise_is_standard_normal_and_unrelated_between_views() -> None:
    a = view_noise(0, 0, View(primary_deg=5.0), 256).flatten().double()
    b = view_noise(0, 0, View(primary_deg=-5.0), 256).flatten().double()
    bound = 5 / math.sqrt(a.numel())
    assert abs(float(a.mean())) < bound
    assert float(a.std()) == pytest.approx(1.0, abs=bound)
    assert abs(float((a * b).mean())) < bound
