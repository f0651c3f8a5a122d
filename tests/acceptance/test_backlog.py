"""A node that finds ten thousand jobs at its start, and callers that all bring the same."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from dicom_node.store import schema
from tests.acceptance.harness import VIEWS, Node, configuration, storescu, wait_until
from tests.acceptance.radiographs import copy_of
from tests.acceptance.recorder import Recorder
from tests.network.objects import free_port, tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.peer

RIGGED = ("-m", "tests.acceptance.rigged", "serve", "--echo")
JOBS = 10_000


@pytest.fixture
def archive() -> Iterator[Recorder]:
    made = Recorder("ORTHANC", node_port=free_port())
    yield made
    made.stop()


@pytest.fixture
def node(tmp_path: Path, weights: Path, archive: Recorder) -> Iterator[Node]:
    values = configuration(port=free_port(), archive_port=archive.port, weights=weights)
    made = Node(tmp_path, values)
    yield made
    made.kill()


def write(folder: Path) -> tuple[str, Path]:
    dataset = copy_of("RG1_UNCR.dcm", every=16)
    dataset.save_as(path := folder / f"{dataset.SOPInstanceUID}.dcm")
    return str(dataset.SOPInstanceUID), path


def multiply(node: Node, count: int) -> None:
    """Copy the one queued job and its image until there are so many."""
    images, jobs = schema.images, schema.jobs
    with node.ledger(write=True) as ledger:
        image = dict(ledger.execute(sa.select(images)).mappings().one())
        job = dict(ledger.execute(sa.select(jobs)).mappings().one())
        first, uid = image.pop("id"), image["sop_instance_uid"]
        del job["id"]
        ledger.execute(
            sa.insert(images),
            [image | {"sop_instance_uid": f"{uid}.{number}"} for number in range(1, count)],
        )
        others = ledger.scalars(sa.select(images.c.id).where(images.c.id != first)).all()
        ledger.execute(
            sa.insert(jobs), [job | {"image_id": id_, "key": f"{id_:064x}"} for id_ in others]
        )


@pytest.mark.on_both
def test_a_node_with_ten_thousand_queued_jobs_is_ready_and_receives_and_works(
    node: Node, archive: Recorder, tmp_path: Path
) -> None:
    node.start((*RIGGED, "--no-synthesis"), within_s=60)
    empty_s = time.monotonic()
    node.kill()
    node.start((*RIGGED, "--no-synthesis"), within_s=60)
    empty_s = time.monotonic() - empty_s
    _, path = write(tmp_path)
    assert storescu(node.port, path) == 0
    node.wait_for("an image was planned", 60)
    node.kill()
    multiply(node, JOBS)
    full_s = node.start(RIGGED, within_s=60)
    print(f"\nready after {full_s:.1f} s with {JOBS} queued jobs, {empty_s:.1f} s with none")
    assert full_s < max(10.0, 2 * empty_s)
    assert storescu(node.port, write(tmp_path)[1]) == 0
    node.wait_for("a job is done", 60)
    wait_until(lambda: len(archive.stored) >= VIEWS, 60, "views of the first")
    began = time.monotonic()
    assert node.stop() == 0
    assert time.monotonic() - began < 15


def test_one_image_brought_by_twenty_callers_at_once_is_delivered_once(
    node: Node, archive: Recorder, tmp_path: Path
) -> None:
    node.start(RIGGED, within_s=60)
    _, path = write(tmp_path)
    command = [tool("storescu"), "-R", "-aet", "STORESCU", "-aec", "SYNTH", "--repeat", "3"]
    command += ["127.0.0.1", str(node.port), str(path)]
    callers = [
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(20)
    ]
    assert [caller.wait(120) for caller in callers] == [0] * 20
    wait_until(
        lambda: [d["state"] for job in node.jobs() for d in job["deliveries"]] == ["closed"],
        60,
        "the one delivery",
    )
    assert len(node.images()) == 1
    assert [len(times) for times in archive.stored.values()] == [1] * VIEWS


CHARSETS = {
    "ISO_IR 100": (["ISO_IR 100"], b"Buc^J\xe9r\xf4me"),
    "ISO_IR 192": (["ISO_IR 192"], b"Wang^XiaoDong=\xe7\x8e\x8b^\xe5\xb0\x8f\xe6\x9d\xb1"),
    "Japanese": (
        ["", "ISO 2022 IR 87"],
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
    ),
    "Arabic": (["ISO_IR 127"], b"\xe2\xc8\xc7\xe6\xea^\xe4\xe6\xd2\xc7\xd1"),
}
"""Names as PS3.5 annexes H to K print them, byte by byte."""


def test_names_in_any_writing_go_through_the_whole_node_byte_for_byte(
    node: Node, archive: Recorder, tmp_path: Path
) -> None:
    seen: dict[str, list[bytes]] = {}
    archive.on_bytes = lambda uid, data: seen.setdefault(uid, []).append(data)
    node.start(RIGGED, within_s=60)
    for charset, name in CHARSETS.values():
        dataset = copy_of("RG1_UNCR.dcm", every=16)
        dataset.SpecificCharacterSet = charset
        dataset.PatientName = "N" * len(name)
        dataset.save_as(path := tmp_path / f"{dataset.SOPInstanceUID}.dcm")
        data = path.read_bytes()
        assert data.count(b"N" * len(name)) == 1
        path.write_bytes(data.replace(b"N" * len(name), name))
        assert storescu(node.port, path) == 0
    wait_until(lambda: len(seen) == VIEWS * len(CHARSETS), 90, "all views")
    for charset, name in CHARSETS.values():
        stated = "\\".join(charset).encode()
        holding = [each for (each,) in seen.values() if name in each and stated in each[:200]]
        assert len(holding) == VIEWS
