"""Tone curves are found from the image alone, and taken back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from synthesis.cli import main
from synthesis.data.cache import render_shard
from synthesis.data.phantom import chest
from synthesis.errors import SynthesisError
from synthesis.evaluation.appearance import CURVES
from synthesis.tones import STEPS, rising, thumbnail, tone_of
from synthesis.training.tones import Chests, draw_curves, straightened, teach
from synthesis.types import IntensityScale


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four phantom patients of 64 px."""
    folder = tmp_path_factory.mktemp("chests")
    for name, size in (("a", 0.85), ("b", 0.95), ("c", 1.05), ("held-out", 0.9)):
        volume = chest(size=size).volume((60, 44, 72), (6.0, 6.0, 6.0), name=name)
        render_shard(volume, 0, folder, size=64, seed=3)
    return folder


def test_a_taught_network_takes_curves_back_on_a_body_it_never_saw(cache: Path) -> None:
    from synthesis.tones import features

    network = teach(Chests([cache], exclude=["held-out"]), updates=200, batch=32, seed=1)
    others = Chests([cache], exclude=["a", "b", "c"])
    assert others.patients == ["held-out"]
    truth = others.draw(64, np.random.default_rng(2))
    seen = draw_curves(truth, np.random.default_rng(3))
    with torch.inference_mode():
        read = torch.from_numpy(features(seen.numpy())).float()
        made = straightened(seen, rising(network(read).softmax(dim=1)))
    before, after = ((x - truth).square().mean().sqrt() for x in (seen, made))
    assert after < 0.6 * before


@pytest.mark.parametrize("name", CURVES)
def test_the_packaged_network_brings_a_curved_radiograph_near_to_the_straight_one(
    name: str, radiograph: np.ndarray
) -> None:
    curved = CURVES[name](np.clip(radiograph, 0.0, 1.0)) * 3000.0 + 200.0
    straight = IntensityScale.of_frontal(
        air=0.0, dense=1.0, tone=tone_of(radiograph, air=0.0, dense=1.0)
    )
    scale = IntensityScale.of_frontal(
        air=200.0, dense=3200.0, tone=tone_of(curved, air=200.0, dense=3200.0)
    )
    bare = IntensityScale.of_frontal(air=200.0, dense=3200.0)
    wanted = straight.to_model(np.clip(radiograph, 0.0, 1.0))
    before, after = (np.std(s.to_model(curved) - wanted) for s in (bare, scale))
    assert after < 0.6 * before


@pytest.fixture(scope="module")
def radiograph() -> np.ndarray:
    """The chest radiograph of pydicom-data, from air, 0, to dense, 1."""
    import importlib.util

    from dicom_node.iod.reading import read_source

    spec = importlib.util.find_spec("data_store")
    assert spec is not None and spec.origin is not None
    data = (Path(spec.origin).parent / "data" / "RG1_UNCR.dcm").read_bytes()
    source = read_source(data).radiograph
    return source.intensity.to_unit(source.pixels) * 2.0


def test_a_tone_rises_from_nothing_to_all_whatever_the_image_is() -> None:
    rng = np.random.default_rng(1)
    for image in (rng.normal(0.0, 100.0, (300, 200)), np.zeros((5, 7)), np.eye(80) * 1e6):
        tone = tone_of(image, air=0.0, dense=1.0)
        assert len(tone) == STEPS + 1
        scale = IntensityScale.of_frontal(air=0.0, dense=1.0, tone=tone)  # checks it
        values = np.linspace(-1.0, 3.0, 101)
        np.testing.assert_allclose(scale.from_model(scale.to_model(values)), values, atol=1e-5)


def test_a_tone_is_taken_back_as_training_does_it() -> None:
    rng = np.random.default_rng(4)
    unit = rng.uniform(-0.2, 1.6, (3, 8, 8))
    steps = rng.dirichlet(np.full(STEPS, 3.0), 3)
    steps = rising(steps)
    trained = straightened(torch.from_numpy(unit), torch.from_numpy(steps))
    for image, added, expected in zip(unit, steps, trained, strict=True):
        tone = (0.0, *np.cumsum(added)[:-1], 1.0)
        scale = IntensityScale.of_frontal(air=0.0, dense=1.0, tone=tone)
        np.testing.assert_allclose(scale.to_model(image) + 1.0, expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(64, 64), (65, 200), (1955, 1841), (40, 70), (2, 2)])
def test_a_thumbnail_holds_means_of_any_image(shape: tuple[int, int]) -> None:
    down = np.linspace(0.0, 1.0, shape[0])[:, None] * np.ones(shape)
    small = thumbnail(down)
    assert small.shape == (64, 64)
    assert small.mean() == pytest.approx(0.5, abs=0.02 if min(shape) > 2 else 0.3)
    assert (np.diff(small[:, 0]) >= 0).all()
    np.testing.assert_allclose(thumbnail(np.full(shape, 7.0)), 7.0)


def test_curves_leave_air_and_dense_where_they_are() -> None:
    ends = torch.tensor([[[-0.3, 0.0, 1.0, 1.4]]]).expand(200, 1, 4)
    curved = draw_curves(ends, np.random.default_rng(5))
    torch.testing.assert_close(curved, ends, atol=2e-3, rtol=0)
    middle = draw_curves(torch.full((400, 1, 1), 0.4), np.random.default_rng(6)).flatten()
    assert float((middle == 0.4).float().mean()) == pytest.approx(0.25, abs=0.07)  # left plain
    assert middle.min() < 0.3
    assert middle.max() > 0.55


def test_the_command_writes_weights_that_can_be_used(cache: Path, tmp_path: Path) -> None:
    out = tmp_path / "tones.npz"
    words = ["train-tones", "--cache", str(cache), "--out", str(out), "--updates", "3"]
    assert main([*words, "--exclude", "held-out"]) == 0
    with np.load(out) as stored:
        assert stored["0.weight"].dtype == np.float16
        assert len(stored.files) == 6
    with pytest.raises(SynthesisError, match="render"):
        Chests([tmp_path / "nothing"])
