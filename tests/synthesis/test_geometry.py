"""Where things appear. Every expectation is a literal, worked by hand.

PS3.3 C.8.7.5.1.2: at 0/0 the patient faces the detector; primary +90 puts the detector at the
patient's left (LAO), secondary +90 at the head. An onlooker at the detector who walks to the
patient's left (LAO) sees what is near, the front of the body, move to his left, and the back to his
right. The same onlooker at an AP image's tube sees the same.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from pydicom.dataset import Dataset

from dicom_node.domain.writing import Form
from dicom_node.iod.anatomy import put_view
from synthesis.data.cache import list_shards, render_shard
from synthesis.data.phantom import Ellipsoid, Phantom
from synthesis.data.rendering import Renderer
from synthesis.geometry import detector_axis, project, relative_pose, tube_position_mm
from synthesis.training.batches import Batches
from synthesis.training.recipe import Recipe, Stage
from synthesis.types import FIELD_MM, SeenFrom, View, azimuth_sweep

PA, AP = View(primary_deg=0.0), View(primary_deg=180.0)
LEFT, RIGHT = "left of the middle", "right of the middle"

# (view, side of a bead in the patient's front, side of one in the back)
SIDES = [
    (View(primary_deg=30.0), LEFT, RIGHT),  # LAO
    (View(primary_deg=90.0), LEFT, RIGHT),  # left lateral
    (View(primary_deg=-30.0), RIGHT, LEFT),  # RAO
    (View(primary_deg=-90.0), RIGHT, LEFT),  # right lateral
    (AP.rotated(30.0), LEFT, RIGHT),  # tube at the left front: seen from there as LAO 30 is
    (AP.rotated(-30.0), RIGHT, LEFT),
]


@pytest.mark.parametrize(
    ("view", "axis"),
    [
        (PA, (0, -1, 0)),
        (AP, (0, 1, 0)),
        (View(primary_deg=90), (1, 0, 0)),
        (View(primary_deg=-90), (-1, 0, 0)),
        (View(primary_deg=0, secondary_deg=90), (0, 0, 1)),
        (View(primary_deg=0, secondary_deg=-90), (0, 0, -1)),
        (View(primary_deg=90, secondary_deg=30), (0.8660254, 0, 0.5)),
    ],
)
def test_the_detector_stands_where_the_standard_says(
    view: View, axis: tuple[float, float, float]
) -> None:
    np.testing.assert_allclose(detector_axis(view), axis, atol=1e-7)
    np.testing.assert_allclose(tube_position_mm(view), -1650.0 * np.array(axis), atol=1e-4)


# 256 pixels of 1.4 mm, middle 127.5; the detector is 1800 mm from the tube, the isocentre 1650.
BY_HAND = [
    # 60 mm to the left in the isocentre's plane: 60 x 1800 / 1650 / 1.4 = 46.753 px
    (PA, (60, 0, 0), (127.5, 174.253)),
    (AP, (60, 0, 0), (127.5, 174.253)),  # hung as PA
    # 100 mm nearer to the detector: 60 x 1800 / 1750 / 1.4 = 44.082; head up: 72 x ... = 52.898
    (PA, (60, -100, 72), (74.602, 171.582)),
    # the same bead, 100 mm nearer to the AP tube: 60 x 1800 / 1550 / 1.4 = 49.770; 59.724
    (AP, (60, -100, 72), (67.776, 177.270)),
    # left lateral: the front on the left: 50 x 1800 / 1650 / 1.4 = 38.961
    (View(primary_deg=90), (0, -50, 0), (127.5, 88.539)),
    (View(primary_deg=-90), (0, -50, 0), (127.5, 166.461)),
    # 110 mm towards the detector at the patient's left: 50 x 1800 / 1760 / 1.4 = 36.526
    (View(primary_deg=90), (110, -50, 0), (127.5, 90.974)),
    # cranial 30: the front bead is 25 mm lower on the detector's axes, 43.301 nearer to it:
    # 25 x 1800 / 1693.301 / 1.4 = 18.982
    (View(primary_deg=0, secondary_deg=30), (0, -50, 0), (146.482, 127.5)),
    (View(primary_deg=0, secondary_deg=-30), (0, -50, 0), (108.518, 127.5)),
]


@pytest.mark.parametrize(("view", "point", "expected"), BY_HAND)
def test_a_point_appears_where_a_hand_calculation_puts_it(
    view: View, point: tuple[float, float, float], expected: tuple[float, float]
) -> None:
    found = project(np.array([point], float), view, field_mm=358.4, size=256)[0]
    np.testing.assert_allclose(found, expected, atol=2e-3)


@pytest.mark.parametrize(("view", "front", "back"), SIDES)
def test_projection_moves_front_and_back_to_the_sides_of_lao_and_rao(
    view: View, front: str, back: str
) -> None:
    points = np.array([[0.0, -60.0, 0.0], [0.0, 60.0, 0.0]])
    columns = project(points, view, field_mm=FIELD_MM, size=64)[:, 1]
    assert [_side(column, 64) for column in columns] == [front, back]


def _side(column: float, size: int) -> str:
    return LEFT if column < (size - 1) / 2 else RIGHT


def _bead(center: tuple[float, float, float], radius: float = 9.0) -> Phantom:
    return Phantom(parts=(Ellipsoid(center_mm=center, semi_axes_mm=(radius,) * 3, mu_per_mm=0.05),))


def _rendered(phantom: Phantom, view: View, size: int) -> np.ndarray:
    renderer = Renderer(phantom.attenuation((70, 66, 62), (3.0, 3.0, 3.0)), (3.0, 3.0, 3.0))
    return renderer.render([view], size=size)[0].numpy().astype(np.float64)


def _centroid(image: np.ndarray) -> tuple[float, float]:
    rows, columns = np.indices(image.shape)
    return (
        float((rows * image).sum() / image.sum()),
        float((columns * image).sum() / image.sum()),
    )


@pytest.mark.parametrize(("view", "front", "back"), SIDES)
def test_rendering_moves_front_and_back_to_the_sides_of_lao_and_rao(
    view: View, front: str, back: str
) -> None:
    for y, side in ((-60.0, front), (60.0, back)):
        image = _rendered(_bead((0.0, y, 0.0)), view, 64)
        assert _side(_centroid(image)[1], 64) == side


@pytest.mark.parametrize(("view", "point", "expected"), BY_HAND)
def test_a_rendered_bead_appears_where_the_hand_calculation_puts_it(
    view: View, point: tuple[float, float, float], expected: tuple[float, float]
) -> None:
    if abs(point[0]) > 90 or abs(point[1]) > 85:
        point = (point[0] / 2, point[1] / 2, point[2] / 2)  # into the box, for the same rays:
        row_column = project(np.array([point], float), view, field_mm=358.4, size=128)[0]
    else:
        row_column = (np.array(expected) + 0.5) / 2 - 0.5  # 128 pixels of 2.8 mm
    found = _centroid(_rendered(_bead(point), view, 128))
    np.testing.assert_allclose(found, row_column, atol=0.15)


@pytest.mark.parametrize(("view", "front", "back"), SIDES)
def test_the_stated_angles_of_a_derived_image_say_the_same_sides(
    view: View, front: str, back: str
) -> None:
    dataset = Dataset()
    put_view(dataset, view, Form.DX)
    rows_run_to = dataset.PatientOrientation[0]
    # Where rows run to the back (P), the back is on the right.
    assert ("P" in rows_run_to) == (back == RIGHT)
    assert ("A" in rows_run_to) == (front == RIGHT)


def test_a_sweep_states_lao_as_positive_angles() -> None:
    sweep = azimuth_sweep(
        source=PA, from_deg=-30, to_deg=30, step_deg=30, skip_source=True, name="s"
    )
    stated = []
    for view in sweep:
        dataset = Dataset()
        put_view(dataset, view, Form.DX)
        stated.append((float(dataset.PositionerPrimaryAngle), view.label))
    assert stated == [(-30.0, "RAO 30"), (30.0, "LAO 30")]


FRONT_MM = 75.0


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards of a soft body with a hard bead in its front, many variations, PA and AP."""
    folder = tmp_path_factory.mktemp("marked")
    phantom = Phantom(
        parts=(
            Ellipsoid(center_mm=(0, 0, 0), semi_axes_mm=(160, 110, 150), mu_per_mm=0.014),
            Ellipsoid(center_mm=(0, -FRONT_MM, 0), semi_axes_mm=(8, 8, 8), mu_per_mm=0.07),
        )
    )
    volume = phantom.volume((90, 64, 84), (4.0, 4.0, 4.0), name="marked")
    for variation in range(12):
        render_shard(volume, variation, folder, size=64, seed=5)
    return folder


def _bead_column(image: np.ndarray) -> float:
    """Of the sharpest bright spot of the middle rows: the image less its surroundings."""
    tensor = torch.from_numpy(image.astype(np.float32))[None, None]
    smooth = torch.nn.functional.avg_pool2d(
        torch.nn.functional.pad(tensor, (5,) * 4, mode="replicate"), 11, stride=1
    )
    return float((tensor - smooth)[0, 0, 16:48].argmax() % tensor.shape[-1])


def test_stored_training_views_move_the_front_to_the_sides_of_lao_and_rao(marked: Path) -> None:
    seen = set()
    for shard in list_shards(marked):
        images = shard.images()
        for index, view in enumerate(shard.views):
            onlooker = view.primary_deg + (180 if view.seen_from is SeenFrom.TUBE else 0)
            turn = math.sin(math.radians(onlooker))
            if abs(turn) < 0.55 or abs(view.secondary_deg) > 30:
                continue  # too near to frontal for jitter and warps, or seen from above
            expected = LEFT if turn > 0 else RIGHT
            assert _side(_bead_column(images[index]), 64) == expected, (shard.variation, view)
            seen.add((view.seen_from, expected))
    assert seen == {(side, where) for side in SeenFrom for where in (LEFT, RIGHT)}


def test_training_pairs_move_the_front_to_the_sides_that_their_pose_says(marked: Path) -> None:
    batches = Batches(
        Recipe(name="x", preset="tiny", cache=str(marked), stages=(), tone_share=0, source_share=0)
    )
    stage = Stage(resolution=64, samples=1, sources=4, targets=4)
    seen = []
    for number in range(12):
        batch = batches.draw(stage, number)
        for target, pose in zip(batch.target, batch.pose, strict=True):
            turn, height = float(pose[0]), float(pose[7])  # sines of azimuth, of elevation
            if abs(turn) < 0.55 or abs(height) > 0.5:
                continue
            expected = LEFT if turn > 0 else RIGHT
            assert _side(_bead_column(target[0].numpy()), 64) == expected
            seen.append(expected)
    assert min(seen.count(LEFT), seen.count(RIGHT)) > 20


def test_the_renderer_agrees_with_the_closed_form() -> None:
    phantom = Phantom(
        parts=(
            Ellipsoid(center_mm=(0, 0, 0), semi_axes_mm=(120, 80, 100), mu_per_mm=0.02),
            Ellipsoid(center_mm=(40, -30, 20), semi_axes_mm=(30, 20, 45), mu_per_mm=-0.015),
            Ellipsoid(center_mm=(-20, 45, -10), semi_axes_mm=(12, 15, 70), mu_per_mm=0.02),
        )
    )
    pitch = (3.0, 3.0, 3.0)
    renderer = Renderer(phantom.attenuation((90, 64, 76), pitch), pitch)
    for primary, secondary in ((0, 0), (35, 0), (-90, 20), (180, 0), (137, -35)):
        view = View(primary_deg=primary, secondary_deg=secondary)
        exact = phantom.line_integrals(view, size=48)
        rendered = renderer.render([view], size=48)[0].numpy()
        error = np.sqrt(((rendered - exact) ** 2).mean() / (exact**2).mean())
        assert error < 0.02, (view.label, error)
        assert abs(rendered.sum() / exact.sum() - 1) < 0.005


def test_the_closed_form_has_the_path_lengths_of_a_ball() -> None:
    ball = Phantom(
        parts=(Ellipsoid(center_mm=(0, 0, 0), semi_axes_mm=(50, 50, 50), mu_per_mm=0.02),)
    )
    image = ball.line_integrals(View(primary_deg=77, secondary_deg=12), size=101, field_mm=202.0)
    assert image[50, 50] == pytest.approx(2.0)  # a diameter
    # 20 pixels of 2 mm off the axis the ray passes the middle at 1650 sin(atan(40 / 1800)).
    off = 1650 * math.sin(math.atan(40 / 1800))
    assert image[50, 70] == pytest.approx(0.04 * math.sqrt(50**2 - off**2))
    assert image[30, 50] == pytest.approx(image[50, 70])
    assert image[0, 0] == 0.0


def test_an_off_centre_isocentre_moves_the_image_the_other_way() -> None:
    mu = _bead((0.0, 0.0, 0.0)).attenuation((50, 50, 50), (3.0, 3.0, 3.0))
    middle = (50 - 1) / 2 * 3.0
    image = Renderer(mu, (3.0, 3.0, 3.0), (middle - 30.0, middle, middle)).render([PA], size=64)[0]
    # The bead is now 30 mm to the patient's left: 30 x 1.0909 / 5.6 = 5.844 px to the right.
    assert _centroid(image.numpy().astype(float))[1] == pytest.approx(31.5 + 5.844, abs=0.1)


def test_an_ap_image_is_hung_as_pa_is() -> None:
    left = _rendered(_bead((60.0, 0.0, 0.0)), AP, 64)
    assert _side(_centroid(left)[1], 64) == RIGHT


def test_the_pose_of_a_turn_is_the_same_about_pa_and_ap() -> None:
    for turn in (-60.0, 45.0):
        for source in (PA, AP):
            pose = relative_pose(source, source.rotated(turn))
            assert math.degrees(pose.azimuth_rad) == pytest.approx(turn)


def test_an_onlooker_at_the_tube_looks_up_where_the_detector_goes_up() -> None:
    # Detector cranial means tube caudal, and the onlooker at the tube with it.
    pose = relative_pose(AP, AP.rotated(0.0, 20.0))
    assert math.degrees(pose.target_elevation_rad) == pytest.approx(-20.0)
    assert (pose.source_from_tube, pose.target_from_tube) == (1.0, 1.0)
    pose = relative_pose(PA, PA.rotated(0.0, 20.0))
    assert math.degrees(pose.target_elevation_rad) == pytest.approx(20.0)
