"""What came out of a demo: the picture, the report and the table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydicom import dcmread
from rich import box
from rich.table import Table

from dicom_node import __version__
from dicom_node.demo import contact_sheet
from dicom_node.demo.contact_sheet import Tile
from dicom_node.iod.reading import Source, read_source
from synthesis.types import View, wrap_deg

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

__all__ = [
    "Arrived",
    "Timings",
    "arrived_in",
    "report",
    "table",
    "write_contact_sheet",
    "write_report",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Seconds since the radiograph began to be sent.

    Attributes:
        received: When the node had acknowledged it.
        synthesized: When its views were made and written as objects.
        stored: When the archive had the last of them.
    """

    received: float
    synthesized: float
    stored: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Arrived:
    """One view in the archive."""

    path: Path
    dataset: FileDataset
    view: View

    def tile(self) -> Tile:
        """As a picture, through its own window."""
        ds = self.dataset
        return Tile(
            pixels=contact_sheet.shown(
                ds.pixel_array,
                center=_first(ds.WindowCenter),
                width=_first(ds.WindowWidth),
                inverted=ds.PhotometricInterpretation == "MONOCHROME1",
            ),
            title=self.view.label,
            detail=_angles(self.view),
        )


def arrived_in(folder: Path, names: Sequence[str], source: View) -> list[Arrived]:
    """The views that lie in the archive, by their angle from the source's view.

    Args:
        folder: Of the archive.
        names: File names.
        source: The view of the radiograph.
    """
    arrived = []
    for name in names:
        dataset = dcmread(folder / name)
        view = View(
            primary_deg=float(dataset.PositionerPrimaryAngle),
            secondary_deg=float(dataset.PositionerSecondaryAngle),
        )
        arrived.append(Arrived(path=folder / name, dataset=dataset, view=view))
    return sorted(
        arrived,
        key=lambda each: (
            wrap_deg(each.view.primary_deg - source.primary_deg),
            each.view.secondary_deg,
        ),
    )


def write_contact_sheet(path: Path, source_file: Path, arrived: Sequence[Arrived]) -> None:
    """Draw source and views with the same grey levels."""
    source = read_source(source_file.read_bytes())
    sheet = contact_sheet.draw(
        _source_tile(source),
        [each.tile() for each in arrived],
        title="One radiograph, and views of it that were never exposed",
        subtitle=f"dicom-node {__version__}    {arrived[0].dataset.SeriesDescription}",
    )
    sheet.save(path, optimize=True)


def report(
    *,
    source_file: Path,
    source: FileDataset,
    arrived: Sequence[Arrived],
    timings: Timings,
    views: str,
    ready_s: float,
) -> dict[str, Any]:
    """Plain data for machines. It names the source by its UID and says nothing of the patient."""
    return {
        "version": __version__,
        "source": {
            "file": source_file.name,
            "sop_instance_uid": str(source.SOPInstanceUID),
            "sop_class_uid": str(source.SOPClassUID),
            "transfer_syntax_uid": str(source.file_meta.TransferSyntaxUID),
            "view_position": str(source.get("ViewPosition", "")),
        },
        "views": views,
        "series_instance_uid": str(arrived[0].dataset.SeriesInstanceUID),
        "instances": [
            {
                "file": each.path.name,
                "sop_instance_uid": str(each.dataset.SOPInstanceUID),
                "instance_number": int(each.dataset.InstanceNumber),
                "primary_deg": each.view.primary_deg,
                "secondary_deg": each.view.secondary_deg,
                "label": each.view.label,
            }
            for each in arrived
        ],
        "timings_s": {
            "node_ready": round(ready_s, 3),
            "received": round(timings.received, 3),
            "synthesized": round(timings.synthesized, 3),
            "stored": round(timings.stored, 3),
        },
    }


def write_report(path: Path, data: dict[str, Any]) -> None:
    """Write a report for people who read JSON."""
    path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


def table(arrived: Sequence[Arrived]) -> Table:
    """The views in the archive, one a line."""
    lines = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("View", "Primary", "Secondary", "Size", "File"):
        lines.add_column(column, justify="left" if column in ("View", "File") else "right")
    for each in arrived:
        lines.add_row(
            each.view.label,
            f"{_signed(each.view.primary_deg)}°",
            f"{_signed(each.view.secondary_deg)}°",
            f"{each.dataset.Columns} x {each.dataset.Rows}",
            f"archive/{each.path.name}",
        )
    return lines


def _source_tile(source: Source) -> Tile:
    grey, view = source.grey, source.radiograph.view
    window = grey.windows[0]
    return Tile(
        pixels=contact_sheet.shown(
            grey.to_stored(source.radiograph.pixels),
            center=window.center,
            width=window.width,
            inverted=grey.photometric_interpretation == "MONOCHROME1",
        ),
        title=f"{view.label}, the exposed radiograph",
        detail=_angles(view),
    )


def _angles(view: View) -> str:
    secondary = f" / {view.secondary_deg:+g}°" if view.secondary_deg else ""
    return f"{_signed(view.primary_deg)}°{secondary}"


def _signed(angle_deg: float) -> str:
    return f"{angle_deg:+g}" if angle_deg else "0"


def _first(value: object) -> float:
    values = value if isinstance(value, (list, tuple)) or hasattr(value, "__iter__") else (value,)
    return float(next(iter(values)))
