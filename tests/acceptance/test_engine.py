"""Inputs that break the engine every time, beside inputs that do not, through the whole node."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.harness import VIEWS, Node, configuration, storescu, wait_until
from tests.acceptance.radiographs import copy_of
from tests.acceptance.recorder import Recorder
from tests.network.objects import free_port

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.peer

POISONS = {
    "crash": "exit code 7",
    "killed": "SIGKILL",
    "memory": "out of memory",
    "torch-memory": "out of memory",
    "hang": "deadline",
}
"""What an input does to the engine, each time; and the reason that is told."""


RIGGED = ("-m", "tests.acceptance.rigged", "serve", "--worker", "tests.acceptance.poison")


def configure(port: int, archive_port: int, weights: Path) -> dict[str, object]:
    """One route for each poison, chosen by the study's description, and one for the rest."""
    values = configuration(port=port, archive_port=archive_port, weights=weights)
    (good,) = values["routes"]
    values["models"] |= {name: {"path": str(weights)} for name in POISONS}
    values["routes"] = [
        good
        | {
            "name": name,
            "when": {"attribute": "StudyDescription", "equals": name},
            "synthesize": {"model": name, "views": "few"},
        }
        for name in POISONS
    ] + [good]
    values["engine"]["deadline_s"] = 6
    return values


def write(folder: Path, description: str) -> Path:
    dataset = copy_of("RG1_UNCR.dcm", every=16)
    pixels = dataset.pixel_array.copy()
    pixels[0, :8] = list(os.urandom(8))
    dataset.PixelData = pixels.tobytes()
    dataset.StudyDescription = description
    dataset.save_as(path := folder / f"{dataset.SOPInstanceUID}.dcm")
    return path


def test_poisoned_inputs_are_quarantined_after_their_attempts_and_the_others_are_done(
    tmp_path: Path, weights: Path
) -> None:
    port = free_port()
    archive = Recorder("ORTHANC", node_port=port)
    node = Node(tmp_path, configure(port, archive.port, weights))
    node.start(RIGGED, within_s=60)
    try:
        for poison in POISONS:
            for description in (poison, "CHEST"):
                assert storescu(port, write(tmp_path, description)) == 0
        wait_until(
            lambda: node.states("jobs") == {"done", "quarantined"},
            240,
            f"the end of all jobs: {node.jobs()}",
        )
        jobs = {job["source_sop_instance_uid"]: job for job in node.jobs()}
        bad = {job["route"]: job for job in jobs.values() if job["route"] in POISONS}
        good = [job for job in jobs.values() if job["route"] not in POISONS]
        assert set(bad) == set(POISONS)
        for name, job in bad.items():
            assert job["state"] == "quarantined"
            assert job["attempts"] >= 3
            assert POISONS[name] in job["last_error"]
        assert [job["state"] for job in good] == ["done"] * len(POISONS)
        wait_until(
            lambda: len(archive.stored) == VIEWS * len(POISONS), 30, "the views of the others"
        )
        assert node.stop() == 0
    finally:
        node.kill()
        archive.stop()
