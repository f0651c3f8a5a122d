"""A CT as a folder of DICOM slices, read by SimpleITK (GDCM).

Where slices lie comes from Image Position and Image Orientation (Patient) alone (PS3.3 C.7.6.2);
numbers of files and instances say nothing. Rescale Slope and Intercept (C.11.1) are applied slice
by slice. No text of a header reaches a message.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from synthesis.data.orientation import along_patient_axes
from synthesis.errors import VolumeError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from SimpleITK import ImageFileReader

__all__ = ["is_slice", "read_series"]

_FEWEST: Final = 16
"""Slices of a volume; a localizer has fewer."""
_POSITION_MM: Final = 0.05
"""By how much a slice may lie off its place: a header's rounding, a table's play."""
_GAP: Final = 0.03
"""The same as a part of the distance between slices."""
_ANGLE: Final = 1e-3
"""By how much direction cosines may differ within a series."""
_TILT_DEG: Final = 31.0
"""The most that a gantry tilts (30 degrees), and something for rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slice:
    """Where one image lies (mm, LPS)."""

    path: str
    position: NDArray[np.float64]
    across: NDArray[np.float64]
    down: NDArray[np.float64]
    size: tuple[int, int]


def is_slice(path: Path) -> bool:
    """Whether a file is DICOM by its preamble (PS3.10 section 7.1)."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def read_series(folder: Path) -> tuple[NDArray[np.float32], tuple[float, float, float]]:
    """The one CT series of a folder.

    Args:
        folder: Its files; others than DICOM, and series of a few images (localizers), are passed
            over.

    Returns:
        Hounsfield units (x, y, z) along left, back, head (LPS), and the pitch in mm. A tilted
        gantry's slices are set upright.

    Raises:
        VolumeError: SimpleITK is not installed; there is no series or more than one; it is no CT;
            slices are missing, doubled, irregular or of unlike shape. The message names the folder.
    """
    name = folder.name
    slices = _in_order([_place(path, name) for path in _files(folder)], name)
    step = _step(slices, name)
    # Columns of pixel indices are the image's rows: GDCM gives (row, column), we keep (i, j, k) =
    # (along a row, down a column, slice).
    hu = np.stack([_pixels(each, name) for each in slices], axis=-1)
    to_patient = np.stack([slices[0].across, slices[0].down, step], axis=1)
    try:
        return along_patient_axes(hu, to_patient, outside=-1000.0)
    except ValueError as error:
        raise VolumeError(f"{name}: {error}") from error


def _files(folder: Path) -> list[str]:
    try:
        from SimpleITK import ImageSeriesReader, ProcessObject
    except ImportError as error:
        raise VolumeError(
            f"{folder.name}: to read DICOM series, install the extra: pip install "
            "'dicom-node[training]'"
        ) from error
    ProcessObject.SetGlobalWarningDisplay(False)  # GDCM prints what it thinks of headers
    series = [
        ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid)
        for uid in ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    ]
    volumes = [list(files) for files in series if len(files) >= _FEWEST]
    if not volumes:
        most = max(map(len, series), default=0)
        raise VolumeError(
            f"{folder.name}: no DICOM series of at least {_FEWEST} slices (the longest has {most})"
        )
    if len(volumes) > 1:
        lengths = ", ".join(str(len(files)) for files in volumes)
        raise VolumeError(
            f"{folder.name}: {len(volumes)} series ({lengths} slices): give each its own folder"
        )
    return volumes[0]


def _place(path: str, name: str) -> _Slice:
    from SimpleITK import ImageFileReader

    reader = ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(path)
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise VolumeError(f"{name}: {Path(path).name} is no readable DICOM image") from error
    if (modality := _text(reader, "0008|0060")) != "CT":
        raise VolumeError(f"{name}: the series is of modality {modality[:2] or 'unknown'}, not CT")
    size = reader.GetSize()
    if len(size) > 2 and size[2] > 1:
        raise VolumeError(f"{name}: {Path(path).name} has many frames: convert it to single slices")
    if reader.GetNumberOfComponents() != 1:
        raise VolumeError(f"{name}: {Path(path).name} is in colour")
    position, cosines = _numbers(reader, "0020|0032"), _numbers(reader, "0020|0037")
    pitch = _numbers(reader, "0028|0030")
    if (len(position), len(cosines), len(pitch)) != (3, 6, 2) or min(pitch) <= 0:
        raise VolumeError(
            f"{name}: {Path(path).name} does not say where it lies (Image Position, Image "
            "Orientation, Pixel Spacing)"
        )
    across, down = np.array(cosines[:3]), np.array(cosines[3:])
    lengths = np.linalg.norm(across), np.linalg.norm(down)
    if np.abs(np.array(lengths) - 1).max() > 0.01 or abs(across @ down) > 0.01:
        raise VolumeError(f"{name}: {Path(path).name} has axes that are not at right angles")
    # Pixel Spacing: between rows, then between columns (PS3.3 section 10.7.1.3).
    return _Slice(
        path=path,
        position=np.array(position),
        across=across / lengths[0] * pitch[1],
        down=down / lengths[1] * pitch[0],
        size=(size[0], size[1]),
    )


def _in_order(slices: list[_Slice], name: str) -> list[_Slice]:
    """Along their normal."""
    first = slices[0]
    for each in slices:
        if each.size != first.size or not (
            np.allclose(each.across, first.across, rtol=0, atol=_ANGLE)
            and np.allclose(each.down, first.down, rtol=0, atol=_ANGLE)
        ):
            raise VolumeError(f"{name}: slices of unlike size, spacing or orientation")
    normal = _normal(first)
    return sorted(slices, key=lambda each: float(each.position @ normal))


def _normal(each: _Slice) -> NDArray[np.float64]:
    normal = np.cross(each.across, each.down)
    return normal / float(np.linalg.norm(normal))


def _step(slices: list[_Slice], name: str) -> NDArray[np.float64]:
    """From slice to slice (3,), mm; with a tilted gantry not along the normal."""
    positions = np.array([each.position for each in slices])
    heights = positions @ _normal(slices[0])
    gaps = np.diff(heights)
    usual = float(np.median(gaps))
    allowed = max(_POSITION_MM, _GAP * usual)
    if gaps.min() < allowed:
        raise VolumeError(
            f"{name}: {int((gaps < allowed).sum())} slices lie where others do (several phases or "
            "reconstructions in one series?)"
        )
    wide = np.flatnonzero(np.abs(gaps - usual) > allowed)
    if wide.size:
        missing = np.round(gaps[wide] / usual) - 1
        rest = np.abs(gaps[wide] - (missing + 1) * usual)
        if (rest <= allowed * (missing + 1)).all() and (missing > 0).all():
            where = ", ".join(f"{heights[i]:.1f} and {heights[i + 1]:.1f} mm" for i in wide[:5])
            raise VolumeError(
                f"{name}: {int(missing.sum())} slices are missing, between {where}"
                + (" and elsewhere" if wide.size > 5 else "")
            )
        raise VolumeError(
            f"{name}: distances between slices run from {gaps.min():.2f} to {gaps.max():.2f} mm"
        )
    step: NDArray[np.float64] = (positions[-1] - positions[0]) / (len(slices) - 1)
    straight = positions[0] + np.arange(len(slices))[:, None] * step
    if np.abs(positions - straight).max() > max(4 * allowed, 0.5):
        raise VolumeError(f"{name}: the slices do not lie on a straight line")
    tilt = float(np.degrees(np.arccos(np.clip(usual / np.linalg.norm(step), -1, 1))))
    if tilt > _TILT_DEG:
        raise VolumeError(f"{name}: slices shifted by {tilt:.0f} degrees are no tilted gantry's")
    return step


def _pixels(each: _Slice, name: str) -> NDArray[np.float32]:
    """Hounsfield units (along a row, down a column)."""
    from SimpleITK import GetArrayFromImage, ReadImage

    try:
        image = ReadImage(each.path, imageIO="GDCMImageIO")
    except RuntimeError as error:
        raise VolumeError(f"{name}: the pixels of {Path(each.path).name} are damaged") from error
    pixels = GetArrayFromImage(image)
    return np.asarray(pixels.reshape(pixels.shape[-2:]).T, np.float32)


def _text(reader: ImageFileReader, tag: str) -> str:
    return reader.GetMetaData(tag).strip() if reader.HasMetaDataKey(tag) else ""


def _numbers(reader: ImageFileReader, tag: str) -> list[float]:
    try:
        return [float(part) for part in _text(reader, tag).split("\\")]
    except ValueError:
        return []
