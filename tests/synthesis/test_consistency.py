"""Consistency scores on bodies whose radiographs have a closed form, and on rendered ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from synthesis.cli import main
from synthesis.consistency import epipolar_consistency, row_sum_consistency
from synthesis.consistency.calibration import Calibration, turn_deg
from synthesis.consistency.pencil import lines, pencil
from synthesis.data.phantom import Ellipsoid, Phantom, chest
from synthesis.data.rendering import SCALE, Renderer
from synthesis.evaluation.consistency import auc, calibrate
from synthesis.geometry import project, tube_position_mm
from synthesis.types import FIELD_MM, Radiograph, View

PA = View(primary_deg=0.0)
SIZE = 96
OTHERS = [
    View(primary_deg=primary, secondary_deg=secondary)
    for primary, secondary in [(15, 0), (-45, 0), (90, 0), (0, 30), (60, 15), (150, 0), (180, 20)]
]


def patient(seed: int) -> Phantom:
    """A chest with a ribcage's worth of ellipsoids that no other patient has."""
    rng = np.random.default_rng(seed)
    body = chest(size=float(rng.uniform(0.85, 1.05)), heart=float(rng.uniform(0.8, 1.2)))
    lumps = tuple(
        Ellipsoid(
            center_mm=tuple(rng.uniform([-90, -50, -130], [90, 50, 130])),
            semi_axes_mm=tuple(rng.uniform(5, 22, 3)),
            mu_per_mm=float(rng.uniform(0.01, 0.03)),
        )
        for _ in range(30)
    )
    return Phantom(parts=(*body.parts, *lumps))


def radiograph(
    body: Phantom, view: View, *, claimed: View | None = None, field_mm: float = 480.0
) -> Radiograph:
    pixels = body.line_integrals(view, size=SIZE, field_mm=field_mm)
    return seen(pixels, claimed or view, field_mm)


def seen(pixels: np.ndarray, view: View, field_mm: float = 480.0) -> Radiograph:
    pitch = field_mm / len(pixels)
    return Radiograph(pixels=pixels, spacing_mm=(pitch, pitch), view=view, intensity=SCALE)


@pytest.mark.parametrize("view", OTHERS, ids=lambda view: view.label)
def test_two_views_of_one_body_agree(view: View) -> None:
    score = epipolar_consistency(radiograph(patient(1), PA), radiograph(patient(1), view))
    assert score is not None
    assert score > 0.97


@pytest.mark.parametrize("view", OTHERS, ids=lambda view: view.label)
def test_views_of_two_bodies_do_not(view: View) -> None:
    score = epipolar_consistency(radiograph(patient(1), PA), radiograph(patient(2), view))
    assert score is not None
    assert score < 0.8  # 0.6 but where the tubes stand nearly opposite each other


@pytest.mark.parametrize("view", OTHERS, ids=lambda view: view.label)
def test_the_pencils_lines_hold_the_images_of_the_points_on_its_planes(view: View) -> None:
    normals = pencil(PA, view, reach_mm=100.0, step_mm=10.0)
    assert normals is not None
    rng = np.random.default_rng(0)
    for one in (PA, view):
        cut = lines(normals, one)
        tube = tube_position_mm(one)
        for normal, across, offset in zip(normals, cut.normals, cut.offsets_mm, strict=True):
            # A point near the isocentre, moved onto the plane along its normal.
            point = rng.uniform(-80, 80, 3)
            point -= (point - tube) @ normal * normal
            row, column = project(point[None], one, field_mm=100.0, size=101)[0]
            place = np.array([column - 50, row - 50]) * 100.0 / 101
            assert across @ place == pytest.approx(offset, abs=1e-6)


def test_both_tubes_lie_on_every_plane_of_the_pencil() -> None:
    for view in OTHERS:
        normals = pencil(PA, view, reach_mm=100.0, step_mm=10.0)
        assert normals is not None
        between = tube_position_mm(view) - tube_position_mm(PA)
        np.testing.assert_allclose(normals @ between, 0.0, atol=1e-9)
        np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0)


def test_the_planes_pass_the_isocentre_at_equal_steps() -> None:
    normals = pencil(PA, OTHERS[1], reach_mm=100.0, step_mm=10.0)
    assert normals is not None
    distances = normals @ tube_position_mm(PA)
    np.testing.assert_allclose(np.abs(np.diff(distances)), 10.0, atol=1e-9)


@pytest.mark.parametrize(("gain", "offset"), [(0.01, 0.0), (300.0, -4000.0), (1.0, 25.0)])
def test_a_gain_and_an_offset_do_not_change_the_score(gain: float, offset: float) -> None:
    first = radiograph(patient(1), PA)
    second = radiograph(patient(1), OTHERS[1])
    other = seen(second.pixels * gain + offset, second.view)
    before = epipolar_consistency(first, second)
    assert epipolar_consistency(first, other) == pytest.approx(before, abs=1e-3)
    assert row_sum_consistency(first, other) == pytest.approx(
        row_sum_consistency(first, second), abs=1e-3
    )


def test_the_score_is_symmetric() -> None:
    first, second = radiograph(patient(1), PA), radiograph(patient(1), OTHERS[4])
    assert epipolar_consistency(first, second) == pytest.approx(
        epipolar_consistency(second, first), abs=1e-4
    )


@pytest.mark.parametrize("claimed", [30, 60, 90])
def test_a_view_from_another_angle_than_claimed_agrees_less(claimed: int) -> None:
    first = radiograph(patient(1), PA)
    scores = {
        true: epipolar_consistency(
            first,
            radiograph(patient(1), View(primary_deg=true), claimed=View(primary_deg=claimed)),
        )
        for true in (30, 60, 90)
    }
    right = scores.pop(claimed)
    assert right is not None
    assert all(wrong is not None and wrong < right - 0.005 for wrong in scores.values())


def test_a_blurred_view_agrees_less() -> None:
    first, second = radiograph(patient(1), PA), radiograph(patient(1), OTHERS[1])
    levels = [
        epipolar_consistency(first, seen(ndimage.gaussian_filter(second.pixels, s), second.view))
        for s in (0.0, 1.5, 3.0, 6.0)
    ]
    assert levels == sorted(levels, reverse=True)  # type: ignore[type-var]
    assert levels[0] - levels[2] > 0.1  # type: ignore[operator]


def test_a_mirrored_or_turned_view_does_not_agree() -> None:
    first, second = radiograph(patient(1), PA), radiograph(patient(1), OTHERS[1])
    down = epipolar_consistency(first, seen(second.pixels[::-1].copy(), second.view))
    assert down is not None
    assert down < 0.5


def test_a_field_that_cuts_the_body_hardly_costs() -> None:
    for view in (OTHERS[0], OTHERS[1], OTHERS[2]):
        scores = [
            epipolar_consistency(
                radiograph(patient(p), PA, field_mm=260.0),
                radiograph(patient(1), view, field_mm=260.0),
            )
            for p in (1, 2)
        ]
        assert scores[0] > 0.9  # type: ignore[operator]
        assert scores[1] < 0.6  # type: ignore[operator]


def test_pixels_need_not_be_square_nor_alike() -> None:
    first = radiograph(patient(1), PA)
    fine = patient(1).line_integrals(OTHERS[1], size=2 * SIZE, field_mm=480.0)
    halved = fine.reshape(2 * SIZE, SIZE, 2).mean(axis=2)
    other = Radiograph(
        pixels=halved[40:-40],  # landscape, twice as fine down as across
        spacing_mm=(240 / SIZE, 480 / SIZE),
        view=OTHERS[1],
        intensity=SCALE,
    )
    score = epipolar_consistency(first, other)
    assert score is not None
    assert score > 0.95


def test_views_from_one_place_share_no_pencil() -> None:
    first = radiograph(patient(1), PA)
    assert epipolar_consistency(first, first) is None


def test_images_that_hardly_overlap_are_not_scored() -> None:
    first = radiograph(patient(1), PA, field_mm=30.0)
    second = radiograph(patient(1), OTHERS[1], field_mm=30.0)
    assert epipolar_consistency(first, second) is None


def test_a_constant_image_agrees_with_nothing() -> None:
    first = radiograph(patient(1), PA)
    assert epipolar_consistency(first, seen(np.full((SIZE, SIZE), 3.0), OTHERS[1])) == 0.0


def test_row_sums_agree_on_a_turn_about_the_long_axis_and_say_nothing_of_a_tilt() -> None:
    first = radiograph(patient(1), PA)
    for angle in (15, 45, 90, 180):
        view = View(primary_deg=angle)
        true = row_sum_consistency(first, radiograph(patient(1), view))
        wrong = row_sum_consistency(first, radiograph(patient(2), view))
        assert true is not None
        assert wrong is not None
        assert true > 0.98
        assert wrong < true - 0.05
    assert row_sum_consistency(first, radiograph(patient(1), OTHERS[3])) is None


def test_rendered_views_of_voxels_agree_as_exact_ones_do() -> None:
    mu = patient(1).attenuation((96, 72, 110), (3.0, 3.0, 3.0))
    images = Renderer(mu, (3.0, 3.0, 3.0)).render([PA, OTHERS[1], OTHERS[4]], size=SIZE).numpy()
    for image, view in zip(images[1:], (OTHERS[1], OTHERS[4]), strict=True):
        score = epipolar_consistency(seen(images[0], PA, FIELD_MM), seen(image, view, FIELD_MM))
        assert score is not None
        assert score > 0.95


def test_auc_counts_the_pairings_that_come_out_right() -> None:
    assert auc([3.0, 4.0], [1.0, 2.0]) == 1.0
    assert auc([1.0], [1.0]) == 0.5
    assert auc([1.0, 3.0], [2.0]) == 0.5
    assert auc([], [1.0]) is None


def test_a_calibrated_score_is_the_part_of_known_pairs_below_it() -> None:
    angles = (15, 30, 45, 60, 75, 90)
    known = {
        "epipolar": {
            angle: {
                "true": list(np.linspace(0.8, 1.0, 101)),
                "wrong_patient": list(np.linspace(angle / 100 - 1, angle / 100, 101)),
            }
            for angle in angles
        }
    }
    table = Calibration.from_json(calibrate([known], {"size": 1}).to_json())
    assert table.true_below(0.9, 50.0) == pytest.approx(50.0, abs=0.1)
    assert table.wrong_below(0.1, 60.0) == pytest.approx(50.0, abs=0.1)
    assert table.wrong_below(0.1, 67.5) == pytest.approx(42.5, abs=0.1)
    assert table.wrong_below(0.99, 30.0) == 100.0
    assert table.true_below(0.1, 30.0) == 0.0


def test_the_turn_between_views_is_that_of_their_lines_of_sight() -> None:
    assert turn_deg(PA, View(primary_deg=30)) == pytest.approx(30)
    assert turn_deg(PA, View(primary_deg=-150)) == pytest.approx(30)
    assert turn_deg(PA, View(primary_deg=0, secondary_deg=40)) == pytest.approx(40)
    assert turn_deg(PA, View(primary_deg=180)) == pytest.approx(0)


def test_the_command_measures_aucs_and_a_calibration(tmp_path: Path) -> None:
    import nibabel

    for name, seed in (("anna", 1), ("bert", 2)):
        volume = patient(seed).volume((54, 42, 64), (6.0, 6.0, 6.0), name=name)
        image = nibabel.Nifti1Image(volume.hu, np.diag([-6.0, -6.0, 6.0, 1.0]))  # type: ignore[no-untyped-call]
        nibabel.save(image, tmp_path / f"{name}.nii.gz")
    table, out = tmp_path / "table.json", tmp_path / "out.json"
    volumes = [v for n in ("anna", "bert") for v in ("--volume", str(tmp_path / f"{n}.nii.gz"))]
    options = ["--size", "64", "--json", str(out), "--calibration", str(table)]
    assert main(["evaluate-consistency", *volumes, *options]) == 0
    figures = json.loads(out.read_text())
    assert figures["about"]["volumes"] == ["anna", "bert"]
    at_60 = figures["continued"]["epipolar"]["60"]
    assert at_60["auc"]["wrong_patient"] == 1.0
    assert at_60["pairs"] == {"true": 4, "blurred": 4, "wrong_patient": 4, "wrong_angle": 16}
    assert at_60["true"] > 0.9
    calibration = Calibration.from_json(json.loads(table.read_text()))
    assert calibration.wrong_below(at_60["true"], 60.0) == 100.0
