"""Recipes, batches and the loop, on phantoms."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from synthesis.checkpoint import read
from synthesis.training.batches import Batches
from synthesis.training.loop import Progress, train
from synthesis.training.recipe import Recipe, RecipeError, Stage, load_recipe

STAGE = Stage(resolution=32, samples=240, sources=2, targets=3)


def recipe(shards: Path, *stages: Stage, **changes: object) -> Recipe:
    plain = Recipe(
        name="test",
        preset="tiny",
        cache=str(shards),
        stages=stages or (STAGE,),
        seed=1,
        warmup=10,
        tone_share=0.5,
        source_share=0.5,
        precision="float32",
        checkpoint_s=1e9,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def weights(path: Path) -> dict[str, torch.Tensor]:
    return dict(read(path).weights)


def after(updates: int):  # type: ignore[no-untyped-def]
    """A `stop` that says so after that many updates."""
    left = iter(range(updates - 1))
    return lambda: next(left, None) is None


def against_the_guess(plan: Recipe, path: Path) -> float:
    """Squared error of the regression over that of the slab guess, on batches never trained on."""
    batches, network = Batches(plan), read(path).model()
    errors = torch.zeros(2)
    for number in range(20):
        batch = batches.draw(STAGE, 10**6 + number)
        with torch.inference_mode():
            context = network.read_source(batch.source).repeated(STAGE.targets)
            made = network(batch.pose, batch.guess, context).image
        errors += torch.stack(
            [(image - batch.target).square().mean() for image in (made, batch.guess)]
        )
    return float(errors[0] / errors[1])


def test_a_run_learns_on_schedule_and_its_next_stage_starts_from_what_it_learned(
    shards: Path, tmp_path: Path
) -> None:
    reports: list[Progress] = []
    coarse = replace(STAGE, resolution=16, samples=2400, learning_rate=2e-3, targets=6)
    plan = recipe(
        shards, coarse, replace(STAGE, samples=6), ema=0.98, tone_share=0.0, source_share=0.0
    )
    path = train(plan, tmp_path, report=reports.append, every=40)
    first = [r for r in reports if r.stage == 0]
    assert [r.samples for r in first] == list(range(480, 2401, 480))
    assert all(r.samples_per_s > 0 for r in first)
    assert first[-1].loss < 0.65 * first[0].loss
    assert all(r.error == r.loss and math.isnan(r.power) for r in first)
    found = read(path)
    assert against_the_guess(plan, path) < 0.8  # one update from nothing gives 1.0
    assert found.config.resolution == 32
    assert found.card.version == "2406 samples"
    assert found.card.trained["recipe"]["seed"] == 1
    assert str(shards) not in json.dumps(dict(found.card.trained))


def test_detail_is_learned_around_a_trunk_left_as_it_was(shards: Path, tmp_path: Path) -> None:
    reports: list[Progress] = []
    trunk = replace(STAGE, samples=300, learning_rate=2e-3)
    detail = replace(STAGE, samples=600, learning_rate=4e-3, learns="detail")
    kept = weights(train(recipe(shards, trunk, ema=0.9), tmp_path / "a", report=lambda p: None))
    plan = recipe(shards, trunk, detail, ema=0.9)
    path = train(plan, tmp_path / "b", report=reports.append, every=25)
    drawn = [r for r in reports if r.stage == 1]
    assert drawn[-1].loss < 0.9 * drawn[0].loss
    assert 0.3 < drawn[-1].power < 1.5
    made = weights(path)
    for name, value in kept.items():
        assert torch.equal(made[name], value) == (not name.startswith("detail.")), name


def test_detail_is_learned_of_bodies_as_sharp_as_scanned_and_of_one_patient(
    shards: Path, tmp_path: Path
) -> None:
    plan = recipe(shards, mix_share=1.0, tone_share=0.0, source_share=0.0)
    whole, fine = replace(STAGE), replace(STAGE, learns="detail")
    batches = Batches(plan)
    assert not torch.equal(batches.draw(whole, 5).target, batches.draw(fine, 5).target)  # mixed
    alone = Batches(replace(plan, mix_share=0.0))
    assert torch.equal(alone.draw(whole, 5).target, alone.draw(fine, 5).target)
    blurred = tmp_path / "blurred"
    blurred.mkdir()
    for path in shards.iterdir():
        (blurred / path.name).write_bytes(path.read_bytes())
    for path in blurred.glob("*.json"):
        described = json.loads(path.read_text())
        described["anatomy"]["shift_mm"] = 4.0
        path.write_text(json.dumps(described))
    batches = Batches(replace(plan, cache=str(blurred)))
    batches.draw(whole, 5)
    with pytest.raises(RecipeError, match="too few exact shards"):
        batches.draw(fine, 5)


def test_a_run_starts_from_a_checkpoint_of_another_resolution(shards: Path, tmp_path: Path) -> None:
    first = train(recipe(shards), tmp_path / "first", report=lambda p: None)
    coarse = replace(STAGE, resolution=16, samples=6, learning_rate=0.0)
    path = train(recipe(shards, coarse, start=str(first)), tmp_path / "on", report=lambda p: None)
    found, start = read(path), weights(first)
    assert found.config.resolution == 16
    assert torch.equal(found.weights["blocks.0.table"], start["blocks.0.table"])
    assert "start" not in found.card.trained["recipe"]


@pytest.mark.parametrize("updates", [1, 17, 39])
def test_a_run_cut_in_the_middle_ends_where_an_uninterrupted_one_does(
    shards: Path, tmp_path: Path, updates: int
) -> None:
    plan = recipe(shards)
    whole = weights(train(plan, tmp_path / "whole", report=lambda p: None))
    train(plan, tmp_path / "cut", report=lambda p: None, stop=after(updates))
    assert read(tmp_path / "cut" / "ema.safetensors").card.version == f"{6 * updates} samples"
    cut = weights(train(plan, tmp_path / "cut", report=lambda p: None))
    for name, value in whole.items():
        assert torch.equal(cut[name], value), name  # to the bit, on one thread


def test_a_run_cut_in_its_second_stage_ends_where_an_uninterrupted_one_does(
    shards: Path, tmp_path: Path
) -> None:
    plan = recipe(shards, replace(STAGE, resolution=16, samples=60), replace(STAGE, samples=60))
    whole = train(plan, tmp_path / "whole", report=lambda p: None)
    assert read(whole).config.resolution == 32
    for _ in range(4):
        train(plan, tmp_path / "cut", report=lambda p: None, stop=after(6))
    cut = weights(tmp_path / "cut" / "ema.safetensors")
    for name, value in weights(whole).items():
        assert torch.equal(cut[name], value), name


def test_a_finished_run_is_left_as_it_is(shards: Path, tmp_path: Path) -> None:
    plan = recipe(shards, replace(STAGE, resolution=16, samples=12), replace(STAGE, samples=12))
    first = weights(train(plan, tmp_path, report=lambda p: None))
    again = weights(train(plan, tmp_path, report=lambda p: None))
    assert all(torch.equal(again[name], value) for name, value in first.items())


def test_a_seed_decides_the_weights(shards: Path, tmp_path: Path) -> None:
    short = replace(STAGE, samples=12)
    made = [
        weights(train(recipe(shards, short, seed=s), tmp_path / str(i), report=lambda p: None))
        for i, s in enumerate((1, 1, 2))
    ]
    assert all(torch.equal(made[0][name], made[1][name]) for name in made[0])
    assert any(not torch.equal(made[0][name], made[2][name]) for name in made[0])


def test_a_batch_follows_from_its_number(shards: Path) -> None:
    batches, again = Batches(recipe(shards)), Batches(recipe(shards))
    first, other = batches.draw(STAGE, 7), batches.draw(STAGE, 8)
    assert torch.equal(first.target, again.draw(STAGE, 7).target)
    assert not torch.equal(first.target, other.target)
    assert first.source.shape == (2, 1, 32, 32)
    assert first.target.shape == first.guess.shape == (6, 1, 32, 32)
    assert first.pose.shape == (6, 11)


def test_a_share_of_the_bodies_is_mixed_from_two_patients(shards: Path) -> None:
    def drawn(**changes: object) -> torch.Tensor:
        return Batches(recipe(shards, tone_share=0.0, **changes)).draw(STAGE, 7).target

    plain, mixtures = drawn(), drawn(mix_share=1.0)
    assert torch.equal(mixtures, drawn(mix_share=1.0))
    assert not torch.equal(mixtures, plain)
    # With nobody in the same views but themselves, bodies stay as they are.
    alone = drawn(validate=("small",))
    torch.testing.assert_close(drawn(validate=("small",), mix_share=1.0), alone)


def test_patients_kept_out_are_not_drawn(shards: Path) -> None:
    assert Batches(recipe(shards)).refresh() == 4
    assert Batches(recipe(shards, validate=("small",))).refresh() == 2
    with pytest.raises(RecipeError, match="no rendered patients"):
        Batches(recipe(shards, validate=("small", "large")))


def test_a_cache_too_coarse_for_the_stage_is_refused(shards: Path) -> None:
    with pytest.raises(RecipeError, match="64 px"):
        Batches(recipe(shards)).draw(replace(STAGE, resolution=64), 0)


GOOD = """
name: x
preset: tiny
cache: somewhere
stages: [{resolution: 32, samples: 10}]
"""


def test_a_recipe_is_read(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(GOOD + "validate: [a, b]\nseed: 3\nema: 1\n")
    found = load_recipe(path)
    assert (found.validate, found.seed, found.stages[0].samples) == (("a", "b"), 3, 10)
    assert found.warmup == Recipe(name="x", preset="tiny", cache="c", stages=()).warmup


def test_the_shipped_recipe_is_read() -> None:
    folder = Path(__file__).parents[2] / "config" / "training"
    names = sorted(path.name for path in folder.glob("*.yaml"))
    assert "small.yaml" in names
    for name in names:
        assert load_recipe(folder / name).stages


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[", "r.yaml"),
        ("- a", "mapping"),
        ("name: x", "stages"),
        (GOOD.replace("tiny", "huge"), "huge"),
        (GOOD + "colour: red", "colour"),
        (GOOD.replace("samples: 10", "sample: 10"), "stages"),
        (GOOD.replace("name: x", ""), "name"),
        (GOOD.replace("samples: 10", "samples: many"), "samples"),
        (GOOD.replace("samples: 10", "samples: 0"), "samples"),
        (GOOD.replace("samples: 10", "samples: 10, learns: latin"), "latin"),
        (GOOD + "seed: one", "seed"),
        (GOOD + "seed: 1.5", "seed"),
        (GOOD + "threads: true", "threads"),
        (GOOD + "ema: high", "ema"),
        (GOOD + "validate: lidc", "validate"),
        (GOOD + "validate:", "validate"),
        (GOOD.replace("resolution: 32", "resolution: 40"), "40"),
        (GOOD + "precision: int4", "precision"),
    ],
)
def test_a_wrong_recipe_is_refused_by_name(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=named):
        load_recipe(path)


def test_a_missing_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="gone"):
        load_recipe(tmp_path / "gone.yaml")
