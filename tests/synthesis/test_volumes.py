"""CT volumes: reading, orientation, table, attenuation, coarsening."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest

from synthesis.data.phantom import chest
from synthesis.data.volumes import (
    MU_BONE_PER_MM,
    MU_WATER_PER_MM,
    Volume,
    attenuation,
    body_center_mm,
    body_mask,
    coarsened,
    load_volume,
    prepared,
)
from synthesis.errors import VolumeError

SHAPE, PITCH = (160, 120, 80), (2.5, 2.5, 5.0)


@pytest.fixture(scope="module")
def body() -> Volume:
    return chest().volume(SHAPE, PITCH, name="body")


def store(path: Path, hu_ras: np.ndarray, affine: np.ndarray) -> Path:
    nibabel.save(nibabel.Nifti1Image(hu_ras.astype(np.int16), affine), path)
    return path


def test_one_body_stored_in_ras_and_in_lps_order_is_one_volume(
    tmp_path: Path, body: Volume
) -> None:
    ras = store(tmp_path / "ras.nii.gz", body.hu[::-1, ::-1], np.diag([*PITCH, 1.0]))
    lps = store(tmp_path / "lps.nii", body.hu, np.diag([-PITCH[0], -PITCH[1], PITCH[2], 1.0]))
    # Slices first, from head to foot: axes (z down, x to the left, y to the back).
    affine = np.zeros((4, 4))
    affine[2, 0], affine[0, 1], affine[1, 2], affine[3, 3] = -PITCH[2], -PITCH[0], -PITCH[1], 1
    turned = store(tmp_path / "zxy.nii", body.hu[:, :, ::-1].transpose(2, 0, 1), affine)
    loaded = [load_volume(path) for path in (ras, lps, turned)]
    for volume in loaded:
        assert volume.spacing_mm == PITCH
        np.testing.assert_array_equal(volume.hu, loaded[0].hu)
    # The heart lies to the patient's left (+x) and front (-y), the spine at the back (+y).
    hu = loaded[0].hu
    left, right = (hu[x, :50, 30:40] for x in (96, 63))
    assert left.mean() > right.mean() + 100
    assert hu[80, 86, 40] > 500 > hu[80, 32, 40]
    assert [volume.name for volume in loaded] == ["ras", "lps", "zxy"]


def test_the_table_is_taken_away_and_the_body_left(tmp_path: Path, body: Volume) -> None:
    hu = np.array(body.hu)
    hu[20:140, 106:110, :] = 200.0  # a board behind the back, touching nothing
    hu[10:150, 113:114, :] = -200.0  # and a sheet
    with_table = prepared(Volume(hu=hu, spacing_mm=PITCH, name="x")).hu
    alone = prepared(Volume(hu=np.array(body.hu), spacing_mm=PITCH, name="x")).hu
    assert (with_table[:, 106:] == -1000.0).all()
    np.testing.assert_array_equal(with_table, alone)


def test_a_table_that_touches_the_back_is_taken_away_too(body: Volume) -> None:
    hu = np.array(body.hu)
    hu[10:150, 103:107, :] = 100.0
    cleaned = prepared(Volume(hu=hu, spacing_mm=PITCH, name="x")).hu
    far_from_body = cleaned[10:50, 103:107]
    assert (far_from_body == -1000.0).all()
    assert (cleaned[60:100, 40:90, 20:60] > -1000.0).mean() > 0.99


def test_lungs_belong_to_the_body(body: Volume) -> None:
    mask = body_mask(body)
    lungs = (body.hu < -600) & (body.hu > -990)
    inside = np.zeros_like(lungs)
    inside[40:120, 30:90, 10:70] = True
    assert mask[lungs & inside].mean() > 0.97
    assert not mask[0].any()


def test_padding_below_air_and_metal_are_clipped(body: Volume) -> None:
    hu = np.array(body.hu)
    hu[:5] = -2048.0
    hu[80, 86, 40] = 30000.0
    hu[0, 0, 0] = np.nan
    cleaned = prepared(Volume(hu=hu, spacing_mm=PITCH, name="x")).hu
    assert (cleaned.min(), cleaned.max()) == (-1000.0, 3071.0)


def test_what_is_no_body_in_air_is_refused(tmp_path: Path, body: Volume) -> None:
    wrong = {
        "magnetic": np.clip(body.hu + 1000, 0, None),  # all values positive
        "air": np.full(SHAPE, -1000.0),
        "soft": np.minimum(body.hu, 50.0),
        "speck": np.where(np.indices(SHAPE).sum(0) == 0, 500.0, -1000.0),
    }
    for name, hu in wrong.items():
        path = store(tmp_path / f"{name}.nii", hu, np.diag([*PITCH, 1.0]))
        with pytest.raises(VolumeError, match=name):
            load_volume(path)


def test_what_is_no_volume_is_refused(tmp_path: Path) -> None:
    affine = np.eye(4)
    paths = [tmp_path / "gone.nii", tmp_path / "text.nii", tmp_path / "cut.nii.gz"]
    paths[1].write_text("not a volume")
    whole = store(tmp_path / "whole.nii.gz", np.random.rand(40, 40, 40) * 900, affine)
    paths[2].write_bytes(whole.read_bytes()[:5000])
    bent = bytearray(
        gzip.compress(store(tmp_path / "x.nii", np.zeros((40, 40, 40)), affine).read_bytes())
    )
    bent[10] = 0xFF  # no kind of block that deflate knows
    paths.append(tmp_path / "bent.nii.gz")
    paths[-1].write_bytes(bent)
    paths.append(store(tmp_path / "flat.nii", np.zeros((40, 40)), affine))
    paths.append(store(tmp_path / "thin.nii", np.zeros((40, 40, 3)), affine))
    paths.append(store(tmp_path / "four.nii", np.zeros((20, 20, 20, 2)), affine))
    for path in paths:
        with pytest.raises(VolumeError, match=path.name.split(".")[0]):
            load_volume(path)


def test_attenuation_passes_through_air_water_and_bone() -> None:
    hu = np.array([-1000.0, -1500.0, -500.0, 0.0, 1000.0, 2000.0], np.float32)
    water, bone = MU_WATER_PER_MM, MU_BONE_PER_MM
    expected = [0.0, 0.0, water / 2, water, bone, 2 * bone - water]
    np.testing.assert_allclose(attenuation(hu), expected, rtol=1e-6)


def test_denser_bone_leaves_soft_tissue_alone() -> None:
    hu = np.array([-700.0, 0.0, 150.0, 1150.0], np.float32)
    change = attenuation(hu, bone=1.5) - attenuation(hu)
    np.testing.assert_allclose(change, [0, 0, 0, 0.5 * (0.0430 - 0.0192)], atol=1e-7)


def test_the_phantoms_hounsfield_units_are_its_attenuation() -> None:
    mu = chest().attenuation(SHAPE, PITCH)
    np.testing.assert_allclose(attenuation(chest().volume(SHAPE, PITCH).hu), mu, atol=1e-6)


def test_the_middle_of_a_body_is_that_of_its_skin_and_of_the_scan(body: Volume) -> None:
    shifted = Volume(hu=np.roll(body.hu, (8, -6, 0), (0, 1, 2)), spacing_mm=PITCH, name="x")
    # The box's middle is 79.5 x 2.5, 59.5 x 2.5, 39.5 x 5; shifted by 20 and -15 mm.
    np.testing.assert_allclose(body_center_mm(body), (198.75, 148.75, 197.5), atol=1.3)
    np.testing.assert_allclose(body_center_mm(shifted), (218.75, 133.75, 197.5), atol=1.3)


def test_a_coarse_volume_holds_the_means_of_blocks() -> None:
    hu = np.arange(7 * 6 * 5, dtype=np.float32).reshape(7, 6, 5)
    coarse = coarsened(Volume(hu=hu, spacing_mm=(1.0, 1.5, 4.0), name="x"), 3.3)
    assert (coarse.hu.shape, coarse.spacing_mm) == ((2, 3, 5), (3.0, 3.0, 4.0))
    assert coarse.hu[1, 2, 3] == pytest.approx(hu[3:6, 4:6, 3].mean())
    fine = Volume(hu=hu, spacing_mm=(2.0, 2.0, 2.0), name="x")
    assert coarsened(fine, 3.9) is fine
