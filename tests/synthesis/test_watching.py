"""A run that is watched, and one of several processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from synthesis.checkpoint import read
from synthesis.training.loop import train
from synthesis.training.processes import Processes
from synthesis.training.recipe import Recipe, RecipeError, Stage
from synthesis.training.watching import Watcher


def recipe(shards: Path, samples: int = 60, **changes: object) -> Recipe:
    values = {
        "name": "watched",
        "preset": "tiny",
        "cache": str(shards),
        "stages": (Stage(resolution=32, samples=samples, sources=2, targets=3),),
        "warmup": 5,
        "precision": "float32",
        "checkpoint_s": 1e9,
        "validate": ("small",),
    }
    return Recipe(**(values | changes))  # type: ignore[arg-type]


def weights(path: Path) -> dict[str, torch.Tensor]:
    return dict(read(path).weights)


def test_a_watched_run_ends_with_the_weights_of_an_unwatched_one(
    shards: Path, tmp_path: Path
) -> None:
    plan = recipe(shards)
    alone = weights(train(plan, tmp_path / "a", report=lambda p: None, every=2))
    clock = iter(range(0, 10**6, 100))
    watcher = Watcher(plan, tmp_path / "b", grid_s=1.0, now=lambda: next(clock))
    seen = weights(train(plan, tmp_path / "b", report=lambda p: None, watch=watcher, every=2))
    watcher.close()
    assert all(torch.equal(seen[name], value) for name, value in alone.items())

    events = EventAccumulator(str(tmp_path / "b" / "tensorboard"))
    events.Reload()
    losses = events.Scalars("training/loss")
    assert [event.step for event in losses] == [12, 24, 36, 48, 60]
    assert "training/power" not in events.Tags()["scalars"]  # NaN while no detail is drawn
    for name in ("expectation", "sample"):
        found = [event.value for event in events.Scalars(f"watched/psnr_{name}_db")]
        assert len(found) == 5
        assert 5.0 < found[-1] < 40.0
    pictures = sorted((tmp_path / "b" / "grids").iterdir())
    assert [path.name for path in pictures] == [f"{n:09d}.png" for n in (12, 24, 36, 48, 60)]
    # The patient kept out alone: truth, expected image, sample; the source and five targets.
    sheets = [np.asarray(Image.open(path)) for path in pictures]
    assert sheets[0].shape == (3 * 34, 6 * 34)
    np.testing.assert_array_equal(sheets[0][:34], sheets[-1][:34])
    assert (sheets[0][34:] != sheets[-1][34:]).mean() > 0.2
    assert sheets[0][:34, :34].std() > 20  # a source is to be seen


def test_pictures_come_by_the_clock_and_not_at_all_when_unwanted(
    shards: Path, tmp_path: Path
) -> None:
    plan = recipe(shards)
    times = iter([0.0, 0.0, 30.0, 61.0, 61.0, 90.0, 100.0])
    for name, grid_s, now in (
        ("some", 60.0, lambda: next(times)),
        ("none", 0.0, lambda: 0.0),
    ):
        watcher = Watcher(plan, tmp_path / name, grid_s=grid_s, now=now)
        train(plan, tmp_path / name, report=lambda p: None, watch=watcher, every=2)
        watcher.close()
    assert sorted(path.stem for path in (tmp_path / "some" / "grids").iterdir()) == [
        "000000012",
        "000000036",
    ]
    assert not (tmp_path / "none" / "grids").exists()


def test_a_device_that_is_not_there_is_refused_in_words() -> None:
    for name in ("cuda:7", "abacus"):
        with pytest.raises(RecipeError, match=name):
            Processes(name)


def launch(*arguments: object) -> list[str]:
    """Two processes as a launcher starts them; what each wrote to stdout."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = []
    for rank in range(2):
        environment = os.environ | {
            "WORLD_SIZE": "2",
            "LOCAL_WORLD_SIZE": "2",
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "OMP_NUM_THREADS": "1",
        }
        started.append(
            subprocess.Popen(
                [sys.executable, *map(str, arguments)],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    said = []
    for process in started:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        said.append(out)
    return said


TWO = """
import sys, torch
from pathlib import Path
from synthesis.training.loop import train
from synthesis.training.processes import Processes
from synthesis.training.recipe import load_recipe

torch.set_num_threads(1)
here = Processes("cpu")
weight = torch.nn.Parameter(torch.zeros(2, 2))
unused = torch.nn.Parameter(torch.zeros(1))
weight.grad = torch.full((2, 2), 1.0 + 2 * here.rank)
here.average_gradients([weight, unused])
assert (here.count, weight.grad.tolist(), unused.grad) == (2, [[2.0] * 2] * 2, None)
assert here.any(here.rank == 1) and not here.any(False)

plan, folder = load_recipe(Path(sys.argv[1])), Path(sys.argv[2])
reported = []
run = lambda name, stop: train(
    plan, folder / name, report=reported.append, stop=stop, every=2, processes=here
)
run("whole", lambda: False)
left = iter(range(3 + here.rank * 50))  # a signal that reaches the first process alone
run("cut", lambda: next(left, None) is None)
run("cut", lambda: False)
assert bool(reported) == here.first
print("done")
"""


@pytest.mark.slow
def test_two_processes_train_one_network_and_go_on_after_a_stop(
    shards: Path, tmp_path: Path
) -> None:
    (tmp_path / "r.yaml").write_text(
        f"{{name: two, preset: tiny, cache: {shards}, precision: float32, warmup: 5,"
        " stages: [{resolution: 32, samples: 120, sources: 2, targets: 3}]}"
    )
    (tmp_path / "two.py").write_text(TWO)
    assert launch(tmp_path / "two.py", tmp_path / "r.yaml", tmp_path) == ["done\n", "done\n"]
    whole = read(tmp_path / "whole" / "ema.safetensors")
    assert whole.card.version == "120 samples"
    cut = weights(tmp_path / "cut" / "ema.safetensors")
    assert all(torch.equal(cut[name], value) for name, value in whole.weights.items())
    # Not what one process would have made of its share alone.
    plan = recipe(shards, 60, validate=(), name="two")
    alone = weights(train(plan, tmp_path / "alone", report=lambda p: None))
    assert any(not torch.equal(alone[name], value) for name, value in whole.weights.items())
