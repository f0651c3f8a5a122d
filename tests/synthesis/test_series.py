"""CT as DICOM slices, written here by pydicom from a body whose NIfTI is the yardstick."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from scipy import ndimage

from synthesis.cli import main
from synthesis.data.cache import list_shards
from synthesis.data.phantom import chest
from synthesis.data.rendering import Renderer
from synthesis.data.rendering_job import find_volumes
from synthesis.data.volumes import Volume, attenuation, body_center_mm, load_volume
from synthesis.errors import VolumeError
from synthesis.types import View

SHAPE, PITCH = (150, 104, 72), (2.5, 2.5, 5.0)
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORNER = np.array([-186.0, -130.0, -500.0])

Change = Callable[[int, Dataset], None]


@pytest.fixture(scope="module")
def body() -> Volume:
    hu = chest().volume(SHAPE, PITCH, name="body").hu
    return Volume(hu=np.round(hu), spacing_mm=PITCH, name="body")


@pytest.fixture(scope="module")
def nifti(tmp_path_factory: pytest.TempPathFactory, body: Volume) -> Volume:
    path = tmp_path_factory.mktemp("nifti") / "body.nii.gz"
    ras = body.hu[::-1, ::-1].astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(ras, np.diag([*PITCH, 1.0])), path)
    return load_volume(path)


def write_series(
    folder: Path,
    images: np.ndarray,
    places: np.ndarray,
    cosines: tuple[float, ...],
    spacing: tuple[float, float],
    change: Change = lambda number, ds: None,
) -> Path:
    """Images (n, rows, columns) in HU; places (n, 3); files named against the order of space."""
    folder.mkdir(parents=True, exist_ok=True)
    series, study = generate_uid(), generate_uid()
    for number, (image, place) in enumerate(zip(images, places, strict=True)):
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        ds.SeriesInstanceUID, ds.StudyInstanceUID = series, study
        ds.Modality, ds.PatientName, ds.PatientID = "CT", "Nobody^Secret", "S3CRET"
        ds.InstanceNumber = (number * 7) % len(images)
        ds.ImagePositionPatient = [f"{v:.6g}" for v in place]
        ds.ImageOrientationPatient = [f"{v:.8g}" for v in cosines]
        ds.PixelSpacing = list(spacing)
        ds.Rows, ds.Columns = image.shape
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
        # Every slice its own rescale, as positron scanners' CTs have it.
        slope, intercept = (0.5, -1024.0) if number % 2 else (1.0, -2000.0)
        ds.RescaleSlope, ds.RescaleIntercept = slope, intercept
        ds.PixelData = np.round((image - intercept) / slope).astype("<u2").tobytes()
        change(number, ds)
        ds.save_as(folder / f"{(number * 37) % 997:04d}", enforce_file_format=True)
    return folder


def axial(folder: Path, hu: np.ndarray, change: Change = lambda number, ds: None) -> Path:
    places = CORNER + np.arange(hu.shape[2])[:, None] * np.array([0, 0, PITCH[2]])
    return write_series(folder, hu.transpose(2, 1, 0), places, AXIAL, PITCH[1::-1], change)


def views_of(volume: Volume) -> np.ndarray:
    views = [View(primary_deg=p, secondary_deg=s) for p, s in ((0, 0), (60, 0), (-90, 20))]
    renderer = Renderer(attenuation(volume.hu), volume.spacing_mm, body_center_mm(volume))
    return renderer.render(views, size=64).numpy()


def test_slices_give_the_views_of_the_nifti(tmp_path: Path, body: Volume, nifti: Volume) -> None:
    folder = axial(tmp_path / "scan", body.hu)
    (folder / "LICENSE").write_text("not a slice")
    volume = load_volume(folder)
    assert (volume.name, volume.spacing_mm) == ("scan", PITCH)
    np.testing.assert_array_equal(volume.hu, nifti.hu)
    np.testing.assert_array_equal(views_of(volume), views_of(nifti))


def test_the_order_and_direction_of_slices_and_rows_do_not_matter(
    tmp_path: Path, body: Volume, nifti: Volume
) -> None:
    # Coronal slices from back to front, rows from head to foot, columns from left to right.
    hu = body.hu[::-1, ::-1, ::-1].transpose(1, 2, 0)  # (y, z, x), all backwards
    far = CORNER + np.array([149 * 2.5, 103 * 2.5, 71 * 5.0])
    places = far - np.arange(104)[:, None] * np.array([0, 2.5, 0])
    folder = write_series(tmp_path / "cor", hu, places, (-1, 0, 0, 0, 0, -1), (5.0, 2.5))
    volume = load_volume(folder)
    assert volume.spacing_mm == PITCH
    np.testing.assert_array_equal(volume.hu, nifti.hu)


@pytest.mark.parametrize("tilt_deg", [18.0, -12.0])
def test_a_tilted_gantry_is_set_upright(
    tmp_path: Path, body: Volume, nifti: Volume, tilt_deg: float
) -> None:
    # The gantry turned about x: slices lean, the table still moves along z. Their pixels come from
    # the upright body by interpolation, so the views may differ by that and no more.
    cos, sin = np.cos(np.radians(tilt_deg)), np.sin(np.radians(tilt_deg))
    rows, columns = 130, SHAPE[0]
    first = np.array([0.0, -30.0, -120.0 if sin > 0 else -40.0])  # mm from the body's first voxel
    places, images = [], []
    for number in range(105):
        place = first + np.array([0.0, 0.0, number * 5.0])
        y = place[1] + np.arange(rows) * 2.5 * cos
        z = place[2] + np.arange(rows) * 2.5 * sin
        x = np.arange(columns)[None].repeat(rows, 0)
        at = [x, (y / 2.5)[:, None].repeat(columns, 1), (z / 5.0)[:, None].repeat(columns, 1)]
        images.append(ndimage.map_coordinates(body.hu, at, order=1, cval=-1000.0))
        places.append(CORNER + place)
    folder = write_series(
        tmp_path / "tilt", np.stack(images), np.stack(places), (1, 0, 0, 0, cos, sin), (2.5, 2.5)
    )
    volume = load_volume(folder)
    # Both from the body's middle: the box set upright begins where its lowest slice's edge does.
    low = first + np.array([0.0, 0.0, min(0.0, 2.5 * (rows - 1) * sin)])
    middle = (np.array(SHAPE) - 1) / 2 * PITCH
    views = [View(primary_deg=p, secondary_deg=s) for p, s in ((0, 0), (60, 0), (-90, 20))]
    tilted, upright = (
        Renderer(attenuation(each.hu), each.spacing_mm, tuple(middle - corner)).render(
            views, size=64
        )
        for each, corner in ((volume, low), (nifti, np.zeros(3)))
    )
    error = (tilted - upright).pow(2).mean(dim=(1, 2)).sqrt()
    assert float(error.max()) < 0.06  # of 4 to 6 behind the spine
    spine = volume.hu[70:80, :, :].max(axis=0) > 700
    columns_of_spine = [np.flatnonzero(spine[:, k]).mean() for k in np.flatnonzero(spine.any(0))]
    assert np.ptp(columns_of_spine[6:-6]) < 1.5  # untreated, it would lean by many voxels


def test_an_oblique_nifti_is_turned_to_the_patient(tmp_path: Path, body: Volume) -> None:
    angle = np.radians(25.0)
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag(PITCH)
    path = tmp_path / "oblique.nii"
    nibabel.save(nibabel.Nifti1Image(body.hu[::-1, ::-1].astype(np.int16), affine), path)
    volume = load_volume(path)
    # In RAS the grid is turned by +25 degrees from right to front: the spine, 65 mm behind the
    # middle (0, -65), goes to 65 (sin 25, -cos 25) = 27.5 to the right, 58.9 behind.
    spine = np.argwhere(volume.hu[:, :, 30:40] > 600).mean(axis=0)
    dense = volume.hu[:, :, 36] > -900
    middle = np.array([np.flatnonzero(dense.any(1 - a)).mean() for a in (0, 1)])
    offset = (spine[:2] - middle) * PITCH[:2]
    np.testing.assert_allclose(offset, (-27.5, 58.9), atol=4.0)


def _drop(wanted: set[int]) -> Callable[[Path], None]:
    def drop(folder: Path) -> None:
        for number in wanted:
            (folder / f"{(number * 37) % 997:04d}").unlink()

    return drop


def _copy_first(folder: Path) -> None:
    shutil.copy(folder / "0000", folder / "again")


def _cut(folder: Path) -> None:
    data = (folder / "0037").read_bytes()
    (folder / "0037").write_bytes(data[: len(data) // 2])


def _spread(number: int, ds: Dataset) -> None:
    ds.ImagePositionPatient[2] = -500.0 + 5.0 * number + 1.3 * (number % 3)


def _other_modality(number: int, ds: Dataset) -> None:
    ds.Modality = "MR"


def _one_turned(number: int, ds: Dataset) -> None:
    if number == 8:
        ds.PixelSpacing = [2.0, 2.0]


def _placeless(number: int, ds: Dataset) -> None:
    if number == 9:
        del ds.ImagePositionPatient


def _sheared(number: int, ds: Dataset) -> None:
    ds.ImagePositionPatient[1] = -130.0 + 5.0 * number


def _two_series(folder: Path) -> None:
    axial(folder, np.full((20, 20, 20), -1000.0))  # over other files, with a UID of its own


WRONG: list[tuple[str, Change | None, Callable[[Path], None] | None]] = [
    ("3 .* missing, between -450.0 and -440.0 mm, -395.0 and -380.0", None, _drop({11, 22, 23})),
    ("1 slices lie where others do", None, _copy_first),
    ("1 slices are missing, between -500.0 and -490.0", None, _cut),
    ("distances between slices run from", _spread, None),
    ("modality MR, not CT", _other_modality, None),
    ("unlike size, spacing or orientation", _one_turned, None),
    ("does not say where it lies", _placeless, None),
    ("no tilted gantry", _sheared, None),
    ("at least 16 slices", None, _drop(set(range(60)))),
]  # fmt: skip


@pytest.mark.parametrize(("said", "change", "spoil"), WRONG, ids=[w[0][:20] for w in WRONG])
def test_a_series_that_is_no_whole_ct_is_refused_in_words(
    tmp_path: Path,
    body: Volume,
    said: str,
    change: Change | None,
    spoil: Callable[[Path], None] | None,
) -> None:
    folder = axial(tmp_path / "scan", body.hu, change or (lambda number, ds: None))
    if spoil is not None:
        spoil(folder)
    with pytest.raises(VolumeError, match=said) as caught:
        load_volume(folder)
    assert "scan" in str(caught.value)
    assert "S3CRET" not in str(caught.value)
    assert "Nobody" not in str(caught.value)


def test_two_series_in_a_folder_are_refused_and_a_localizer_beside_one_is_not(
    tmp_path: Path, body: Volume, nifti: Volume
) -> None:
    folder = axial(tmp_path / "scan", body.hu)
    scout = write_series(
        tmp_path / "scout", np.full((2, 30, 30), 0.0), CORNER + np.eye(3)[:2], AXIAL, (1.0, 1.0)
    )
    for file in scout.iterdir():
        file.rename(folder / f"scout-{file.name}")
    np.testing.assert_array_equal(load_volume(folder).hu, nifti.hu)
    other = axial(tmp_path / "other", np.full((20, 20, 20), -1000.0))
    for file in other.iterdir():
        file.rename(folder / f"other-{file.name}")
    with pytest.raises(VolumeError, match="2 series"):
        load_volume(folder)


def test_render_takes_folders_of_series(
    tmp_path: Path, body: Volume, capsys: pytest.CaptureFixture[str]
) -> None:
    axial(tmp_path / "ct" / "p1" / "whole", body.hu)
    _drop({30})(axial(tmp_path / "ct" / "p2" / "holes", body.hu))
    found = find_volumes([tmp_path / "ct"])
    assert [path.name for path in found] == ["whole", "holes"]
    out = tmp_path / "cache"
    words = ["render", "--volume", str(tmp_path / "ct"), "--out", str(out), "--size", "16"]
    assert main(words) == 3
    assert [shard.patient for shard in list_shards(out)] == ["whole"]
    assert "skipped holes: holes: 1 slices are missing" in capsys.readouterr().err
