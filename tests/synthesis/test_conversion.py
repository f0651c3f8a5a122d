"""A checkpoint of the official trainer becomes a model that loads and draws the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from synthesis.cli import main
from synthesis.families import svdrr
from synthesis.types import View, ViewSet
from tests.svdrr import SIZE, change_json, tiny_model

VIEWS = ViewSet(name="one", views=(View(primary_deg=40.0, secondary_deg=10.0),))
WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the training is to end in. The trainer scales positions by its resolution."""
    folder = tmp_path_factory.mktemp("svdrr") / "model"
    return tiny_model(folder, interpolation_scale=SIZE / 512)


@pytest.fixture
def base(model: Path, tmp_path: Path) -> Path:
    """What it began with: the text-to-image model's transformer, here without its weights."""
    folder = Path(shutil.copytree(model, tmp_path / "base"))
    change_json(
        folder / "transformer/config.json",
        _class_name="PixArtTransformer2DModel", in_channels=4, caption_channels=4096,
        sample_size=128, interpolation_scale=2, use_additional_conditions=None,
    )  # fmt: skip
    (folder / "transformer" / WEIGHTS).unlink()
    shutil.rmtree(folder / "cc_projection")
    return folder


@pytest.fixture
def checkpoint(model: Path, tmp_path: Path) -> Path:
    """As `accelerate` stores it on one GPU."""
    folder = tmp_path / "checkpoint-200"
    folder.mkdir()
    shutil.copy(model / "transformer" / WEIGHTS, folder / "model.safetensors")
    shutil.copy(model / "cc_projection" / WEIGHTS, folder / "model_1.safetensors")
    torch.save({"state": {}, "param_groups": []}, folder / "optimizer.bin")
    torch.save({"last_epoch": 200}, folder / "scheduler.bin")
    (folder / "random_states_0.pkl").write_bytes(b"random")
    return folder


def run(checkpoint: Path, base: Path, out: Path, resolution: int = SIZE) -> int:
    words = ["--checkpoint", checkpoint, "--base", base, "--out", out, "--resolution", resolution]
    return main(["convert", *map(str, words)])


def draw(folder: Path) -> torch.Tensor:
    source = torch.linspace(-1, 1, SIZE * SIZE).reshape(SIZE, SIZE)
    noise = torch.randn(1, 4, SIZE // 8, SIZE // 8, generator=torch.Generator().manual_seed(1))
    return svdrr.load(folder, "cpu").sample(source, VIEWS, noise=noise, steps=2, guidance=3.0)


def test_a_checkpoint_becomes_a_model_that_draws_the_same(
    model: Path, base: Path, checkpoint: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    out = tmp_path / "out"
    assert run(checkpoint, base, out) == 0
    assert "a model of 64 px" in capsys.readouterr().out
    assert torch.equal(draw(out), draw(model))
    config = json.loads((out / "transformer/config.json").read_text())
    assert config["_class_name"] == "SvdrrTransformer2DModel"
    assert (config["in_channels"], config["caption_channels"]) == (8, None)
    assert not list(tmp_path.glob("*.part"))


def test_names_wrapped_by_several_gpus_and_pickled_states_are_read(
    model: Path, base: Path, checkpoint: Path, tmp_path: Path
) -> None:
    for number in ("", "_1"):
        path = checkpoint / f"model{number}.safetensors"
        state = {f"module._orig_mod.{name}": value for name, value in load_file(path).items()}
        torch.save(state, checkpoint / f"pytorch_model{number}.bin")
        path.unlink()
    assert run(checkpoint, base, tmp_path / "out") == 0
    assert torch.equal(draw(tmp_path / "out"), draw(model))


def test_the_order_of_the_two_states_does_not_matter(
    model: Path, base: Path, checkpoint: Path, tmp_path: Path
) -> None:
    (checkpoint / "model.safetensors").rename(checkpoint / "keep")
    (checkpoint / "model_1.safetensors").rename(checkpoint / "model.safetensors")
    (checkpoint / "keep").rename(checkpoint / "model_1.safetensors")
    assert run(checkpoint, base, tmp_path / "out") == 0
    assert torch.equal(draw(tmp_path / "out"), draw(model))


def test_what_cannot_be_converted_is_told_and_leaves_nothing(
    base: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"

    def told(checkpoint: Path = checkpoint, base: Path = base, resolution: int = SIZE) -> str:
        assert run(checkpoint, base, out, resolution) == 2
        assert not out.exists()
        assert not list(tmp_path.glob("*.part"))
        return capsys.readouterr().err

    nothing = tmp_path / "nothing"
    assert "name a checkpoint of the trainer" in told(checkpoint=nothing)
    assert "name the model that the training began with" in told(base=nothing)
    assert "resolution is 100: give a multiple of 16" in told(resolution=100)
    assert "is no checkpoint of the official trainer" in told(checkpoint=base)

    whole = load_file(checkpoint / "model.safetensors")
    save_file({**whole, "more": torch.zeros(1)}, checkpoint / "model.safetensors")
    assert "1 are left over (more)" in told()
    del whole["proj_out.bias"]
    save_file(whole, checkpoint / "model.safetensors")
    assert "1 are missing (proj_out.bias)" in told()
    (checkpoint / "model_1.safetensors").unlink()
    assert "it has model.safetensors" in told()


def test_an_incomplete_base_and_a_taken_place_are_told(
    base: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    shutil.move(base / "vae", tmp_path / "vae")
    assert run(checkpoint, base, out) == 2
    assert "lacks vae/: name the model" in capsys.readouterr().err
    assert not out.exists()
    out.mkdir()
    assert run(checkpoint, base, out) == 2
    assert "is there already: name a new folder" in capsys.readouterr().err
