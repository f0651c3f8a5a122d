"""Sampler, loss and noise against closed forms."""

from __future__ import annotations

import math

import pytest
import torch

from synthesis.diffusion import draw_times, energy_score, power_mismatch, sample, view_noise
from synthesis.geometry.bands import (
    BANDS,
    band_powers,
    blurred,
    evened,
    high_passed,
    with_band_gains,
)
from synthesis.types import SeenFrom, View

MEAN, SPREAD = 0.7, 0.4


def fair(z: torch.Tensor, noise: torch.Tensor, time: float) -> torch.Tensor:
    """One x that fits z, for x ~ N(MEAN, SPREAD^2), z = time x + (1 - time) noise."""
    variance = time**2 * SPREAD**2 + (1 - time) ** 2
    mean = MEAN + time * SPREAD**2 / variance * (z - time * MEAN)
    return mean + SPREAD * (1 - time) / math.sqrt(variance) * noise


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("steps", [1, 2, 3, 16])
def test_any_number_of_steps_ends_in_the_right_distribution(steps: int) -> None:
    made = sample(fair, normal(400, steps + 1, 16, 16), steps=steps).flatten()
    bound = 5 / math.sqrt(made.numel())
    assert float(made.mean()) == pytest.approx(MEAN, abs=bound)
    assert float(made.std()) == pytest.approx(SPREAD, abs=bound)
    assert float(((made - MEAN) / SPREAD).pow(4).mean()) == pytest.approx(3.0, abs=0.1)


@pytest.mark.parametrize("steps", [1, 2, 3, 8])
def test_a_step_costs_one_evaluation_with_a_noise_of_its_own(steps: int) -> None:
    times, used = [], []
    noise = normal(2, steps + 3, 4, 4)

    def denoise(z: torch.Tensor, noise: torch.Tensor, time: float) -> torch.Tensor:
        times.append(time)
        used.append(noise)
        return torch.zeros_like(z)

    sample(denoise, noise, steps=steps)
    assert times == pytest.approx([k / steps for k in range(steps)])
    assert torch.equal(torch.cat(used, dim=1), noise[:, 1 : steps + 1])


def test_a_denoiser_that_knows_the_answer_is_believed() -> None:
    answer = normal(2, 1, 4, 4, seed=9)
    torch.testing.assert_close(sample(lambda z, n, t: answer, normal(2, 8, 4, 4), steps=7), answer)


def test_times_have_the_distribution_asked_for() -> None:
    times = draw_times(40_000, torch.Generator().manual_seed(0), start=0.3)
    assert float((times == 0).float().mean()) == pytest.approx(0.3, abs=0.01)
    later = times[times > 0].double()
    assert float(later.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(later.std()) == pytest.approx(math.sqrt(1 / 12), abs=0.01)
    assert float(times.max()) < 1.0


def images(seed: int, *, blur: float = 0.0, spread: float = 1.0) -> torch.Tensor:
    noise = normal(64, 1, 32, 32, seed=seed) * spread
    return blurred(noise, blur) if blur else noise


def score(first: torch.Tensor, second: torch.Tensor) -> float:
    return float(energy_score(images(1), first, second, cell=8, sigma=3.0))


def test_the_energy_score_is_least_for_samples_of_the_truth() -> None:
    right = score(images(2), images(3))
    for spread in (0.0, 0.5, 0.8, 1.25, 2.0):  # too much alike, too different
        assert score(images(2, spread=spread), images(3, spread=spread)) > right * 1.005, spread
    assert score(images(2, blur=0.5), images(3, blur=0.5)) > right * 1.005
    assert score(images(2), images(2)) > right * 1.3  # one sample, drawn twice
    off = images(2) + 0.5, images(3) + 0.5
    assert score(*off) > right * 1.005


def test_the_energy_score_of_the_truth_itself_is_nothing() -> None:
    assert score(images(1), images(1)) == pytest.approx(0.0, abs=1e-3)


def test_the_energy_score_sees_the_finest_part_beside_a_much_stronger_coarse_one() -> None:
    coarse = blurred(images(7, spread=30.0), 3.0)
    truth, first, second = (coarse + images(seed, spread=0.05) for seed in (1, 2, 3))
    right = energy_score(truth, first, second, cell=8, sigma=3.0)
    smooth = energy_score(truth, coarse, coarse, cell=8, sigma=3.0)
    assert float(smooth) > 1.02 * float(right)


def test_power_is_asked_for_in_every_band_and_of_every_target() -> None:
    truth, pairs = images(1), torch.stack([images(2), images(3)], dim=1).flatten(0, 1)
    right = float(power_mismatch(truth, pairs, sigma=3.0))
    weak = float(power_mismatch(truth, 0.8 * pairs, sigma=3.0))
    assert weak == pytest.approx(right + math.log(0.64) ** 2, rel=0.1)
    soft = blurred(pairs, 0.7)
    assert float(power_mismatch(truth, soft * pairs.std() / soft.std(), sigma=3.0)) > 4 * right
    # Strong where the truth is weak: right on average, wrong of each.
    loud = torch.where(torch.arange(64) % 2 == 0, 2.0, 0.5).view(-1, 1, 1, 1)
    assert float(power_mismatch(loud * truth, pairs, sigma=3.0)) > 4 * right
    same = power_mismatch(loud * truth, loud.repeat_interleave(2, dim=0) * pairs, sigma=3.0)
    assert float(same) == pytest.approx(right, rel=0.01)


def test_parting_an_image_loses_nothing_and_finds_what_is_fine() -> None:
    image = images(4)
    torch.testing.assert_close(blurred(image, 3.0) + high_passed(image, 3.0), image)
    flat = torch.full((1, 1, 32, 32), 5.0)
    torch.testing.assert_close(high_passed(flat, 3.0), torch.zeros_like(flat), atol=1e-5, rtol=0)
    wave = torch.cos(torch.arange(64) * math.pi / 2).expand(1, 1, 64, 64)  # 4 pixels a period
    kept = high_passed(wave, 3.0)[..., 16:-16] / wave[..., 16:-16].clamp(min=0.5)
    assert float(kept[wave[..., 16:-16] > 0.5].min()) > 0.99


def wave(pixels: float, size: int = 128) -> torch.Tensor:
    """Of so many pixels a period, slanted."""
    along = torch.arange(size) * 0.8, torch.arange(size) * 0.6
    phase = (along[0][:, None] + along[1]) * 2 * math.pi / pixels
    return torch.cos(phase).view(1, 1, size, size)


@pytest.mark.parametrize(("pixels", "band"), [(15.0, 0), (7.4, 2), (5.0, 3), (2.2, 5)])
def test_a_wave_s_power_lies_in_its_band_and_a_gain_changes_it_alone(
    pixels: float, band: int
) -> None:
    image = wave(pixels)
    powers = band_powers(image, 3.0)[0]
    assert float(powers[band] / powers.sum()) > 0.95
    gains = torch.ones(1, BANDS)
    torch.testing.assert_close(with_band_gains(image, gains, 3.0), image, atol=1e-4, rtol=0)
    gains[0, band] = 2.0
    louder = with_band_gains(image, gains, 3.0)[..., 20:-20, 20:-20]
    assert float(louder.std() / image[..., 20:-20, 20:-20].std()) == pytest.approx(1.9, abs=0.15)
    other = torch.ones(1, BANDS)
    other[0, (band + 3) % BANDS] = 2.0
    same = with_band_gains(image, other, 3.0)[..., 20:-20, 20:-20]
    torch.testing.assert_close(same, image[..., 20:-20, 20:-20], atol=0.03, rtol=0)


def test_specks_become_grain_and_nothing_stays_nothing() -> None:
    grain = high_passed(normal(1, 1, 128, 128, seed=5), 3.0)
    specks = grain * 0.05
    specks[..., 40:52, 60:72] = grain[..., 40:52, 60:72]
    specks[..., 90:102, 30:42] = grain[..., 90:102, 30:42]

    def unevenness(image: torch.Tensor) -> float:
        inner = blurred(image.square(), 6.0)[..., 16:-16, 16:-16]
        return float(inner.max() / inner.mean())

    assert unevenness(evened(specks, 3.0)) < 0.3 * unevenness(specks)
    assert unevenness(evened(grain, 3.0)) < 1.5
    half = grain.clone()
    half[..., :64] = 0.0
    assert evened(half, 3.0)[..., :40].abs().max() < 1e-6


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


@pytest.mark.parametrize("size", [16, 32, 50])
def test_asking_for_more_noise_leaves_the_first_as_it_was(size: int) -> None:
    view = View(primary_deg=30.0)
    more = view_noise(1, 0, view, size, 5)
    assert more.shape == (5, size, size)
    assert torch.equal(view_noise(1, 0, view, size, 2), more[:2])
    assert not torch.equal(more[0], more[1])


def test_noise_is_standard_normal_and_unrelated_between_views() -> None:
    a = view_noise(0, 0, View(primary_deg=5.0), 256).flatten().double()
    b = view_noise(0, 0, View(primary_deg=-5.0), 256).flatten().double()
    bound = 5 / math.sqrt(a.numel())
    assert abs(float(a.mean())) < bound
    assert float(a.std()) == pytest.approx(1.0, abs=bound)
    assert abs(float((a * b).mean())) < bound
