"""The folder layout of LIDC-IDRI-DRR, the data set of SV-DRR, imported into a cache.

``camera_views.json`` lists the views, ``[{"id", "orientation", "coordinate": [theta, phi]}, ...]``
in radians; ``patients.json`` names the patients, ``{"thin": [...], "thick": [...]}``; each has a
folder of ``0000.png`` ..., one a view in that order, bright = dense, every view stretched over 8
bits by its own minimum and maximum. Rendered at 1800 mm from tube to detector, 1650 to the
isocentre, 512 x 0.7 mm.

Its renderer turns a camera that starts as PA (tube behind the patient) by Rz(phi) Rx(theta) in axes
towards right, front, head. So phi is the primary and theta the secondary angle, both with DICOM's
sign, and the onlooker stays at the detector all the way round: `view_of` is the one place that
knows.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from synthesis.data.cache import PER_VIEW, Shard, shard_name, write_shard
from synthesis.errors import DataError, SynthesisError
from synthesis.types import FIELD_MM, SeenFrom, View, wrap_deg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Layout", "import_patient", "read_layout", "view_of"]

_FRONTAL_DEG: Final = 0.5
_TURN: Final = 2 * math.pi


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What a folder says of itself.

    Attributes:
        folder: The data set's.
        views: In order.
        files: Stem of each view's picture.
        patients: Names of their folders.
    """

    folder: Path
    views: tuple[View, ...]
    files: tuple[str, ...]
    patients: tuple[str, ...]

    @property
    def sources(self) -> tuple[int, ...]:
        """Indices of the PA frontal views."""
        return _sources(self.views)


def view_of(theta_rad: float, phi_rad: float) -> View:
    """The view of a coordinate of the data set.

    Raises:
        ViewError: Theta lies beyond the poles, or a number is not finite.
    """
    return View(
        primary_deg=wrap_deg(math.degrees(phi_rad)),
        secondary_deg=math.degrees(theta_rad),
        seen_from=SeenFrom.DETECTOR,
    )


def read_layout(folder: Path, *, orientation: str = "all") -> Layout:
    """Read what a folder holds.

    Args:
        folder: With ``camera_views.json``; without ``patients.json`` every folder in it that holds
            a PNG is a patient.
        orientation: ``PA`` or ``AP``: views of that half alone; ``all``.

    Raises:
        DataError: A file is missing or of another shape, an angle is impossible, or there is no
            frontal view to serve as a source.
    """
    folder = Path(folder)
    path = folder / "camera_views.json"
    entries = _json(path)
    if isinstance(entries, dict):
        entries = [
            {"id": key, **value} if isinstance(value, dict) else {"id": key, "coordinate": value}
            for key, value in entries.items()
        ]
    if not isinstance(entries, list) or not entries:
        raise DataError(f"{path}: expected a list of views")
    views, files = [], []
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict):
            entry = {"coordinate": entry}
        if orientation != "all" and entry.get("orientation", "PA") != orientation:
            continue
        theta, phi = _coordinate(entry, f"{path}: view {index}")
        try:
            views.append(view_of(theta, phi))
        except SynthesisError as error:
            raise DataError(f"{path}: view {index}: {error}") from error
        files.append(f"{index:04d}")
    if not _sources(views):
        raise DataError(f"{path}: no frontal view (coordinate [0, 0]) among {len(views)}")
    return Layout(folder=folder, views=tuple(views), files=tuple(files), patients=_patients(folder))


def _sources(views: Sequence[View]) -> tuple[int, ...]:
    return tuple(
        index
        for index, view in enumerate(views)
        if max(abs(view.primary_deg), abs(view.secondary_deg)) < _FRONTAL_DEG
    )


def _coordinate(entry: dict[str, object], where: str) -> tuple[float, float]:
    pair = entry.get("coordinate")
    if (
        not isinstance(pair, list)
        or len(pair) != 2
        or not all(isinstance(v, int | float) and not isinstance(v, bool) for v in pair)
    ):
        raise DataError(f'{where}: expected "coordinate": [theta, phi] in radians')
    theta, phi = (float(v) for v in pair)
    if max(abs(theta), abs(phi)) > _TURN + 1e-6:
        raise DataError(f"{where}: {theta:g}, {phi:g} are no angles in radians")
    return theta, phi


def _patients(folder: Path) -> tuple[str, ...]:
    path = folder / "patients.json"
    if not path.exists():
        found = sorted(each.name for each in folder.iterdir() if any(each.glob("*.png")))
        if not found:
            raise DataError(f"{folder}: no folder with PNG files")
        return tuple(found)
    listed = _json(path)
    groups = list(listed.values()) if isinstance(listed, dict) else [listed]
    names = [name for group in groups if isinstance(group, list) for name in group]
    if not all(isinstance(each, list) for each in groups) or not all(
        isinstance(name, str) for name in names
    ):
        raise DataError(f"{path}: expected names, or lists of names by slice thickness")
    wrong = [name for name in names if not name or Path(name).name != name]
    if wrong or len(set(names)) != len(names):
        raise DataError(f"{path}: names that are no folders' or that stand twice")
    if not names:
        raise DataError(f"{path}: no patients")
    return tuple(names)


def _json(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is no readable JSON ({type(error).__name__})") from error


def import_patient(layout: Layout, patient: str, cache: Path, *, size: int) -> Shard:
    """Store one patient's views as a shard of the cache.

    Args:
        layout: From `read_layout`.
        patient: One of its patients.
        cache: Folder of the cache.
        size: Pixels on a side; pictures are averaged down to it.

    Raises:
        DataError: A picture is missing, unreadable, not square or smaller than ``size``.
    """
    folder = layout.folder / patient
    missing = [name for name in layout.files if not (folder / f"{name}.png").is_file()]
    if missing:
        shown = ", ".join(missing[:5]) + (" ..." if len(missing) > 5 else "")
        raise DataError(f"{patient}: {len(missing)} of {len(layout.files)} views missing: {shown}")
    images = np.empty((len(layout.files), size, size), np.uint8)
    for index, name in enumerate(layout.files):
        images[index] = _picture(folder / f"{name}.png", patient, size)
    return write_shard(
        Shard(
            patient=patient,
            variation=0,
            views=layout.views,
            sources=layout.sources,
            field_mm=FIELD_MM,
            size=size,
            path=Path(cache) / f"{shard_name(patient, 0)}.npy",
            scale=PER_VIEW,
        ),
        images,
    )


def _picture(path: Path, patient: str, size: int) -> NDArray[np.uint8]:
    from PIL import Image

    try:
        with Image.open(path) as picture:
            grey = picture.convert("RGB").getchannel(
                0
            )  # stored as grey in three channels and alpha
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"{patient}: {path.name} is no readable picture") from error
    if grey.width != grey.height or grey.width < size:
        raise DataError(
            f"{patient}: {path.name} has {grey.width} x {grey.height} pixels, not {size} or more "
            "on both sides"
        )
    if grey.width == size:
        return np.asarray(grey)
    return np.asarray(grey.resize((size, size), Image.Resampling.BOX))
