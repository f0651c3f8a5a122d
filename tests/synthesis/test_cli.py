"""``python -m synthesis``: every command once on tiny inputs, and what a user can get wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from synthesis.checkpoint import read
from synthesis.cli import main
from synthesis.data.cache import list_shards
from synthesis.data.phantom import chest
from synthesis.data.pictures import read_radiograph
from synthesis.evaluation.baselines import MeanViews
from synthesis.types import View

SHAPE, PITCH = (29, 20, 33), (12.0, 12.0, 12.0)  # what is seen does not matter here


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two good volumes and a broken one."""
    folder = tmp_path_factory.mktemp("volumes")
    for name, size in (("anna", 0.9), ("bert", 1.0)):
        hu = chest(size=size).volume(SHAPE, PITCH).hu[::-1, ::-1].astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(hu, np.diag([*PITCH, 1.0])), folder / f"{name}.nii.gz")
    (folder / "carl.nii.gz").write_bytes(b"no volume")
    return folder


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def render(volumes: Path, out: Path, *more: object) -> int:
    return run("render", "--volume", volumes, "--out", out, "--size", 16, *more)


def test_render_goes_on_where_it_stopped_names_what_it_skipped_and_makes_the_same_in_any_order(
    volumes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "cache"
    assert render(volumes, out, "--variations", 1) == 3  # not all could be done
    said = capsys.readouterr()
    assert "skipped carl: carl: not a readable NIfTI volume" in said.err
    assert "2 of 2 shards" in said.out
    assert "40 views" in said.out
    assert "views/s" in said.out
    assert "1 broken volumes skipped" in said.out
    assert "40 views in the cache" in said.out
    assert "reads each of them 2500 times" in said.out
    first = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}

    assert render(volumes, out, "--variations", 2, "--workers", 2) == 3
    said = capsys.readouterr()
    assert "skipped carl: carl: not a readable NIfTI volume" in said.err
    assert "4 of 4 shards" in said.out
    assert "40 views" in said.out  # those of the second variation alone
    assert all((out / name).stat().st_mtime_ns == when for name, when in first.items())
    assert sorted((s.patient, s.variation) for s in list_shards(out)) == [
        ("anna", 0), ("anna", 1), ("bert", 0), ("bert", 1)
    ]  # fmt: skip

    # The same as of one patient alone, at one go, in one process.
    assert render(volumes / "bert.nii.gz", tmp_path / "b", "--variations", 2) == 0
    for name in ("bert-0000.npy", "bert-0001.npy"):
        assert (out / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_train_trains_what_was_rendered(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        "{name: cli, preset: tiny, cache: nowhere, precision: float32,"
        " stages: [{resolution: 32, samples: 600, sources: 2, targets: 3}]}"
    )
    assert run("train", "--recipe", recipe, "--cache", shards, "--out", tmp_path / "run") == 0
    said = capsys.readouterr()
    assert "samples/s" in said.err
    assert "trained" in said.out
    assert read(tmp_path / "run" / "ema.safetensors").card.name == "cli"


def test_a_signal_stores_the_run_and_it_goes_on(shards: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        f"{{name: cli, preset: tiny, cache: {shards}, precision: float32, checkpoint_s: 1.0e+9,"
        " stages: [{resolution: 16, samples: 900000, sources: 1, targets: 1}]}"
    )
    command = [sys.executable, "-m", "synthesis", "train", "--recipe", recipe, "--out"]
    seen = []
    for number in (signal.SIGTERM, signal.SIGINT):
        process = subprocess.Popen(
            [*command, tmp_path / "run"],
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert process.stderr is not None
        assert "samples/s" in process.stderr.readline()  # it trains
        process.send_signal(number)
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert "stopped, stored" in out
        seen.append(int(read(tmp_path / "run" / "ema.safetensors").card.version.split()[0]))
    assert 0 < seen[0] < seen[1]


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows, columns = np.indices((50, 40))
    grey = (20000 + 15000 * np.sin(rows / 9) * np.cos(columns / 7)).astype(np.uint16)
    path = tmp_path_factory.mktemp("picture") / "source.png"
    Image.fromarray(grey).save(path)
    return path


def test_sample_writes_a_png_a_view_and_a_contact_sheet(
    picture: Path, checkpoint_path: Path, tmp_path: Path
) -> None:
    common = ("sample", "--checkpoint", checkpoint_path, "--source", picture, "--allow-ineligible")
    assert run(*common, "--views", "-60:60:60", "--out", tmp_path / "a", "--steps", 1) == 0
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        "001_rao-60.png", "002_lao-60.png", "contact_sheet.png"
    ]  # fmt: skip
    with Image.open(tmp_path / "a" / "001_rao-60.png") as view:
        pixels = np.asarray(view)
    assert (pixels.shape, pixels.dtype) == ((32, 32), np.uint16)
    assert pixels.std() > 100
    with Image.open(tmp_path / "a" / "contact_sheet.png") as sheet:
        assert sheet.size == (3 * 256, 256 + 18)
    assert run(*common, "--views", "30,90/10", "--out", tmp_path / "b", "--samples", 2) == 0
    assert (tmp_path / "b" / "002_left-lateral-cran-10.png").exists()


def test_sample_reads_line_integrals_and_an_ap_source(
    checkpoint_path: Path, tmp_path: Path
) -> None:
    path = tmp_path / "drr.npy"
    np.save(path, np.random.default_rng(0).random((32, 32)) * 8)
    arguments = (
        "--line-integrals",
        "--position",
        "AP",
        "--spacing-mm",
        11.2,
        "--views",
        "10:20:10",
    )
    assert run(
        "sample", "--checkpoint", checkpoint_path, "--allow-ineligible",
        "--source", path, "--out", tmp_path, *arguments,
    ) == 0  # fmt: skip
    assert (tmp_path / "001_rao-170.png").exists()  # 180 + 10, from the back


def test_evaluate_writes_figures_and_pictures(
    volumes: Path, checkpoint_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    angles = np.arange(-90.0, 91.0, 5.0)
    MeanViews(
        angles_deg=angles,
        images=np.zeros((37, 8, 8), np.float32),
        views=np.ones(37, np.int64),
        patients=1,
    ).store(tmp_path / "means.npz")
    assert run(
        "evaluate", "--volume", volumes / "anna.nii.gz", "--volume", volumes / "bert.nii.gz",
        "--checkpoint", checkpoint_path, "--set", "simple", "--set", "hemisphere",
        "--resolution", 16, "--steps", 1, "--samples", 2, "--json", tmp_path / "o.json",
        "--plots", tmp_path / "plots", "--mean-views", tmp_path / "means.npz",
    ) == 0  # fmt: skip
    report = json.loads((tmp_path / "o.json").read_text())
    assert set(report) == {"about", "simple", "hemisphere"}
    assert report["about"]["volumes"] == ["anna", "bert"]
    assert (report["about"]["resolution"], report["about"]["samples"]) == (16, 2)
    for name, views in (("simple", 36), ("hemisphere", 200)):
        figures = report[name]
        assert figures["views"] == views
        assert 0 < figures["psnr_db"] < 60
        assert figures["copy_source"]["ssim"] < 1
        # One step is the regression.
        assert figures["regression"]["psnr_db"] == pytest.approx(figures["psnr_db"])
    assert report["simple"]["mean_view"]["psnr_db"] > 0
    assert report["hemisphere"]["mean_view"] is None
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == [
        "hemisphere_curves.png", "simple_contact_sheet.png", "simple_curves.png"
    ]  # fmt: skip
    assert "spectral_ratio" in capsys.readouterr().out


def test_evaluate_steps_compares_numbers_of_evaluations(
    volumes: Path, checkpoint_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(
        "evaluate-steps", "--volume", volumes / "anna.nii.gz", "--checkpoint", checkpoint_path,
        "--steps", "4,1,2", "--json", tmp_path / "o.json", "--plot", tmp_path / "p" / "steps.png",
    ) == 0  # fmt: skip
    report = json.loads((tmp_path / "o.json").read_text())
    assert list(report["steps"]) == ["1", "2", "4"]
    one, two, four = report["steps"].values()
    assert set(four["lost"].values()) == {0.0}
    assert one["lost"]["psnr_db"] == pytest.approx(four["psnr_db"] - one["psnr_db"])
    assert len({entry["spectral_ratio"] for entry in (one, two, four)}) == 3
    assert (tmp_path / "p" / "steps.png").stat().st_size > 1000
    assert "evaluations" in capsys.readouterr().out


def test_inspect_shows_what_a_checkpoint_is(
    checkpoint_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("inspect", checkpoint_path, "--json") == 0
    described = json.loads(capsys.readouterr().out)
    found = read(checkpoint_path)
    assert described["digest"] == found.digest
    assert described["config"]["resolution"] == 32
    assert described["parameters"] == sum(value.numel() for value in found.weights.values())
    assert run("inspect", checkpoint_path) == 0
    assert "tiny" in capsys.readouterr().out


EVALUATE = ("evaluate", "--volume", "gone.nii", "--json", "o.json")
WRONG = [
    (("evaluate-steps", *EVALUATE[1:], "--steps", "2,none"), "2,none"),
    (("evaluate-steps", *EVALUATE[1:], "--steps", "0"), "--steps"),
    (("inspect", "gone.safetensors"), "gone.safetensors"),
    (("render", "--volume", "gone", "--out", "x"), "gone"),
    (("train", "--recipe", "gone.yaml"), "gone.yaml"),
    (("sample", "--source", "gone.png", "--out", "x"), "gone.png"),
    ((*EVALUATE, "--checkpoint", "CHECKPOINT"), "gone"),
    ((*EVALUATE, "--checkpoint", "CHECKPOINT", "--mean-views", "none.npz"), "none.npz"),
    ((*EVALUATE, "--set", "sphere"), "sphere"),
    (("mean-views", "--cache", "gone", "--out", "x.npz"), "degrees"),
    (("sample", "--source", "PICTURE", "--out", "x", "--views", "many"), "FROM:TO:STEP"),
    (("sample", "--source", "PICTURE", "--out", "x", "--views", "0:90:0"), "step_deg"),
    (("sample", "--source", "PICTURE", "--out", "x", "--views", "1/2/3"), "FROM:TO:STEP"),
    (("render", "--out", "x"), "--volume"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "named"), WRONG)
def test_what_a_user_can_put_right_is_said_without_a_traceback(
    arguments: tuple[str, ...],
    named: str,
    picture: Path,
    checkpoint_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    known = {"PICTURE": str(picture), "CHECKPOINT": str(checkpoint_path)}
    assert main([known.get(argument, argument) for argument in arguments]) == 2
    said = capsys.readouterr().err
    assert named in said
    assert "Traceback" not in said


def test_render_refuses_to_mix_sizes_and_names(
    volumes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "cache"
    assert render(volumes / "anna.nii.gz", out) == 0
    assert run("render", "--volume", volumes / "anna.nii.gz", "--out", out, "--size", 32) == 2
    assert "16 px" in capsys.readouterr().err
    twice = tmp_path / "other" / "anna.nii.gz"
    twice.parent.mkdir()
    twice.write_bytes((volumes / "anna.nii.gz").read_bytes())
    assert run("render", "--volume", volumes, "--volume", twice, "--out", tmp_path / "c") == 2
    assert "anna" in capsys.readouterr().err
    # Nothing but broken volumes is a failure.
    assert render(volumes / "carl.nii.gz", tmp_path / "d") == 2


def test_help_is_quick_and_names_every_command() -> None:
    began = time.monotonic()
    shown = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "synthesis", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert time.monotonic() - began < 10
    for command in (
        "render",
        "train",
        "sample",
        "evaluate",
        "evaluate-steps",
        "mean-views",
        "inspect",
    ):
        assert command in shown.stdout
    assert " torch\n" not in shown.stderr  # not imported for help


@pytest.mark.parametrize(
    "command", ["render", "train", "sample", "evaluate", "evaluate-steps", "mean-views", "inspect"]
)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command, "--help") == 0
    assert "Usage" in capsys.readouterr().out


def test_a_picture_is_read_on_the_scale_of_a_rendered_chest(tmp_path: Path) -> None:
    # Air at the scale's lower end, the densest half percent in its middle: 0 of -1 to 1.
    ramp = np.linspace(100.0, 300.0, 40_000, dtype=np.float32).reshape(200, 200)
    np.save(tmp_path / "ramp.npy", ramp)
    read_in = read_radiograph(tmp_path / "ramp.npy", view=View(primary_deg=0.0), spacing_mm=None)
    ends = read_in.intensity.to_model(np.array([101.0, 299.0]))
    np.testing.assert_allclose(ends, [-1.0, 0.0], atol=1e-3)
