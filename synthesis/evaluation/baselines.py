"""What a model has to beat: the mean training view at an angle (copies need no code)."""

from __future__ import annotations

import zipfile
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
import torch.nn.functional as F

from synthesis.data.cache import LINE_INTEGRALS, list_shards
from synthesis.errors import SynthesisError
from synthesis.evaluation.protocol import to_model
from synthesis.types import FIELD_MM, SeenFrom

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy.typing import NDArray
    from torch import Tensor

    from synthesis.types import View

__all__ = ["MeanViews", "MeanViewsError", "bundled_mean_views", "mean_views"]

_STEP_DEG: Final = 5.0
_LEVEL_DEG: Final = 5.0
"""Views tilted by less than this count as azimuths."""


class MeanViewsError(SynthesisError, ValueError):
    """A table of mean views that cannot be made or read."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeanViews:
    """The mean training view at azimuths in steps of 5 degrees.

    Attributes:
        angles_deg: (n,), ascending primary angles.
        images: float32 (n, size, size), on the model's scale.
        views: How many views went into each mean.
        patients: How many patients they came from.
    """

    angles_deg: NDArray[np.float64]
    images: NDArray[np.float32]
    views: NDArray[np.int64]
    patients: int

    def at(self, view: View, size: int) -> Float[Tensor, "size size"] | None:
        """The mean at the nearest angle; None for a view that is no azimuth of the table."""
        distance = np.abs(self.angles_deg - view.primary_deg)
        if abs(view.secondary_deg) >= _LEVEL_DEG or distance.min() > _STEP_DEG:
            return None
        image = torch.from_numpy(self.images[int(distance.argmin())])[None, None]
        return F.interpolate(
            image, size=(size, size), mode="bilinear", align_corners=False, antialias=True
        )[0, 0]

    def store(self, path: Path) -> None:
        """Write the table, float16."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        with partial.open("wb") as file:
            np.savez_compressed(
                file,
                angles_deg=self.angles_deg,
                images=self.images.astype(np.float16),
                views=self.views,
                patients=np.int64(self.patients),
            )
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> MeanViews:
        """Read a table.

        Raises:
            MeanViewsError: The file is missing or no such table.
        """
        try:
            with np.load(path) as data:
                return cls(
                    angles_deg=data["angles_deg"],
                    images=data["images"].astype(np.float32),
                    views=data["views"],
                    patients=int(data["patients"]),
                )
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise MeanViewsError(f"{path}: no table of mean views ({error})") from error


def bundled_mean_views() -> Path:
    """Where the table of the bundled weights' training views lies."""
    return Path(__file__).parent.parent / "weights" / "mean_views.npz"


def mean_views(cache: Path, *, exclude: Collection[str] = (), size: int = 64) -> MeanViews:
    """Average the level views of a cache of rendered shards, every patient with one voice.

    Only shards in the standard geometry count, seen from the detector's side. Views between two
    angles of the table add to both, by nearness.

    Args:
        cache: Folder of the shards.
        exclude: Patients that are no training patients.
        size: Pixels on a side of the means.

    Raises:
        MeanViewsError: Some angle has no view.
    """
    angles = np.arange(-90.0, 90.0 + _STEP_DEG, _STEP_DEG)
    shape = (len(angles), size, size)
    sums: dict[str, Tensor] = defaultdict(lambda: torch.zeros(shape))
    weights: dict[str, NDArray[np.float64]] = defaultdict(lambda: np.zeros(len(angles)))
    counts = np.zeros(len(angles), np.int64)
    for shard in list_shards(cache):
        if shard.patient in exclude or shard.field_mm != FIELD_MM:
            continue
        if shard.scale != LINE_INTEGRALS:
            continue  # stretched view by view: no mean on the fixed scale comes of it
        images = shard.images()
        for index, view in enumerate(shard.views):
            if abs(view.secondary_deg) >= _LEVEL_DEG or view.seen_from is not SeenFrom.DETECTOR:
                continue
            near = np.maximum(1.0 - np.abs(angles - view.primary_deg) / _STEP_DEG, 0.0)
            image = torch.from_numpy(images[index].astype(np.float32))[None, None]
            small = F.interpolate(image, size=(size, size), mode="area")[0, 0]
            for angle in np.flatnonzero(near):
                sums[shard.patient][angle] += float(near[angle]) * small
                counts[angle] += 1
            weights[shard.patient] += near
    return _averaged(angles, sums, weights, counts)


def _averaged(
    angles: NDArray[np.float64],
    sums: dict[str, Tensor],
    weights: dict[str, NDArray[np.float64]],
    counts: NDArray[np.int64],
) -> MeanViews:
    if not counts.all():
        missing = ", ".join(f"{a:g}" for a in angles[counts == 0])
        raise MeanViewsError(f"the cache holds no level view near {missing} degrees")
    images = []
    for angle in range(len(angles)):
        of_patients = [
            sums[name][angle] / weights[name][angle] for name in sums if weights[name][angle] > 0
        ]
        images.append(torch.stack(of_patients).mean(dim=0))
    return MeanViews(
        angles_deg=angles,
        images=to_model(torch.stack(images)).numpy(),
        views=counts,
        patients=len(sums),
    )
