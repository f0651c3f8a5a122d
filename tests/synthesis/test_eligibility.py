"""What views may be made from: the packaged classifier on real images and on drawn ones."""

from __future__ import annotations

import importlib.util
import io
import time
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch

from dicom_node.iod.reading import read_source
from synthesis.cli import main
from synthesis.data.cache import render_shard
from synthesis.data.phantom import chest
from synthesis.eligibility import Kind, judge
from synthesis.eligibility.drawings import drawing
from synthesis.eligibility.examples import SHARES, Examples
from synthesis.eligibility.learning import confusion, train
from synthesis.eligibility.network import KINDS, SIDE, prepared
from synthesis.errors import VolumeError
from synthesis.types import IntensityScale, Radiograph, View

PA = View(primary_deg=0.0)


def _data() -> Path:
    spec = importlib.util.find_spec("data_store")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "data"


DATA = _data()


def radiograph(pixels: np.ndarray) -> Radiograph:
    return Radiograph(
        pixels=np.ascontiguousarray(pixels, np.float32),
        spacing_mm=None,
        view=PA,
        intensity=IntensityScale(low=0.0, high=1.0),
    )


def real(name: str) -> Radiograph:
    return read_source((DATA / name).read_bytes()).radiograph


@pytest.fixture(scope="module")
def lungs() -> Radiograph:
    return real("RG1_UNCR.dcm")


@pytest.mark.parametrize("name", ["RG1_UNCR.dcm", "RG1_J2KI.dcm", "RG1_J2KR.dcm"])
def test_a_real_frontal_chest_is_accepted(name: str) -> None:
    judged = judge(real(name))
    assert judged.eligible
    assert judged.kind is Kind.FRONTAL
    assert judged.score > 0.5


@pytest.mark.parametrize("every", [2, 4, 8, 16])
def test_its_size_does_not_matter(lungs: Radiograph, every: int) -> None:
    assert judge(radiograph(lungs.pixels[::every, ::every])).score > 0.5


@pytest.mark.parametrize("gamma", [0.5, 0.75, 1.5, 2.0])
def test_its_tone_curve_does_not_matter(lungs: Radiograph, gamma: float) -> None:
    unit = np.clip(lungs.intensity.to_model(lungs.pixels) / 2 + 0.5, 0, None)
    assert judge(radiograph(unit**gamma * 4000 - 300)).eligible


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda p: p[::-1], Kind.TURNED),
        (lambda p: p[::-1, ::-1], Kind.TURNED),
        (np.rot90, Kind.TURNED),
        (lambda p: p[:, ::-1], Kind.MIRRORED),
        (lambda p: -p, Kind.INVERTED),
    ],
    ids=["upside down", "half a turn", "on its side", "mirrored", "inverted"],
)
def test_a_real_chest_that_is_not_as_it_is_hung_is_refused_for_that(
    lungs: Radiograph, change: object, kind: Kind
) -> None:
    judged = judge(radiograph(change(lungs.pixels)))  # type: ignore[operator]
    assert not judged.eligible
    assert judged.kind is kind
    assert judged.reason.startswith("it looks like ")


@pytest.mark.parametrize("name", ["RG3_UNCR.dcm", "RG3_J2KI.dcm"])
def test_a_shin_bone_is_refused(name: str) -> None:
    assert not judge(real(name)).eligible


def test_no_other_image_of_the_test_files_is_accepted() -> None:
    bundled = Path(pydicom.__file__).parent / "data" / "test_files"
    names, accepted = 0, []
    for path in sorted([*DATA.glob("*.dcm"), *bundled.glob("*.dcm")]):
        try:
            pixels = pydicom.dcmread(path).pixel_array
        except Exception:  # files made to be broken, or without pixels
            continue
        pixels = pixels[0] if pixels.ndim == 4 else pixels
        if pixels.ndim == 3:
            pixels = pixels.mean(axis=-1) if pixels.shape[-1] == 3 else pixels[0]
        if path.name.startswith("RG1") or pixels.ndim != 2 or min(pixels.shape) < 2:
            continue
        names += 1
        if judge(radiograph(pixels)).eligible:
            accepted.append(path.name)
    assert names > 80
    assert accepted == []


def test_noise_and_drawings_are_refused() -> None:
    rng = np.random.default_rng(11)
    judged = [judge(radiograph(drawing(rng).numpy())) for _ in range(60)]
    assert sum(one.eligible for one in judged) <= 1
    assert not judge(radiograph(rng.random((300, 200)))).eligible
    assert not judge(radiograph(np.full((64, 64), 3.0))).eligible


def test_a_judgement_is_quick(lungs: Radiograph) -> None:
    judge(lungs)
    began = time.process_time()
    judge(lungs)
    assert time.process_time() - began < 0.3


def test_what_is_read_does_not_depend_on_gain_nor_offset(lungs: Radiograph) -> None:
    image = torch.from_numpy(lungs.pixels.copy())
    read = prepared(image)
    assert read.shape == (2, SIDE, SIDE)
    torch.testing.assert_close(prepared(image * 0.01 + 5), read, atol=2e-3, rtol=0)


def test_ranks_do_not_depend_on_any_rising_tone_curve() -> None:
    image = torch.rand(SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(prepared(image)[1], prepared(image**3)[1])


@pytest.fixture(scope="module")
def caches(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Phantoms for chests; the same without lungs, narrow and long, for something else."""
    folders = tmp_path_factory.mktemp("chests"), tmp_path_factory.mktemp("others")
    for folder, size in zip(folders, (1.0, 0.45), strict=True):
        volume = chest(size=size).volume((54, 42, 64), (6.0, 6.0, 6.0), name=folder.name)
        for variation in range(3):
            render_shard(volume, variation, folder, size=48, seed=1)
    return folders


def test_every_kind_can_be_drawn_and_looks_different_every_time(
    caches: tuple[Path, Path],
) -> None:
    examples = Examples(caches[0], [caches[1]])
    assert len(examples.patients) == 2
    assert sum(SHARES.values()) == pytest.approx(1.0)
    for kind in KINDS:
        rng = np.random.default_rng(2)
        one, two = examples.draw(kind, rng), examples.draw(kind, rng)
        assert torch.isfinite(one).all()
        assert float(one.std()) > 0
        assert one.shape != two.shape or not torch.equal(one, two)
        assert torch.equal(one, examples.draw(kind, np.random.default_rng(2)))


def test_a_mirrored_example_is_the_frontal_one_mirrored(caches: tuple[Path, Path]) -> None:
    examples = Examples(caches[0], [caches[1]])
    offsets = []
    for seed in range(6):
        frontal, mirrored = (
            examples.draw(kind, np.random.default_rng(seed), plain=True)
            for kind in (Kind.FRONTAL, Kind.MIRRORED)
        )
        assert torch.equal(frontal.flip(1), mirrored)
        third = frontal.shape[0] // 3
        along = (frontal[third:-third] + 1).mean(dim=0).numpy()
        body = np.flatnonzero(along > 0.1)
        middle = (body[0] + body[-1]) / 2
        offsets.append((along * np.arange(len(along))).sum() / along.sum() - middle)
    # The phantom's heart lies to its left, which is the right half of the image; a warp may move
    # more matter to the other side of one body or another.
    assert np.median(offsets) > 0


def test_a_cache_without_other_parts_of_the_body_is_an_error(
    caches: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(VolumeError, match="no other views"):
        Examples(caches[0], [tmp_path])


def test_the_classifier_learns_and_learns_the_same_again(caches: tuple[Path, Path]) -> None:
    examples = Examples(caches[0], [caches[1]])
    losses: list[float] = []
    network = train(
        examples, steps=24, batch=16, seed=1, report=lambda _, loss: losses.append(loss)
    )
    assert losses[-1] < losses[0] - 0.03
    again = train(examples, steps=2, batch=4, seed=1)
    twice = train(examples, steps=2, batch=4, seed=1)
    for a, b in zip(again.parameters(), twice.parameters(), strict=True):
        assert torch.equal(a, b)
    table = confusion(network, examples, count=4, seed=0)
    assert list(table) == [kind.value for kind in KINDS]
    assert all(sum(row[k.value] for k in KINDS) == pytest.approx(1.0) for row in table.values())


def test_the_commands_train_and_count(caches: tuple[Path, Path], tmp_path: Path) -> None:
    weights, out = tmp_path / "small.safetensors", tmp_path / "out.json"
    common = ["--chests", str(caches[0]), "--others", str(caches[1])]
    train_it = ["train-eligibility", *common, "--out", str(weights), "--steps", "2", "--batch", "4"]
    assert main(train_it) == 0
    assert 50_000 < weights.stat().st_size < 300_000
    count_it = ["evaluate-eligibility", *common, "--weights", str(weights), "--count", "3"]
    assert main([*count_it, "--json", str(out)]) == 0
    assert '"accepted"' in out.read_text()


def test_the_reason_holds_nothing_of_the_patient(lungs: Radiograph) -> None:
    data = pydicom.dcmread(io.BytesIO((DATA / "RG3_UNCR.dcm").read_bytes()))
    reason = judge(real("RG3_UNCR.dcm")).reason
    for word in (str(data.PatientName), str(data.PatientID), str(data.StudyInstanceUID)):
        assert word == "" or word not in reason
