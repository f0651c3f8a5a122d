"""The network, its sizes, its resolutions and its files."""

from __future__ import annotations

import json
import struct
from dataclasses import fields, replace
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from synthesis import checkpoint
from synthesis.checkpoint import Card, read, write
from synthesis.errors import CheckpointError
from synthesis.evaluation.metrics import seam_score
from synthesis.families import vcdit
from synthesis.families.vcdit import guesses, pose_features
from synthesis.geometry.bands import band_powers, high_passed
from synthesis.geometry.resizing import resized
from synthesis.geometry.rows import row_sums, with_row_sums
from synthesis.model import PRESETS, ModelConfig, ViewTransformer
from synthesis.model.patching import at_resolution, resized_weights
from synthesis.model.transformer import Expectation
from synthesis.types import View
from tests.weights import tiny_network

TINY = PRESETS["tiny"]
PA = View(primary_deg=0.0)
TARGETS = [View(primary_deg=a) for a in (-60.0, 20.0, 90.0)]


def inputs(size: int = 32, seed: int = 0) -> tuple[torch.Tensor, ...]:
    """Pose, guess and source of three targets of one source."""
    generator = torch.Generator().manual_seed(seed)
    source = torch.rand(1, 1, size, size, generator=generator) * 2 - 1
    repeated = source.expand(3, -1, -1, -1)
    return (
        pose_features(PA, TARGETS, field_mm=358.4),
        guesses(repeated, PA, TARGETS, field_mm=358.4),
        source,
    )


def noises(size: int = 32, seed: int = 1) -> tuple[torch.Tensor, ...]:
    """Noisy detail, noise and time of three targets."""
    generator = torch.Generator().manual_seed(seed)
    noisy, noise = torch.randn(2, 3, 1, size, size, generator=generator)
    return noisy, noise, torch.tensor([0.0, 0.3, 0.9])


def known(network: ViewTransformer, *parts: torch.Tensor) -> Expectation:
    pose, guess, source = parts
    with torch.inference_mode():
        context = network.read_source(source).repeated(len(pose))
        out: Expectation = network(pose, guess, context)
    return out


def run(network: ViewTransformer, *parts: torch.Tensor) -> torch.Tensor:
    return known(network, *parts).image


def draw(network: ViewTransformer, what: Expectation, *parts: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return network.draw(*parts, what)


def test_out_comes_an_image_of_the_size_of_what_went_in() -> None:
    network = tiny_network()
    expected = known(network, *inputs())
    assert expected.image.shape == (3, 1, 32, 32)
    assert draw(network, expected, *noises()).shape == (3, 1, 32, 32)


@pytest.mark.parametrize("name", ["tiny", "small"])
def test_an_untrained_network_answers_with_the_slab_guess_in_rows_half_the_source_s(
    name: str,
) -> None:
    config = at_resolution(PRESETS[name], 32 if name == "tiny" else 64)
    pose, guess, source = inputs(config.resolution)
    halved = with_row_sums(guess, row_sums(source), torch.full((len(guess), 1, 1), 0.5))
    torch.testing.assert_close(run(ViewTransformer(config), pose, guess, source), halved)


@pytest.mark.parametrize("steps", [1, 3])
def test_a_source_of_another_side_gives_views_of_its_side(steps: int) -> None:
    network = tiny_network()
    fine = torch.rand(1, 64, 64, generator=torch.Generator().manual_seed(5)) * 2 - 1
    noise = torch.randn(3, steps, 32, 32, generator=torch.Generator().manual_seed(6))

    def made(image: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return vcdit.synthesize(network, image, PA, TARGETS, noise, field_mm=358.4, steps=steps)

    own = made(resized(fine[None], 32)[0])
    assert own.shape == (3, 1, 32, 32)
    torch.testing.assert_close(made(fine), resized(own, 64).clamp_min(-1), atol=0.05, rtol=0)


@pytest.mark.parametrize("steps", [2, 5])
def test_detail_is_as_strong_as_the_source_s_own_for_any_number_of_steps(steps: int) -> None:
    network, targets = tiny_network(), [View(primary_deg=30.0), View(primary_deg=-30.0)]
    size, sigma = network.config.resolution, network.config.detail_sigma
    generator = torch.Generator().manual_seed(7)
    grain = high_passed(torch.randn(1, 1, size, size, generator=generator), sigma)[0]
    noise = torch.randn(2, steps, size, size, generator=generator)

    def power(strength: float) -> torch.Tensor:
        source = 0.2 + strength * grain
        drawn, plain = (
            vcdit.synthesize(network, source, PA, targets, noise, field_mm=358.4, steps=count)
            for count in (steps, 1)
        )
        return band_powers(drawn - plain, sigma).sum(dim=1)

    # Where it may be changed by as much as it takes, four times the power gives four times.
    strengths = torch.stack([power(s) for s in (1e-4, 0.01, 0.02, 0.04, 0.3)])
    assert (strengths.diff(dim=0) >= -1e-9).all()
    assert ((strengths[-1] / strengths[0]) > 2.0).all()
    assert ((strengths[-1] / strengths[0]) < 45.0).all()  # and no farther than it may


def test_detail_drawn_too_strongly_is_brought_to_what_its_source_says() -> None:
    network, targets = tiny_network(), [View(primary_deg=30.0), View(primary_deg=-30.0)]
    size, sigma = network.config.resolution, network.config.detail_sigma
    generator = torch.Generator().manual_seed(7)
    grain = high_passed(torch.randn(1, 1, size, size, generator=generator), sigma)[0]
    noise = torch.randn(2, 2, size, size, generator=generator)
    draw = network.draw

    def made(factor: float) -> torch.Tensor:
        network.draw = lambda *given: factor * draw(*given)  # type: ignore[method-assign]
        return vcdit.synthesize(
            network, 0.2 + 0.015 * grain, PA, targets, noise, field_mm=358.4, steps=2
        )

    torch.testing.assert_close(made(2.0), made(1.0), atol=1e-3, rtol=0)


def test_no_detail_is_drawn_where_air_is_expected() -> None:
    network = tiny_network()
    expected = known(network, *inputs())
    matter = torch.linspace(-1.1, 0.0, 32).expand(3, 1, 32, 32)
    drawn = draw(network, replace(expected, image=matter), *noises())
    assert drawn[..., matter[0, 0, 0] <= -1.0].abs().max() == 0.0
    plenty = draw(network, replace(expected, image=matter + 2.0), *noises())
    assert (plenty[..., 0] != 0.0).any()


def test_views_guesses_and_sources_all_change_what_is_expected() -> None:
    network, parts = tiny_network(), inputs()
    before = run(network, *parts)
    for index, name in enumerate(("pose", "guess", "source")):
        changed = list(parts)
        changed[index] = parts[index] * 0.5 + 0.1
        assert (run(network, *changed) - before).abs().max() > 1e-4, name


def test_noises_times_and_everything_expected_change_the_detail() -> None:
    network, drawn = tiny_network(), noises()
    expected = known(network, *inputs())
    before = draw(network, expected, *drawn)
    for index, name in enumerate(("noisy", "noise", "time")):
        changed = list(drawn)
        changed[index] = drawn[index] * 0.5 + 0.1
        assert (draw(network, expected, *changed) - before).abs().max() > 1e-4, name
    for part in fields(Expectation):
        other = replace(expected, **{part.name: getattr(expected, part.name) * 0.5 + 0.1})
        change = (draw(network, other, *drawn) - before).abs().max()
        assert change > 1e-5, part.name


def test_detail_holds_nothing_coarse() -> None:
    network = tiny_network()
    detail = draw(network, known(network, *inputs()), *noises())
    coarse = torch.nn.functional.avg_pool2d(detail, 16)
    assert coarse.abs().max() < 0.1 * detail.square().mean().sqrt()


def test_a_source_read_once_and_repeated_is_a_source_read_for_every_target() -> None:
    network = tiny_network()
    pose, guess, source = inputs()
    with torch.inference_mode():
        shared = network(pose, guess, network.read_source(source).repeated(3)).image
        again = network(pose, guess, network.read_source(source.expand(3, -1, -1, -1))).image
    torch.testing.assert_close(shared, again, atol=1e-5, rtol=0)


def test_repeating_keeps_the_targets_of_a_source_together() -> None:
    network = tiny_network()
    two = torch.stack([torch.zeros(1, 32, 32), torch.ones(1, 32, 32)])
    with torch.inference_mode():
        keys = network.read_source(two).repeated(3).keys_values[0][0]
    assert torch.equal(keys[0], keys[2])
    assert torch.equal(keys[3], keys[5])
    assert not torch.equal(keys[2], keys[3])


def test_a_target_does_not_see_the_others_of_its_batch() -> None:
    network, parts, drawn = tiny_network(), inputs(), noises()
    together = known(network, *parts)
    details = draw(network, together, *drawn)
    for index in range(3):
        one = slice(index, index + 1)
        alone = known(network, *(part[one] for part in parts[:2]), parts[2])
        # The order of sums differs with the shape of a batch: float32 rounding, no more.
        torch.testing.assert_close(alone.image[0], together.image[index], atol=1e-5, rtol=0)
        detail = draw(network, alone, *(part[one] for part in drawn))
        torch.testing.assert_close(detail[0], details[index], atol=1e-5, rtol=0)


def test_an_expectation_repeated_is_each_target_computed_that_often() -> None:
    network, parts = tiny_network(), inputs()
    twice = known(network, *parts).repeated(2)
    assert torch.equal(twice.image[0], twice.image[1])
    assert torch.equal(twice.image[::2], run(network, *parts))


def _unblurred(network: ViewTransformer, what: Expectation) -> torch.Tensor:
    """What the head adds to the guess, before the blur, whose width does not follow an image."""
    with torch.inference_mode():
        cells = network.pixels(what.features)
    return torch.nn.functional.pixel_shuffle(cells, network.config.cell)


def _area(images: torch.Tensor, size: int) -> torch.Tensor:
    return torch.nn.functional.interpolate(images, size=(size, size), mode="area")


@pytest.mark.parametrize("finer", [64, 128])
def test_a_finer_network_does_on_an_image_what_the_coarse_one_did_on_the_image_resized(
    finer: int,
) -> None:
    coarse = tiny_network()
    with torch.no_grad():  # a trained head's pixels vary smoothly within a cell: here, not at all
        coarse.pixels.weight[1:] = coarse.pixels.weight[:1]
        coarse.pixels.bias[1:] = coarse.pixels.bias[:1]  # type: ignore[index]
    config = at_resolution(TINY, finer)
    fine = ViewTransformer(config).eval()
    fine.load_state_dict(resized_weights(coarse.state_dict(), TINY, config))
    pose, guess, source = inputs(finer)
    # The coarse network's correction, every pixel of a cell the same, is the fine one's.
    small = known(coarse, pose, _area(guess, 32), _area(source, 32))
    correction = _area(_unblurred(coarse, small), 8)
    expected = torch.nn.functional.interpolate(correction, scale_factor=finer // 8)
    made = _unblurred(fine, known(fine, pose, guess, source))
    torch.testing.assert_close(made, expected, atol=1e-5, rtol=1e-4)


def test_a_coarser_network_gives_the_means_of_what_the_fine_one_gave() -> None:
    fine, config = tiny_network(), at_resolution(TINY, 16)
    coarse = ViewTransformer(config).eval()
    coarse.load_state_dict(resized_weights(fine.state_dict(), TINY, config))
    pose, guess, source = inputs(16)

    def larger(images: torch.Tensor) -> torch.Tensor:
        """Each cell of 2 pixels a side interpolated to 4, by itself."""
        cells = images.view(-1, 8, 2, 8, 2).transpose(2, 3).reshape(-1, 1, 2, 2)
        cells = torch.nn.functional.interpolate(cells, size=(4, 4), mode="bilinear")
        return cells.view(-1, 8, 8, 4, 4).transpose(2, 3).reshape(-1, 1, 32, 32)

    given = known(fine, pose, larger(guess), larger(source))
    made = known(coarse, pose, guess, source)
    correction = _area(_unblurred(fine, given), 16)
    torch.testing.assert_close(_unblurred(coarse, made), correction, atol=1e-5, rtol=1e-4)
    # What detail is drawn from is the same too, so only its last layer knows the resolution.
    torch.testing.assert_close(made.features, given.features, atol=1e-5, rtol=1e-4)


def test_the_expected_image_has_no_steps_at_the_borders_of_cells() -> None:
    network, parts = tiny_network(), inputs()
    with torch.no_grad():  # cells as unlike as they can be, and flat inside
        network.pixels.weight.mul_(20.0)
        network.pixels.weight[1:] = network.pixels.weight[:1]
        network.pixels.bias[1:] = network.pixels.bias[:1]  # type: ignore[index]
    what = known(network, *parts)
    flat = seam_score(_unblurred(network, what)[:, 0], TINY.cell)
    assert float(flat.min()) > 100
    assert float(seam_score((what.image - what.guess)[:, 0], TINY.cell).max()) < 5


def test_every_resolution_costs_the_same_tokens() -> None:
    assert {at_resolution(TINY, size).token_grid for size in (16, 32, 64, 256)} == {4}


def test_a_resolution_that_does_not_fit_the_grid_is_refused() -> None:
    for size in (0, 8, 24, 40):
        with pytest.raises(CheckpointError, match="grid of 16"):
            at_resolution(TINY, size)


def test_weights_are_resized_within_one_grid_only() -> None:
    with pytest.raises(CheckpointError):
        resized_weights(tiny_network().state_dict(), TINY, replace(TINY, resolution=64))
    with pytest.raises(CheckpointError):
        resized_weights(tiny_network().state_dict(), TINY, replace(TINY, width=64))


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 0},
        {"resolution": 30},
        {"cell": 1, "stride": 8},
        {"heads": 3},
        {"width": 36, "heads": 6},
    ],
)
def test_sizes_that_do_not_fit_together_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(CheckpointError):
        replace(TINY, **wrong)


def test_every_preset_stands_and_survives_its_own_description() -> None:
    for config in PRESETS.values():
        assert ModelConfig.from_dict(config.to_dict()) == config


# --- files


def test_what_is_written_is_read(tmp_path: Path) -> None:
    network, path = tiny_network(), tmp_path / "a" / "x.safetensors"
    card = Card(name="n", version="v", steps=5, trained={"patients": ["p"], "samples": 3})
    write(path, network, card)
    found = read(path)
    assert (found.config, found.card) == (TINY, card)
    assert found.digest == sha256(path.read_bytes()).hexdigest()
    assert torch.equal(run(found.model(), *inputs()), run(network, *inputs()))
    assert [p.name for p in path.parent.iterdir()] == ["x.safetensors"]


def test_half_precision_halves_the_file_and_hardly_changes_the_answer(tmp_path: Path) -> None:
    network, card = tiny_network(), Card(name="n", version="v", steps=5, trained={})
    write(tmp_path / "full", network, card)
    write(tmp_path / "half", network, card, half=True)
    assert (tmp_path / "half").stat().st_size < 0.6 * (tmp_path / "full").stat().st_size
    answer = run(read(tmp_path / "half").model(), *inputs())
    torch.testing.assert_close(answer, run(network, *inputs()), atol=5e-3, rtol=0)


def test_a_checkpoint_names_itself_for_records(checkpoint_path: Path) -> None:
    identity = read(checkpoint_path).identity()
    assert (identity.name, identity.family, identity.resolution) == ("tiny", "vcdit", 32)
    assert identity.default_steps == 2
    assert identity.digest == sha256(checkpoint_path.read_bytes()).hexdigest()


def stored(
    path: Path, weights: dict[str, torch.Tensor] | None = None, **changes: str | None
) -> Path:
    """A checkpoint with other weights or metadata; None leaves an entry out."""
    metadata: dict[str, str | None] = {
        "format": "vcdit-3",
        "config": json.dumps(TINY.to_dict()),
        "card": json.dumps({"name": "n", "version": "v", "steps": 1, "trained": {}}),
        **changes,
    }
    path.write_bytes(
        save(
            dict(tiny_network().state_dict()) if weights is None else weights,
            metadata={key: value for key, value in metadata.items() if value is not None},
        )
    )
    return path


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"gone\.safetensors"):
        read(tmp_path / "gone.safetensors")
    with pytest.raises(CheckpointError):
        read(tmp_path)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"short",
        b"not a checkpoint at all, but text",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 3) + b"\xff\xfe\xfd",
        struct.pack("<Q", 1 << 60) + b"{}",
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(CheckpointError):
        read(tmp_path / "x")


def test_a_truncated_file_is_refused(tmp_path: Path, checkpoint_path: Path) -> None:
    data = checkpoint_path.read_bytes()
    (tmp_path / "x").write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError):
        read(tmp_path / "x")


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "vcdit-1"},
        {"format": None},
        {"config": None},
        {"config": "{"},
        {"config": "[]"},
        {"config": json.dumps({**TINY.to_dict(), "extra": 1})},
        {"config": json.dumps({**TINY.to_dict(), "width": "32"})},
        {"config": json.dumps({**TINY.to_dict(), "width": 0})},
        {"card": None},
        {"card": "5"},
        {"card": json.dumps({"name": "n"})},
        {"card": json.dumps({"name": "n", "version": "v", "steps": 1, "trained": {}, "x": 1})},
    ],
)
def test_a_wrong_description_is_refused(tmp_path: Path, changes: dict[str, str | None]) -> None:
    with pytest.raises(CheckpointError):
        read(stored(tmp_path / "x", **changes))


def test_weights_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    weights = dict(tiny_network().state_dict())
    weights["merge.bias"] = torch.full_like(weights["merge.bias"], float("nan"))
    with pytest.raises(CheckpointError, match=r"merge\.bias"):
        read(stored(tmp_path / "x", weights))


def test_missing_and_foreign_and_misshapen_weights_are_refused(tmp_path: Path) -> None:
    good = dict(tiny_network().state_dict())
    missing = {name: value for name, value in good.items() if name != "merge.bias"}
    foreign = {**good, "other": torch.zeros(1)}
    misshapen = {**good, "merge.bias": torch.zeros(3)}
    for weights in (missing, foreign, misshapen):
        found = read(stored(tmp_path / "x", weights))
        with pytest.raises(CheckpointError):
            found.model()


def test_bundled_names_the_packaged_file() -> None:
    path = checkpoint.bundled_path()
    assert path.parts[-3:] == ("synthesis", "weights", "chest.safetensors")
