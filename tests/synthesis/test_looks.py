"""What a look costs, measured with a synthesizer whose answer is known: it copies its source."""

from __future__ import annotations

import json
import math
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from synthesis.cli import main
from synthesis.data.phantom import chest
from synthesis.data.rendering import SCALE
from synthesis.engine import fitted
from synthesis.evaluation.appearance import (
    CURVES,
    appearances,
    costs,
    curve_of,
    measure_appearances,
    undone,
    views,
)
from synthesis.evaluation.protocol import FRONTAL, Truth
from synthesis.types import (
    ModelIdentity,
    Radiograph,
    SynthesisRequest,
    SynthesisResult,
    azimuth_sweep,
)

SIDE = 64
WANTED = azimuth_sweep(
    source=FRONTAL, from_deg=0, to_deg=20, step_deg=20, skip_source=False, name="two"
)


def line_integrals() -> np.ndarray:
    """A body of 5 with lungs of 2 and air about it, soft at its borders."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE - 0.5
    body = 5.0 / (1.0 + np.exp((np.hypot(x, y * 0.8) - 0.38) * 40))
    lungs = 3.0 / (1.0 + np.exp((np.hypot(np.abs(x) - 0.18, y * 0.6) - 0.12) * 40))
    return (body - lungs).clip(0.0)


def truth() -> Truth:
    image = torch.from_numpy(SCALE.to_model(line_integrals()))
    return Truth(name="p", source=image[None], views=WANTED.views, images=image.expand(2, -1, -1))


def copied(request: SynthesisRequest, *, exposure: float = 0.0) -> SynthesisResult:
    """Every view is the source, exposed longer by a part of its scale."""
    scale = request.source.intensity
    image, _ = fitted(request.source, SIDE)
    taken = exposure * (scale.high - scale.low)
    made = Radiograph(
        pixels=scale.from_model(image) - np.float32(taken),
        spacing_mm=(1.0, 1.0),
        view=FRONTAL,
        intensity=scale,
    )
    return SynthesisResult(
        images=(made,) * len(request.views),
        model=ModelIdentity(
            name="copy", version="1", family="vcdit", digest="0", resolution=SIDE, default_steps=1
        ),
        chosen=(0,) * len(request.views),
        exposures=(taken,) * len(request.views),
        steps=1,
        seed=request.seed,
        seconds=0.0,
        spacing_nominal=False,
    )


@pytest.mark.parametrize("exposure", [0.0, 0.1])
def test_a_synthesizer_that_copies_loses_nothing_through_a_known_curve(exposure: float) -> None:
    figures = measure_appearances(
        lambda request: copied(request, exposure=exposure), truth(), steps=1, seed=0
    )
    # 1900 steps over half the range: half a step is 20 log10(7600), a third of it 77 dB rms; a
    # curve's flat end magnifies it.
    for name in (*CURVES, "scale from percentiles", "10 bits", "16 bits", "spacing unknown"):
        assert figures[name]["psnr_db"].min() > 60, name
    assert figures["plain"]["psnr_db"].min() > 100
    # The densest three in a hundred and the thinnest are gone.
    whole = figures["scale from percentiles"]["psnr_db"].mean()
    assert figures["window clipped"]["psnr_db"].mean() < whole - 5
    assert figures["8 bits"]["psnr_db"].mean() < figures["10 bits"]["psnr_db"].mean()


def test_added_noise_costs_what_its_variance_says() -> None:
    figures = measure_appearances(copied, truth(), steps=1, seed=3)
    line = line_integrals()
    dense = np.percentile(line, 99.5)
    # 0.03 of the frontal range at the dense end, e^1.5 less in air, in parts of the whole scale.
    sigma = 0.03 * dense / 10.0 * np.exp(1.5 * (line / dense - 1.0))
    expected = -10.0 * math.log10(np.mean(sigma**2))
    assert figures["noise"]["psnr_db"].mean() == pytest.approx(expected, abs=0.3)


def test_what_was_not_exposed_is_missed() -> None:
    figures = measure_appearances(copied, truth(), steps=1, seed=0)
    plain = figures["scale from percentiles"]["psnr_db"].mean()
    for name in ("portrait", "landscape", "black shutters", "white shutters"):
        assert 15 < figures[name]["psnr_db"].mean() < plain - 10, name


def test_a_part_of_the_field_is_compared_with_the_same_part_of_the_truth() -> None:
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE - 0.5
    # Nothing but air is beyond the shutters, whose field lies off the middle.
    image = 4.0 * np.exp(-(x**2 + y**2) / 0.02)
    model = torch.from_numpy(SCALE.to_model(image))
    still = Truth(
        name="p", source=model[None], views=WANTED.views[:1], images=model.expand(1, -1, -1)
    )
    figures = measure_appearances(copied, still, steps=1, seed=0)
    # Resampled, so not perfect; a pixel beside its place would be 37 dB.
    assert figures["black shutters"]["psnr_db"].mean() > 42


@pytest.mark.parametrize("name", CURVES)
def test_a_curve_is_monotone_keeps_its_ends_and_is_undone_beyond_them_too(name: str) -> None:
    x = np.linspace(0.0, 1.0, 1001)
    shaped = CURVES[name](x)
    assert (np.diff(shaped) > 0).all()
    np.testing.assert_allclose(shaped[[0, -1]], [0.0, 1.0], atol=1e-9)
    assert np.abs(shaped - x).max() > 0.04  # it is a curve
    curve = curve_of(CURVES[name], dense=5.0)
    line = np.array([-0.5, 0.0, 0.3, 2.0, 5.0, 7.0, 19.0, 30.0])
    np.testing.assert_allclose(undone(curve(line), curve), line, atol=5e-3)


def test_every_look_is_a_radiograph_of_the_same_field_with_a_name_of_its_own() -> None:
    looks = appearances(line_integrals(), seed=0)
    names = [look.name for look in looks]
    assert len(set(names)) == len(names) > 20
    assert names[0] == "plain" and looks[0].source.intensity == SCALE
    for look in looks:
        if look.name == "spacing unknown":
            assert look.source.spacing_mm is None
        else:
            assert look.source.spacing_mm == (5.6, 5.6)
    shapes = {look.name: look.source.pixels.shape for look in looks}
    assert (shapes["portrait"], shapes["landscape"]) == ((64, 54), (54, 64))


def test_costs_are_means_over_patients_and_views_against_the_plain_look() -> None:
    def patient(plain: float, toned: float) -> dict[str, dict[str, np.ndarray]]:
        def of(psnr: float) -> dict[str, np.ndarray]:
            return {"psnr_db": np.array([psnr - 1, psnr + 1]), "ssim": np.array([0.5, psnr / 50])}

        return {"plain": of(plain), **{name: of(toned) for name in CURVES}, "film": of(toned - 3)}

    found = costs([patient(30.0, 29.0), patient(20.0, 19.5)])
    assert found["looks"]["plain"]["cost_db"] == 0.0
    assert found["looks"]["gamma 0.7"]["cost_db"] == pytest.approx(0.75)
    assert found["worst_tone_cost_db"] == pytest.approx(3.75)
    assert found["tone_cost_db"] == pytest.approx((4 * 0.75 + 3.75) / 5)


def test_the_views_are_twelve_azimuths() -> None:
    assert [view.primary_deg for view in views()] == [
        *range(-90, 0, 15),
        *range(15, 91, 15),
    ]


def test_evaluate_shows_what_looks_cost(
    checkpoint_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hu = chest().volume((58, 40, 66), (6.0, 6.0, 6.0)).hu[::-1, ::-1].astype(np.int16)
    volume = tmp_path / "anna.nii.gz"
    nibabel.save(nibabel.Nifti1Image(hu, np.diag([6.0, 6.0, 6.0, 1.0])), volume)
    arguments = ("--checkpoint", checkpoint_path, "--json", tmp_path / "o.json", "--steps", 1)
    command = ["evaluate", "--appearance", "--volume", volume, *arguments]
    assert main([str(word) for word in command]) == 0
    report = json.loads((tmp_path / "o.json").read_text())
    assert set(report) == {"about", "appearance"}
    assert report["about"]["volumes"] == ["anna"] and report["about"]["steps"] == 1
    assert report["appearance"]["looks"]["plain"]["cost_db"] == 0.0
    said = capsys.readouterr().out
    assert "gamma 1.4" in said and "tone curves cost" in said
