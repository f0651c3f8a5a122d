"""Studies that people asked to be fetched, and a node that is killed meanwhile."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from dicom_node.domain.accounts import Role
from tests.acceptance.harness import Node, Orthanc, configuration, wait_until
from tests.acceptance.people import account
from tests.acceptance.radiographs import copy_of, new_uid
from tests.network.objects import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.peer

ECHO = ("-m", "tests.acceptance.rigged", "serve", "--echo")
STUDIES = 3


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Orthanc]:
    asked = {"DicomAlwaysAllowFind": True, "DicomAlwaysAllowGet": True}
    made = Orthanc(tmp_path / "orthanc", node_port=free_port(), **asked)
    yield made
    made.stop()


@pytest.fixture
def node(tmp_path: Path, weights: Path, archive: Orthanc) -> Iterator[Node]:
    values = configuration(port=free_port(), archive_port=archive.dicom_port, weights=weights)
    values["console"] = {"enabled": True, "port": 0}
    made = Node(tmp_path, values)
    yield made
    made.kill()


def studies(archive: Orthanc, folder: Path) -> list[str]:
    """Some that lie in the archive, each of one radiograph."""
    found = []
    for _ in range(STUDIES):
        image = copy_of("RG1_UNCR.dcm", every=8)
        image.StudyInstanceUID, image.SeriesInstanceUID = new_uid(), new_uid()
        image.save_as(path := folder / "study.dcm")
        archive.upload(path)
        found.append(str(image.StudyInstanceUID))
    return found


class Program:
    """What speaks to the console's API."""

    def __init__(self, node: Node, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        address = f"http://127.0.0.1:{node.console_port}/api/v1"
        self._client = httpx.Client(base_url=address, headers=headers, timeout=60)

    def fetch(self, study: str) -> Any:
        wanted = {"study_instance_uid": study, "source": "pacs"}
        return self._client.post("/fetches", json=wanted).raise_for_status().json()

    def states(self) -> dict[str, str]:
        """By study, the oldest first."""
        listed = self._client.get("/fetches").raise_for_status().json()["fetches"]
        return {each["study_instance_uid"]: each["state"] for each in reversed(listed)}


@pytest.mark.on_both
def test_what_was_asked_for_is_fetched_though_the_node_is_killed(
    node: Node, archive: Orthanc, tmp_path: Path
) -> None:
    archive.start()
    wanted = studies(archive, tmp_path)
    node.start(ECHO)
    token = account(node, "otto", Role.OPERATOR)
    program = Program(node, token)
    archive.signal(signal.SIGSTOP)  # it takes the call and says nothing
    try:
        numbers = [program.fetch(study)["number"] for study in wanted]
        wait_until(lambda: "running" in program.states().values(), 30, "the first is asked for")
        assert list(program.states().values()) == ["running", "waiting", "waiting"]
        node.kill()
    finally:
        archive.signal(signal.SIGCONT)
    node.start(ECHO)
    program = Program(node, token)
    wait_until(lambda: set(program.states().values()) == {"done"}, 90, f"{program.states()}")
    assert list(program.states()) == wanted, "each once, in the order in which they were asked for"
    assert program.fetch(wanted[0])["number"] > numbers[-1], "no number is given twice"
    assert len({image["sop_instance_uid"] for image in node.images()}) == STUDIES
    assert len(node.images()) == STUDIES
