"""Rendered views on disk: one shard a variation of a patient, memory-mapped when read.

A shard is two files, ``NAME.npy`` (views x size x size: float16 line integrals, or 8 bits where
every view was stretched by itself) and ``NAME.json`` (what they are). The JSON is written last, so
a shard without one does not exist yet: rendering stops and goes on at any moment.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from synthesis.data.augmentation import Anatomy, draw_anatomy, extended, warped
from synthesis.data.rendering import SCALE, Renderer
from synthesis.data.volumes import Volume, attenuation, body_center_mm, coarsened
from synthesis.types import FIELD_MM, FRONTAL_DENSE, View

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "LINE_INTEGRALS",
    "PER_VIEW",
    "Shard",
    "list_shards",
    "render_shard",
    "shard_name",
    "write_shard",
]

LINE_INTEGRALS: Final = "line integrals"
"""One fixed scale for all views: `rendering.SCALE`."""
PER_VIEW: Final = "minimum and maximum of each view"
"""Every view stretched by itself: views of a patient do not agree on how much matter there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One variation of one patient, seen from many sides.

    Attributes:
        patient: Name of the volume.
        variation: Its number; 0 is the patient as scanned.
        views: In the order of the images.
        sources: Indices of the frontal views that may be a source.
        field_mm: Side of the detector.
        size: Pixels on that side.
        path: Of the ``.npy``.
        scale: `LINE_INTEGRALS` or `PER_VIEW`.
        exact: Whether the images are as sharp as those of a scan: nothing was resampled.
    """

    patient: str
    variation: int
    views: tuple[View, ...]
    sources: tuple[int, ...]
    field_mm: float
    size: int
    path: Path
    scale: str = LINE_INTEGRALS
    exact: bool = True

    def images(self) -> NDArray[np.float16] | NDArray[np.uint8]:
        """As stored (views, size, size), memory-mapped."""
        return np.load(self.path, mmap_mode="r")  # type: ignore[no-any-return]

    def image(self, index: int) -> NDArray[np.float32]:
        """One view (size, size) as line integrals.

        Where the scale is lost (`PER_VIEW`), every view's maximum is put where that of a frontal
        radiograph is: what the model takes a source's densest part for.
        """
        stored: NDArray[np.float32] = self.images()[index].astype(np.float32)
        if self.scale == LINE_INTEGRALS:
            return stored
        stored *= SCALE.high * FRONTAL_DENSE / 255.0
        return stored


def shard_name(patient: str, variation: int) -> str:
    """File stem of a shard."""
    return f"{patient}-{variation:04d}"


def list_shards(folder: Path) -> list[Shard]:
    """Every finished shard of a cache and of the folders in it, by name."""
    return [_read(path) for path in sorted(Path(folder).rglob("*.json"))]


def _read(path: Path) -> Shard:
    data = json.loads(path.read_text())
    return Shard(
        patient=data["patient"],
        variation=data["variation"],
        views=tuple(View(**view) for view in data["views"]),
        sources=tuple(data["sources"]),
        field_mm=data["field_mm"],
        size=data["size"],
        path=path.with_suffix(".npy"),
        scale=data.get("scale", LINE_INTEGRALS),
        exact=not data.get("anatomy", {}).get("shift_mm"),
    )


def render_shard(volume: Volume, variation: int, folder: Path, *, size: int, seed: int) -> Shard:
    """Render one variation of a prepared volume and store it; what it is follows from the seed.

    Odd variations are exact: other proportions and densities, but as sharp as the scan.

    Views and field follow from the seed and the variation alone, so that the same variation of
    two patients can be mixed (`synthesis.data.mixing`); the anatomy is each patient's own.

    Args:
        volume: From `load_volume`.
        variation: 0 = as scanned, in the standard geometry.
        folder: Of the cache.
        size: Pixels on a side.
        seed: Of the whole cache.
    """
    shared = np.random.default_rng([seed, variation])
    standard = variation == 0 or shared.random() < 0.5
    views, sources = _draw_views(shared, from_tube=variation > 0 and shared.random() < 0.35)
    field_mm = FIELD_MM if standard else float(np.exp(shared.uniform(np.log(290.0), np.log(410.0))))
    rng = np.random.default_rng([seed, variation, *volume.name.encode()])
    exact = variation % 2 == 1
    anatomy = draw_anatomy(rng, identity=variation == 0, exact=exact)
    patient = warped(
        coarsened(volume, FIELD_MM / View(primary_deg=0.0).magnification / size), anatomy
    )
    center = list(body_center_mm(patient))
    if not standard:
        center[0] += float(rng.normal(0.0, 8.0))
        center[2] += float(rng.normal(0.0, 15.0))
    if variation > 0 and not exact and rng.random() < 0.5:
        reach_mm = 80.0
        patient = extended(patient, reach_mm=reach_mm)
        center[2] += round(reach_mm / patient.spacing_mm[2]) * patient.spacing_mm[2]
    renderer = Renderer(
        attenuation(patient.hu, bone=anatomy.bone),
        patient.spacing_mm,
        (center[0], center[1], center[2]),
    )
    images = renderer.render(views, size=size, field_mm=field_mm).numpy().astype(np.float16)
    return write_shard(
        Shard(
            patient=volume.name,
            variation=variation,
            views=tuple(views),
            sources=sources,
            field_mm=field_mm,
            size=size,
            path=Path(folder) / f"{shard_name(volume.name, variation)}.npy",
            exact=anatomy.exact,
        ),
        images,
        anatomy,
    )


def _draw_views(rng: np.random.Generator, *, from_tube: bool) -> tuple[list[View], tuple[int, ...]]:
    """Two frontal sources, then 12 azimuths evenly jittered, then 6 of the whole hemisphere."""
    front = View(primary_deg=180.0 if from_tube else 0.0)  # the hanging rule picks the side
    jitter = rng.normal(0.0, [3.0, 2.0])
    views = [front, front.rotated(float(jitter[0]), float(np.clip(jitter[1], -6, 6)))]
    azimuths = (np.arange(12) + rng.uniform(0.0, 1.0, 12)) * 15.0 - 90.0
    for azimuth in azimuths:
        tilt = float(np.clip(rng.normal(0.0, 5.0), -15, 15)) if rng.random() < 0.3 else 0.0
        views.append(front.rotated(float(azimuth), tilt))
    for _ in range(6):
        # Uniform on the sphere's front, without the poles, where no radiograph is ever taken.
        height = rng.uniform(-0.87, 0.87)
        views.append(
            front.rotated(float(rng.uniform(-90.0, 90.0)), float(np.degrees(np.arcsin(height))))
        )
    return views, (0, 1)


def write_shard(
    shard: Shard,
    images: NDArray[np.float16] | NDArray[np.uint8],
    anatomy: Anatomy | None = None,
) -> Shard:
    """Store a shard; it exists once it is whole.

    Args:
        shard: What it is, and where it goes.
        images: (views, size, size), of the shard's scale.
        anatomy: How the patient was varied; left out, not at all.
    """
    anatomy = anatomy or draw_anatomy(np.random.default_rng(0), identity=True)
    shard.path.parent.mkdir(parents=True, exist_ok=True)
    partial = shard.path.with_suffix(".part")
    with partial.open("wb") as file:
        np.save(file, images)
    partial.replace(shard.path)
    described = {
        "patient": shard.patient,
        "variation": shard.variation,
        "views": [asdict(view) for view in shard.views],
        "sources": list(shard.sources),
        "field_mm": shard.field_mm,
        "size": shard.size,
        "scale": shard.scale,
        "anatomy": asdict(anatomy),
    }
    partial = shard.path.with_suffix(f".json-{os.getpid()}")
    partial.write_text(json.dumps(described))
    partial.replace(shard.path.with_suffix(".json"))
    return shard


def pending(patients: list[str], variations: int, folder: Path) -> Iterator[tuple[str, int]]:
    """What is still to render, all patients of one variation before the next."""
    for variation in range(variations):
        for patient in patients:
            if not (Path(folder) / f"{shard_name(patient, variation)}.json").exists():
                yield patient, variation
