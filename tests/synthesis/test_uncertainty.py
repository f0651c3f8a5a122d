"""Uncertainty maps: beside the view, never in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synthesis.cli import main
from synthesis.data.overlays import overlay, write_uncertainty
from synthesis.types import IntensityScale, Radiograph, View

SCALE = IntensityScale(low=0.0, high=1000.0)


def view(level: float = 500.0, primary_deg: float = 30.5) -> Radiograph:
    return Radiograph(
        pixels=np.full((8, 8), level),
        spacing_mm=(10.0, 10.0),
        view=View(primary_deg=primary_deg),
        intensity=SCALE,
    )


def test_where_samples_agree_the_overlay_is_the_view_in_grey() -> None:
    picture = overlay(view(), np.zeros((8, 8), np.float32))
    assert picture.shape == (8, 8, 3)
    assert (picture == picture[..., :1]).all()


def test_where_they_differ_it_is_orange_and_the_more_the_stronger() -> None:
    spread = np.zeros((8, 8), np.float32)
    spread[0, 0], spread[1, 1] = 30.0, 100.0
    picture = overlay(view(), spread).astype(int)
    redness = picture[..., 0] - picture[..., 2]
    assert 0 < redness[0, 0] < redness[1, 1]
    assert redness.sum() == redness[0, 0] + redness[1, 1]


def test_the_numbers_are_written_beside_the_picture(tmp_path: Path) -> None:
    spread = np.arange(64, dtype=np.float32).reshape(8, 8)
    (path,) = write_uncertainty([view()], [spread], tmp_path)
    assert path.name == "001_lao-30.5_uncertainty.png"
    assert np.array_equal(np.load(tmp_path / "001_lao-30.5_uncertainty.npy"), spread)
    with Image.open(path) as picture:
        assert (picture.size, picture.mode) == ((8, 8), "RGB")


def test_sample_writes_maps_only_when_asked_and_the_views_stay_the_same(
    checkpoint_path: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    source = tmp_path / "source.npy"
    np.save(source, rng.random((40, 40)).cumsum(axis=0))
    common = [
        "sample", "--checkpoint", str(checkpoint_path), "--source", str(source), "--views", "30,60",
        "--samples", "2", "--allow-ineligible",
    ]  # fmt: skip
    assert main([*common, "--out", str(tmp_path / "plain")]) == 0
    assert main([*common, "--out", str(tmp_path / "maps"), "--uncertainty"]) == 0
    names = {path.name for path in (tmp_path / "maps").iterdir()}
    plain = {path.name for path in (tmp_path / "plain").iterdir()}
    assert names - plain == {
        f"{stem}_uncertainty.{kind}"
        for stem in ("001_lao-30", "002_lao-60")
        for kind in ("npy", "png")
    }
    for name in plain:
        assert (tmp_path / "maps" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()


def test_one_sample_has_no_uncertainty_to_write(
    checkpoint_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "source.npy", np.random.default_rng(0).random((40, 40)))
    options = ["--source", str(tmp_path / "source.npy"), "--out", str(tmp_path / "out")]
    assert main(["sample", "--checkpoint", str(checkpoint_path), *options, "--uncertainty"]) == 2
    assert "needs --samples 2 or more" in capsys.readouterr().err
