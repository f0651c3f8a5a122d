"""Storage commitment with an archive that has both sides of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from pydicom import dcmread

from tests.acceptance.harness import Node, storescu, wait_until
from tests.acceptance.radiographs import write_copies

if TYPE_CHECKING:
    from pathlib import Path

    from tests.acceptance.conftest import Site

pytestmark = pytest.mark.peer


def configure(node: Node, archive_port: int, **destination: Any) -> None:
    values = yaml.safe_load(node.config.read_text())
    values["destinations"][0] |= {"commitment": "required", **destination}
    values["peers"][0]["commitment_port"] = archive_port
    node.config.write_text(yaml.safe_dump(values))


def states(node: Node) -> set[str]:
    return {delivery["state"] for job in node.jobs() for delivery in job["deliveries"]}


def test_an_archive_commits_what_it_was_sent_over_an_association_of_its_own(
    fresh_site: Site, tmp_path: Path
) -> None:
    node, archive = fresh_site.node, fresh_site.archive
    configure(node, archive.dicom_port)
    archive.start()
    node.start()
    (path,) = write_copies(tmp_path, 1).values()
    assert storescu(node.port, path) == 0
    node.wait_for("a destination committed a delivery", 60)
    assert states(node) == {"committed"}


def test_what_an_archive_lost_is_sent_again_and_then_committed(
    fresh_site: Site, tmp_path: Path
) -> None:
    node, archive = fresh_site.node, fresh_site.archive
    # The node is not reachable for the first report, and asks again soon.
    configure(node, archive.dicom_port, commitment_timeout_s=3)
    archive.start()
    node.start()
    ((uid, path),) = write_copies(tmp_path, 1).items()
    assert storescu(node.port, path) == 0
    node.wait_for("a delivery is complete", 60)
    node.kill()
    lost = archive.instances()[0]
    archive.delete(f"instances/{lost}")
    node.start(forget=False)
    node.wait_for("a destination did not commit instances; they are sent again", 60)
    node.wait_for("a destination committed a delivery", 60)
    assert len(archive.synthetic(uid)) == 4
    assert states(node) == {"committed"}


def test_the_node_commits_what_an_archive_sent_it_and_nothing_else(
    fresh_site: Site, tmp_path: Path
) -> None:
    node, archive = fresh_site.node, fresh_site.archive
    configure(node, archive.dicom_port)
    archive.start()
    node.start()
    (path,) = write_copies(tmp_path, 1).values()
    archive.send_to_node(archive.upload(path))
    dataset = dcmread(path, stop_before_pixels=True)
    known = [str(dataset.SOPClassUID), str(dataset.SOPInstanceUID)]
    body = {"DicomInstances": [known, [known[0], "1.2.3.4.5"]], "Timeout": 30}
    asked = archive.post("modalities/node/storage-commitment", json.dumps(body).encode())

    def answer() -> Any:
        found = archive.get(f"storage-commitment/{asked['ID']}")
        return None if found["Status"] == "Pending" else found

    report = wait_until(answer, 60, "a report on storage commitment")
    assert report["Status"] == "Failure"
    assert [each["SOPInstanceUID"] for each in report["Success"]] == known[1:]
    (failed,) = report["Failures"]
    assert (failed["SOPInstanceUID"], failed["FailureReason"]) == ("1.2.3.4.5", 0x0112)
