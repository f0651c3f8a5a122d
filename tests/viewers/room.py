"""A study in an archive as a radiologist finds it: a radiograph, and the views made from it."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.acceptance.harness import Node, Orthanc, configuration, wait_until
from tests.network.objects import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom import Dataset

PLUGINS: Final = "/usr/share/orthanc/plugins"
"""Where Debian's packages put them: DICOMweb and Orthanc's own viewer."""

CHROMIUM: Final = (
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
"""Arguments of the browser: viewers draw by WebGL, which here is software."""

VIEWS: Final = 12
"""All but that of the source, which is a view of the sweep as well."""

SYNTHESIZED_S: Final = 300


@contextmanager
def archive_of(
    folder: Path, source: Dataset, *destinations: dict[str, Any], objects: int
) -> Iterator[Orthanc]:
    """An archive with a radiograph and what the node made of it.

    Args:
        folder: For everything.
        source: The radiograph.
        destinations: What each asks for; all of them are this archive.
        objects: How many it gets.
    """
    node_port = free_port()
    archive = Orthanc(folder / "orthanc", node_port=node_port, Plugins=[PLUGINS])
    values = configuration(port=node_port, archive_port=archive.dicom_port, weights=Path("w"))
    (plain,) = values["destinations"]
    values |= {
        "destinations": [
            plain | {"name": f"archive-{number}"} | asked
            for number, asked in enumerate(destinations)
        ],
        "view_sets": {"sweep": {"azimuth": {"from_deg": -90, "to_deg": 90, "step_deg": 15}}},
        "models": {"chest": {"path": "bundled"}},
    }
    (route,) = values["routes"]
    route["synthesize"] = {"model": "chest", "views": "sweep"}
    route["send_to"] = [each["name"] for each in values["destinations"]]
    path = folder / "source.dcm"
    source.save_as(path)
    node = Node(folder, values)
    try:
        archive.start()
        node.start(within_s=120)
        archive.send_to_node(archive.upload(path))
        wait_until(
            lambda: len(archive.instances()) == 1 + objects, SYNTHESIZED_S, "views in the archive"
        )
        node.kill()
        yield archive
    finally:
        node.kill()
        archive.stop()
