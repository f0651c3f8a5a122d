"""From a checkpoint and a radiograph to views, end to end, on the smallest network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from synthesis import checkpoint
from synthesis.checkpoint import Card
from synthesis.consistency import epipolar_consistency
from synthesis.eligibility.judging import LEAST_SCORE
from synthesis.engine import ASSUMED_FIELD_MM, SynthesisEngine, fitted, load
from synthesis.errors import CheckpointError, IneligibleError, NonFiniteError
from synthesis.families import vcdit
from synthesis.types import (
    IntensityScale,
    Radiograph,
    SeenFrom,
    SynthesisRequest,
    View,
    ViewSet,
    azimuth_sweep,
)
from tests.weights import tiny_network

PA, AP = View(primary_deg=0.0), View(primary_deg=180.0)
SCALE = IntensityScale(low=200.0, high=3200.0)


def radiograph(
    shape: tuple[int, int] = (48, 40),
    spacing: tuple[float, float] | None = (8.0, 8.0),
    view: View = PA,
) -> Radiograph:
    rows, columns = np.indices(shape)
    pixels = 1500 + 900 * np.sin(rows / 7.0) * np.cos(columns / 5.0)
    return Radiograph(pixels=pixels, spacing_mm=spacing, view=view, intensity=SCALE)


def asked(**values: Any) -> SynthesisRequest:
    """A request that takes any source: those here are no chests."""
    return SynthesisRequest(**{"allow_ineligible": True} | values)


def sweep(view: View = PA) -> ViewSet:
    return azimuth_sweep(
        source=view, from_deg=-90, to_deg=90, step_deg=45, skip_source=True, name="s"
    )


@pytest.fixture(scope="module")
def engine(checkpoint_path: Path) -> SynthesisEngine:
    return load(checkpoint_path, device="cpu")


def test_every_view_comes_back_in_order_with_its_view_and_the_grey_levels_of_its_source(
    engine: SynthesisEngine,
) -> None:
    request = asked(source=radiograph(), views=sweep())
    result = engine.synthesize(request)
    assert [image.view for image in result.images] == list(request.views)
    assert {image.pixels.shape for image in result.images} == {(32, 32)}
    assert all(image.intensity == SCALE for image in result.images)
    assert all(np.abs(image.pixels - 1500).mean() < 2000 for image in result.images)
    assert (result.steps, result.chosen, result.seed) == (2, (0, 0, 0, 0), 0)
    assert result.model == engine.identity
    assert result.seconds > 0


def test_views_differ_and_seeds_differ(engine: SynthesisEngine) -> None:
    request = asked(source=radiograph(), views=sweep())
    images = [image.pixels for image in engine.synthesize(request).images]
    assert all(np.abs(a - b).max() > 1 for i, a in enumerate(images) for b in images[:i])
    other = engine.synthesize(replace(request, seed=1)).images[0].pixels
    assert np.abs(other - images[0]).max() > 0.1


def test_the_same_request_gives_the_same_pixels(engine: SynthesisEngine) -> None:
    request = asked(source=radiograph(), views=sweep(), seed=5)
    first, second = engine.synthesize(request), engine.synthesize(request)
    for a, b in zip(first.images, second.images, strict=True):
        assert np.array_equal(a.pixels, b.pixels)


def test_a_view_does_not_depend_on_the_others_nor_on_their_order(engine: SynthesisEngine) -> None:
    request = asked(source=radiograph(), views=sweep(), seed=5)
    forward = engine.synthesize(request).images
    backward = engine.synthesize(
        replace(request, views=ViewSet(name="b", views=request.views.views[::-1]))
    ).images
    alone = engine.synthesize(
        replace(request, views=ViewSet(name="a", views=request.views.views[:1]))
    ).images
    # Of 3000 grey levels; sums of float32 in another order.
    for image, again in zip(forward, backward[::-1], strict=True):
        np.testing.assert_allclose(image.pixels, again.pixels, atol=0.05)
    np.testing.assert_allclose(forward[0].pixels, alone[0].pixels, atol=0.05)


def test_steps_are_what_was_asked(engine: SynthesisEngine) -> None:
    request = asked(source=radiograph(), views=sweep())
    one, four = (engine.synthesize(replace(request, steps=n)) for n in (1, 4))
    assert (one.steps, four.steps) == (1, 4)
    assert np.abs(one.images[0].pixels - four.images[0].pixels).max() > 0.1


def test_the_field_is_the_longer_side_of_the_source_and_the_pixels_divide_it(
    engine: SynthesisEngine,
) -> None:
    result = engine.synthesize(asked(source=radiograph((48, 40), (7.0, 9.0)), views=sweep()))
    assert not result.spacing_nominal
    # 48 x 7 = 336 mm high, 40 x 9 = 360 mm wide
    assert result.images[0].spacing_mm == pytest.approx((360 / 32, 360 / 32))


def test_an_unknown_spacing_is_said_to_be_nominal(engine: SynthesisEngine) -> None:
    result = engine.synthesize(asked(source=radiograph(spacing=None), views=sweep()))
    assert result.spacing_nominal
    assert result.images[0].spacing_mm == pytest.approx((ASSUMED_FIELD_MM / 32,) * 2)


def test_a_source_is_fitted_into_a_square_and_the_body_goes_on_beside_it() -> None:
    pixels = np.full((40, 20), 3200.0)
    source = Radiograph(pixels=pixels, spacing_mm=(5.0, 5.0), view=PA, intensity=SCALE)
    image, field = fitted(source, 32)
    assert (image.shape, field) == ((32, 32), 200.0)
    np.testing.assert_allclose(image[:, 8:24], 1.0, atol=1e-6)
    for outwards in (image[16, 7::-1], image[16, 24:]):  # from the middle to the border
        assert (np.diff(outwards) < 0).all()
        assert outwards[0] > 0.5 and outwards[-1] < -0.99  # soon air
    lying = Radiograph(pixels=pixels.T, spacing_mm=(5.0, 5.0), view=PA, intensity=SCALE)
    np.testing.assert_allclose(fitted(lying, 32)[0], 1.0, atol=1e-6)


def test_pixels_that_are_not_square_are_made_so() -> None:
    source = Radiograph(
        pixels=np.full((40, 20), 3200.0), spacing_mm=(5.0, 10.0), view=PA, intensity=SCALE
    )
    image, field = fitted(source, 32)
    assert field == 200.0
    np.testing.assert_allclose(image, 1.0, atol=1e-6)


def test_an_ap_source_is_turned_about_as_a_pa_source_is(engine: SynthesisEngine) -> None:
    source = radiograph(view=AP)
    result = engine.synthesize(asked(source=source, views=sweep(AP)))
    assert [image.view.primary_deg for image in result.images] == [90.0, 135.0, -135.0, -90.0]
    assert {image.view.seen_from for image in result.images} == {SeenFrom.TUBE}
    # The geometry's guess is the same; the network is told which end the tube is at.
    image = torch.from_numpy(fitted(source, 32)[0])[None, None].expand(4, -1, -1, -1)
    torch.testing.assert_close(
        vcdit.guesses(image, AP, sweep(AP).views, field_mm=300.0),
        vcdit.guesses(image, PA, sweep(PA).views, field_mm=300.0),
    )
    ap = vcdit.pose_features(AP, sweep(AP).views, field_mm=300.0)
    pa = vcdit.pose_features(PA, sweep(PA).views, field_mm=300.0)
    torch.testing.assert_close(ap[:, :8], pa[:, :8])
    assert (ap[:, 8:10] == 1).all()
    assert (pa[:, 8:10] == 0).all()


def drawn(engine: SynthesisEngine, request: SynthesisRequest, view: View) -> list[torch.Tensor]:
    """Every sample of a view, one by one."""
    array, field = fitted(request.source, 32)
    return [
        vcdit.synthesize(
            engine._network,
            torch.from_numpy(array)[None],
            request.source.view,
            [view],
            vcdit_noise(sample, view),
            field_mm=field,
            steps=2,
        )[0, 0]
        for sample in range(request.samples)
    ]


def test_of_several_samples_the_most_consistent_is_kept_with_its_score(
    engine: SynthesisEngine,
) -> None:
    request = asked(source=radiograph((40, 40)), views=sweep(), samples=5)
    result = engine.synthesize(request)
    spacing = (320.0 / 32,) * 2
    small, _ = fitted(request.source, 32)  # square, so nothing is padded
    source = Radiograph(
        pixels=SCALE.from_model(small), spacing_mm=spacing, view=PA, intensity=SCALE
    )
    for index, view in enumerate(request.views):
        samples = drawn(engine, request, view)
        scores = [
            epipolar_consistency(
                source,
                Radiograph(
                    pixels=SCALE.from_model(one.numpy()),
                    spacing_mm=spacing,
                    view=view,
                    intensity=SCALE,
                ),
            )
            for one in samples
        ]
        assert result.chosen[index] == int(np.argmax(scores))  # type: ignore[arg-type]
        assert result.scores[index] == pytest.approx(max(scores), abs=1e-3)  # type: ignore[type-var]
        kept = SCALE.from_model(samples[result.chosen[index]].numpy())
        exposed = result.images[index].pixels + result.exposures[index]
        np.testing.assert_allclose(exposed, kept, atol=0.05)


def test_the_uncertainty_is_the_spread_of_the_samples_in_detector_values(
    engine: SynthesisEngine,
) -> None:
    request = asked(source=radiograph(), views=sweep(), samples=3)
    result = engine.synthesize(request)
    assert result.uncertainty is not None
    for view, spread in zip(request.views, result.uncertainty, strict=True):
        values = np.stack([SCALE.from_model(s.numpy()) for s in drawn(engine, request, view)])
        np.testing.assert_allclose(spread, values.std(axis=0), atol=0.05)
        assert spread.shape == (32, 32)
        assert spread.max() > 1.0


def test_one_sample_has_a_score_and_no_uncertainty(engine: SynthesisEngine) -> None:
    result = engine.synthesize(asked(source=radiograph(), views=sweep()))
    assert result.uncertainty is None
    assert len(result.scores) == len(result.images)
    assert all(score is not None and -1 <= score <= 1 for score in result.scores)


def test_where_consistency_says_nothing_the_sample_nearest_to_the_mean_is_kept(
    engine: SynthesisEngine,
) -> None:
    request = asked(source=radiograph(), views=ViewSet(name="same", views=(PA,)), samples=5)
    result = engine.synthesize(request)
    stack = torch.stack(drawn(engine, request, PA))
    distance = (stack - stack.mean(0)).square().sum((1, 2))
    assert (result.scores, result.chosen) == ((None,), (int(distance.argmin()),))


def test_a_view_that_lets_less_through_is_exposed_until_its_middle_is_as_dark_as_the_sources(
    engine: SynthesisEngine,
) -> None:
    for level in (400.0, 1500.0, 2900.0):  # thin, thick: only a longer exposure is ever given
        pixels = np.full((32, 32), level)
        source = Radiograph(pixels=pixels, spacing_mm=(11.0, 11.0), view=PA, intensity=SCALE)
        result = engine.synthesize(asked(source=source, views=sweep()))
        for image, exposure in zip(result.images, result.exposures, strict=True):
            middle = float(image.pixels[8:-8, 8:-8].mean())
            assert exposure >= 0
            assert middle == pytest.approx(level, abs=0.5) if exposure else middle <= level + 0.5


def vcdit_noise(sample: int, view: View) -> torch.Tensor:
    from synthesis.diffusion import view_noise

    return view_noise(0, sample, view, 32, 2)[None]


def test_weights_that_overflow_are_an_error_not_an_image(tmp_path: Path) -> None:
    network = tiny_network()
    with torch.no_grad():
        network.pixels.weight.fill_(3e38)
    path = tmp_path / "x.safetensors"
    checkpoint.write(path, network, Card(name="x", version="0", steps=1, trained={}))
    with pytest.raises(NonFiniteError, match="x produced NaN"):
        load(path, device="cpu").synthesize(asked(source=radiograph(), views=sweep()))


def test_weights_with_nan_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    network = tiny_network()
    with torch.no_grad():
        network.merge.weight[0] = float("nan")
    path = tmp_path / "x.safetensors"
    checkpoint.write(path, network, Card(name="x", version="0", steps=1, trained={}))
    with pytest.raises(CheckpointError, match="merge"):
        load(path, device="cpu")


def test_guesses_are_made_where_the_images_are() -> None:
    # The meta device computes shapes only, and refuses to mix with another as a GPU does.
    images = torch.zeros(4, 1, 32, 32, device="meta")
    made = vcdit.guesses(images, PA, sweep().views, field_mm=358.4)
    assert (made.device.type, made.shape) == ("meta", (4, 1, 32, 32))


def test_a_source_that_is_no_chest_is_refused_with_the_reason(engine: SynthesisEngine) -> None:
    request = SynthesisRequest(source=radiograph(), views=sweep())
    with pytest.raises(IneligibleError, match="no views are made from this source: it looks like"):
        engine.synthesize(request)


def test_what_was_allowed_though_it_would_be_refused_is_said(engine: SynthesisEngine) -> None:
    result = engine.synthesize(asked(source=radiograph(), views=sweep()))
    assert result.ineligible.startswith("it looks like")
    assert result.eligibility is not None
    assert result.eligibility < LEAST_SCORE
