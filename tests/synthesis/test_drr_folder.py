"""LIDC-IDRI-DRR's layout, written here by its renderer's description from a body of ellipsoids."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synthesis.cli import main
from synthesis.data.cache import PER_VIEW, list_shards
from synthesis.data.drr_folder import read_layout, view_of
from synthesis.data.phantom import Phantom, chest
from synthesis.errors import DataError
from synthesis.training.batches import Batches
from synthesis.training.recipe import Recipe, Stage
from synthesis.types import SeenFrom

SIDE = 64
COORDINATES = [
    (0.0, 0.0),
    (0.0, 0.6),
    (0.0, 2 * np.pi - 0.7),
    (0.5, 0.0),
    (-0.8217387812276898, 0.7957525619723196),
    (0.784618987285084, 5.47299123638779),
    (0.0, np.pi),
    (0.2, np.pi - 0.4),
]


def published_render(phantom: Phantom, theta: float, phi: float) -> np.ndarray:
    """Line integrals by the published renderer's own words, in RAS: nothing of ours but ellipsoids.

    A camera 1650 mm behind the patient (0, -1650, 0) looks to the front; its image, seen from the
    detector, has the patient's left on the right-hand side and the head at the top. All of it is
    turned about the isocentre by Rz(phi) Rx(theta).
    """
    c, s = np.cos(phi), np.sin(phi)
    rz = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    c, s = np.cos(theta), np.sin(theta)
    rx = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    turn = rz @ rx
    tube = turn @ [0, -1650, 0]
    forward, right, up = turn @ [0, 1, 0], turn @ [-1, 0, 0], turn @ [0, 0, 1]
    place = (np.arange(SIDE) - (SIDE - 1) / 2) * 358.4 / SIDE
    rays = 1800 * forward + place[None, :, None] * right - place[:, None, None] * up
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    image = np.zeros((SIDE, SIDE))
    for part in phantom.parts:
        x, y, z = part.center_mm  # LPS
        axes = np.array(part.semi_axes_mm)
        start, way = (tube - np.array([-x, -y, z])) / axes, rays / axes
        a, b, d = (way**2).sum(-1), way @ start, start @ start - 1
        image += part.mu_per_mm * 2 * np.sqrt(np.maximum(b * b - a * d, 0)) / a
    return image


def stretched(image: np.ndarray) -> np.ndarray:
    return (image - image.min()) / (image.max() - image.min()) * 255


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drr")
    views = [
        {
            "id": f"{i:04d}",
            "orientation": "AP" if 2.0 < p < 4.0 else "PA",
            "coordinate": [float(t), float(p)],
        }
        for i, (t, p) in enumerate(COORDINATES)
    ]
    (folder / "camera_views.json").write_text(json.dumps(views))
    (folder / "patients.json").write_text(
        '{"thin": ["LIDC-IDRI-0001"], "thick": ["LIDC-IDRI-0007"]}'
    )
    for name, size in (("LIDC-IDRI-0001", 0.8), ("LIDC-IDRI-0007", 0.65)):
        (folder / name).mkdir()
        for index, (theta, phi) in enumerate(COORDINATES):
            grey = np.round(stretched(published_render(chest(size=size), theta, phi)))
            rgba = np.dstack([grey, grey, grey, np.full_like(grey, 255)]).astype(np.uint8)
            Image.fromarray(rgba).save(folder / name / f"{index:04d}.png")
    return folder


def run(folder: Path, out: Path, *more: str) -> int:
    return main(["import-drr", "--folder", str(folder), "--out", str(out), *more])


def test_the_angles_are_dicoms_with_dicoms_signs() -> None:
    view = view_of(0.3, 2 * np.pi - 0.5)
    assert view.primary_deg == pytest.approx(-np.degrees(0.5))
    assert view.secondary_deg == pytest.approx(np.degrees(0.3))
    assert view_of(0.0, np.pi).seen_from is SeenFrom.DETECTOR  # it turns with the camera, unhung


def test_imported_views_are_what_their_angles_say(published: Path, tmp_path: Path) -> None:
    assert run(published, tmp_path / "c", "--size", "64") == 0
    shards = list_shards(tmp_path / "c")
    assert [shard.patient for shard in shards] == ["LIDC-IDRI-0001", "LIDC-IDRI-0007"]
    for shard, size in zip(shards, (0.8, 0.65), strict=True):
        assert shard.sources == (0,)
        assert shard.scale == PER_VIEW
        for index, view in enumerate(shard.views):
            ours = stretched(chest(size=size).line_integrals(view, size=SIDE))
            assert np.abs(ours - shard.images()[index]).max() < 1.0, view
            # As line integrals: on the scale that a frontal radiograph is put on.
            assert shard.image(index).max() == pytest.approx(5.0, rel=1e-5)
            assert shard.image(index).min() == 0.0


def test_a_trainer_reads_imported_views(published: Path, tmp_path: Path) -> None:
    assert run(published, tmp_path / "c", "--size", "32") == 0
    recipe = Recipe(name="x", preset="tiny", cache=str(tmp_path / "c"), stages=())
    batch = Batches(recipe).draw(Stage(resolution=32, samples=1, sources=2, targets=3), 0)
    assert batch.target.shape == (6, 1, 32, 32)
    assert float(batch.target.max()) > -0.2


def test_a_half_of_the_views_and_a_smaller_size(published: Path, tmp_path: Path) -> None:
    assert run(published, tmp_path / "c", "--size", "16", "--orientation", "PA") == 0
    shard = list_shards(tmp_path / "c")[0]
    assert len(shard.views) == 6
    with Image.open(published / "LIDC-IDRI-0001" / "0005.png") as picture:
        grey = np.asarray(picture, np.float64)[..., 0]
    means = grey.reshape(16, 4, 16, 4).mean(axis=(1, 3))
    assert np.abs(shard.images()[5] - means).max() <= 1.0


def test_a_patient_with_a_hole_is_skipped_and_the_import_goes_on(
    published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    views = json.loads((published / "camera_views.json").read_text())
    folder = tmp_path / "d"
    for name in ("a", "b", "c"):
        (folder / name).mkdir(parents=True)
        for index in range(len(views)):
            data = (published / "LIDC-IDRI-0001" / f"{index:04d}.png").read_bytes()
            (folder / name / f"{index:04d}.png").write_bytes(data)
    (folder / "camera_views.json").write_text(json.dumps(views))  # and no patients.json
    (folder / "a" / "0003.png").unlink()
    (folder / "b" / "0002.png").write_bytes(b"\x89PNG\r\n\x1a\n no picture")
    assert run(folder, tmp_path / "cache", "--size", "16") == 3
    said = capsys.readouterr()
    assert "skipped a: 1 of 8 views missing: 0003" in said.err
    assert "skipped b: 0002.png is no readable picture" in said.err
    assert "1 of 3 patients" in said.out
    whole = tmp_path / "cache" / "c-0000.npy"
    stored = whole.stat().st_mtime_ns
    (folder / "a" / "0003.png").write_bytes((folder / "c" / "0003.png").read_bytes())
    assert run(folder, tmp_path / "cache", "--size", "16") == 3
    assert whole.stat().st_mtime_ns == stored
    assert [shard.patient for shard in list_shards(tmp_path / "cache")] == ["a", "c"]


@pytest.mark.parametrize(
    "views",
    [
        [[0.0, 0.0], [0.1, -0.2]],
        {"0000": [0.0, 0.0], "0001": {"coordinate": [0.1, -0.2]}},
        [{"coordinate": [0, 0]}, {"coordinate": [0.1, -0.2], "more": 1}],
    ],
)
def test_other_ways_to_write_the_views_are_understood(tmp_path: Path, views: object) -> None:
    (tmp_path / "camera_views.json").write_text(json.dumps(views))
    (tmp_path / "patients.json").write_text('["p"]')
    layout = read_layout(tmp_path)
    assert [round(view.primary_deg, 3) for view in layout.views] == [0.0, -11.459]
    assert layout.files == ("0000", "0001")


WRONG = [
    (None, None, "is missing"),
    ("[{", None, "no readable JSON"),
    ("[]", None, "list of views"),
    ('[{"orientation": "PA"}]', None, "view 0: expected"),
    ('[{"coordinate": [0, 0]}, {"coordinate": ["a", 0]}]', None, "view 1"),
    ('[{"coordinate": [0, 0]}, {"coordinate": [0, 45]}]', None, "no angles in radians"),
    ('[{"coordinate": [0, 0]}, {"coordinate": [2.0, 0]}]', None, "view 1"),
    ('[{"coordinate": [0, NaN]}]', None, "view 0"),
    ('[{"coordinate": [0, 1]}]', None, "no frontal view"),
    ("[[0, 0]]", '{"thin": "p"}', "lists of names"),
    ("[[0, 0]]", '["../up"]', "no folders'"),
    ("[[0, 0]]", '["p", "p"]', "stand twice"),
    ("[[0, 0]]", "{}", "no patients"),
    ("[[0, 0]]", None, "no folder with PNG"),
]


@pytest.mark.parametrize(("views", "patients", "said"), WRONG, ids=[w[2] for w in WRONG])
def test_what_is_laid_out_otherwise_is_refused_in_words(
    tmp_path: Path, views: str | None, patients: str | None, said: str
) -> None:
    if views is not None:
        (tmp_path / "camera_views.json").write_text(views)
    if patients is not None:
        (tmp_path / "patients.json").write_text(patients)
    with pytest.raises(DataError, match=said):
        read_layout(tmp_path)
