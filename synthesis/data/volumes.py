"""CT volumes: reading, the body without its table, Hounsfield units to attenuation."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

from synthesis.data.orientation import along_patient_axes
from synthesis.data.series import read_series
from synthesis.errors import VolumeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "AIR_HU",
    "MU_BONE_PER_MM",
    "MU_WATER_PER_MM",
    "Volume",
    "attenuation",
    "body_center_mm",
    "body_mask",
    "coarsened",
    "load_volume",
]

AIR_HU: Final = -1000.0
MU_WATER_PER_MM: Final = 0.0192
"""Linear attenuation of water at about 70 keV (NIST XCOM), the mean energy of a chest tube."""
MU_BONE_PER_MM: Final = 0.0430
"""Of matter of 1000 HU at that energy: a little over the 0.0384 that HU alone would give, as bone's
calcium attenuates the softer part of a radiograph's beam more than a CT's."""

_BODY_HU: Final = -350.0
_MASK_MM: Final = 3.0
_CHUNK: Final = 1 << 16
"""Voxels worked on at a time: they stay in the processor's cache from step to step."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Volume:
    """A CT in patient axes.

    Attributes:
        hu: float32 (x, y, z), Hounsfield units; indices grow towards left, back, head (LPS).
        spacing_mm: Voxel pitch along x, y, z.
        name: For messages; a file's stem.
    """

    hu: NDArray[np.float32]
    spacing_mm: tuple[float, float, float]
    name: str


def load_volume(path: Path) -> Volume:
    """Read a CT, turn it to LPS, take the table away.

    Args:
        path: A NIfTI file, or a folder of one DICOM series.

    Raises:
        VolumeError: It is no 3-D CT, holds no Hounsfield units, or no body.
    """
    path = Path(path)
    if path.is_dir():
        name = path.resolve().name
        hu, spacing_mm = read_series(path)
    else:
        name = path.name.removesuffix(".gz").removesuffix(".nii")
        hu, spacing_mm = _read_nifti(path, name)
    return prepared(Volume(hu=hu, spacing_mm=spacing_mm, name=name))


def _read_nifti(path: Path, name: str) -> tuple[NDArray[np.float32], tuple[float, float, float]]:
    import nibabel

    try:
        image = nibabel.load(path)
        data = np.asarray(image.dataobj, dtype=np.float32)  # type: ignore[attr-defined]
        # NIfTI's axes run towards right, front, head.
        to_patient = np.diag([-1.0, -1.0, 1.0]) @ image.affine[:3, :3]  # type: ignore[attr-defined]
        if data.ndim != 3 or min(data.shape) < 16:
            raise VolumeError(f"{name}: expected a 3-D volume of at least 16 voxels a side")
        return along_patient_axes(data, to_patient, outside=AIR_HU)
    except (
        OSError,
        EOFError,
        ValueError,
        zlib.error,
        nibabel.filebasedimages.ImageFileError,
        nibabel.spatialimages.HeaderDataError,
    ) as error:
        raise VolumeError(
            f"{name}: not a readable NIfTI volume ({type(error).__name__})"
        ) from error


def prepared(volume: Volume) -> Volume:
    """The body alone in air: padding clipped, table removed.

    Raises:
        VolumeError: The values are not Hounsfield units of a body.
    """
    hu = np.nan_to_num(volume.hu, nan=AIR_HU, posinf=3071.0, neginf=AIR_HU)
    np.clip(hu, AIR_HU, 3071.0, out=hu)
    if not (hu.min() < -800.0 and hu.max() > 100.0):
        raise VolumeError(
            f"{volume.name}: values {hu.min():.0f}..{hu.max():.0f} are not Hounsfield units "
            "of a body in air"
        )
    mask = body_mask(Volume(hu=hu, spacing_mm=volume.spacing_mm, name=volume.name))
    hu[~mask] = AIR_HU
    return Volume(hu=hu, spacing_mm=volume.spacing_mm, name=volume.name)


def body_mask(volume: Volume) -> NDArray[np.bool_]:
    """Where the body is (lungs and bowel included), shape of the volume.

    Found on a coarse grid: dense voxels, opened so that the table and its sheets let go, the
    largest piece, its holes filled slice by slice, grown back to the skin.

    Raises:
        VolumeError: Nothing dense of a body's size is there.
    """
    step = tuple(max(1, round(_MASK_MM / s)) for s in volume.spacing_mm)
    coarse = volume.hu[:: step[0], :: step[1], :: step[2]]
    dense = coarse > _BODY_HU
    ball = ndimage.generate_binary_structure(3, 1)
    opened = ndimage.binary_opening(dense, ball, iterations=2)
    pieces, count = ndimage.label(opened)
    if not count:
        raise VolumeError(f"{volume.name}: no body found above {_BODY_HU:.0f} HU")
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    body = pieces == sizes.argmax()
    if body.mean() < 0.02:
        raise VolumeError(f"{volume.name}: the largest dense piece is too small for a body")
    grown = ndimage.binary_dilation(body, ball, iterations=2) & dense
    # Lungs open to the cropped ends of the scan are holes only within a slice.
    for z in range(grown.shape[2]):
        grown[:, :, z] = ndimage.binary_fill_holes(
            ndimage.binary_closing(grown[:, :, z], iterations=2)
        )
    fine = np.repeat(np.repeat(np.repeat(grown, step[0], 0), step[1], 1), step[2], 2)
    mask = np.zeros(volume.hu.shape, bool)
    nx, ny, nz = volume.hu.shape
    mask[...] = fine[:nx, :ny, :nz]
    return mask


def body_center_mm(volume: Volume) -> tuple[float, float, float]:
    """Where a radiographer would centre a prepared volume, in its own millimetres.

    The middle of the body's extent from side to side and front to back, of the scan's along z.
    """
    dense = volume.hu > _BODY_HU
    center = []
    for axis in (0, 1):
        along = np.flatnonzero(dense.any(axis=(1 - axis, 2)))
        middle = (along[0] + along[-1]) / 2 if along.size else (volume.hu.shape[axis] - 1) / 2
        center.append(float(middle * volume.spacing_mm[axis]))
    center.append((volume.hu.shape[2] - 1) / 2 * volume.spacing_mm[2])
    return center[0], center[1], center[2]


def coarsened(volume: Volume, pitch_mm: float) -> Volume:
    """The volume averaged over blocks, as coarse as it may be for pixels of a pitch.

    Args:
        volume: Any.
        pitch_mm: Pixel pitch at the isocentre; voxels stay finer than it.
    """
    steps = [max(1, int(pitch_mm / s)) for s in volume.spacing_mm]
    if steps == [1, 1, 1]:
        return volume
    blocks = [n // step for n, step in zip(volume.hu.shape, steps, strict=True)]
    cut = volume.hu[tuple(slice(0, b * step) for b, step in zip(blocks, steps, strict=True))]
    shape = [size for b, step in zip(blocks, steps, strict=True) for size in (b, step)]
    x, y, z = (s * step for s, step in zip(volume.spacing_mm, steps, strict=True))
    return Volume(
        hu=cut.reshape(shape).mean(axis=(1, 3, 5), dtype=np.float32),
        spacing_mm=(x, y, z),
        name=volume.name,
    )


def attenuation(hu: NDArray[np.float32], *, bone: float = 1.0) -> NDArray[np.float32]:
    """Hounsfield units, any shape -> linear attenuation per mm; piecewise linear through air, water
    and bone.

    Args:
        hu: Hounsfield units.
        bone: Factor on what bone attenuates beyond water (bone density of a patient).
    """
    bone_per_hu = (MU_BONE_PER_MM - MU_WATER_PER_MM) / 1000.0
    mu = np.array(hu, np.float32)
    flat = mu.reshape(-1)
    for begin in range(0, flat.size, _CHUNK):
        part = flat[begin : begin + _CHUNK]
        hard = np.maximum(part, 0.0) * bone_per_hu
        # Soft tissue and contrast (below 150 HU) keep their value whatever the bones are like.
        extra = np.maximum(part - 150.0, 0.0) * (bone_per_hu * (bone - 1.0))
        np.minimum(part, 0.0, out=part)
        part *= MU_WATER_PER_MM / 1000.0
        part += MU_WATER_PER_MM
        part += hard
        part += extra
        np.maximum(part, 0.0, out=part)
    return mu
