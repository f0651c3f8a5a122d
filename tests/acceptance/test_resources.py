"""Disks that fill up, callers all at once, objects too large: the node stays, and stays small."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from pynetdicom import AE, build_context

from tests.acceptance.harness import Node, configuration, storescu, wait_until
from tests.acceptance.radiographs import copy_of
from tests.network.objects import free_port, tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.peer

RIGGED = ("-m", "tests.acceptance.rigged", "serve", "--echo")
COMPUTED_RADIOGRAPHY = "1.2.840.10008.5.1.4.1.1.1"
EXPLICIT = "1.2.840.10008.1.2.1"

CALLERS = 100
EACH = int(os.environ.get("DICOM_NODE_TEST_RADIOGRAPHS", "1"))
"""Radiographs that each of these callers sends; 50 for a campaign."""

MIB = 1 << 20


@pytest.fixture
def node(tmp_path: Path, weights: Path) -> Iterator[Node]:
    """One whose archive is away."""
    values = configuration(port=free_port(), archive_port=free_port(), weights=weights)
    made = Node(tmp_path, values)
    yield made
    made.kill()


def change(node: Node, section: str, **values: Any) -> None:
    config = yaml.safe_load(node.config.read_text())
    config.setdefault(section, {}).update(values)
    node.config.write_text(yaml.safe_dump(config))


def peak_rss_bytes(node: Node) -> int:
    status = f"/proc/{node.process.pid}/status"
    with open(status) as file:  # noqa: PTH123 - a file of the system
        (line,) = [line for line in file if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def write(folder: Path, *, every: int, padding: int = 0, view: str = "PA") -> Path:
    dataset = copy_of("RG1_UNCR.dcm", every=every)
    dataset.ViewPosition = view
    pixels = dataset.pixel_array.copy()
    pixels[0, :8] = list(os.urandom(8))
    dataset.PixelData = pixels.tobytes()
    dataset.save_as(path := folder / f"{dataset.SOPInstanceUID}.dcm")
    if padding:  # a private element (PS3.5 7.1.2: explicit VR with a 32-bit length)
        with path.open("ab") as file:
            file.write(b"\xe1\x7f\x10\x10OB\0\0" + padding.to_bytes(4, "little"))
            file.truncate(file.tell() + padding)
    return path


def sending(node: Node, path: Path, *options: str) -> subprocess.Popen[bytes]:
    """DCMTK's storescu at work."""
    return subprocess.Popen(
        [
            tool("storescu"),
            *options,
            "-R",
            "-aet",
            "STORESCU",
            "-aec",
            "SYNTH",
            "127.0.0.1",
            str(node.port),
            str(path),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def statuses_of(node: Node, *paths: Path) -> list[int]:
    ae = AE(ae_title="STORESCU")
    ae.dimse_timeout = ae.network_timeout = 60
    contexts = [build_context(COMPUTED_RADIOGRAPHY, EXPLICIT)]
    association = ae.associate("127.0.0.1", node.port, contexts=contexts, ae_title="SYNTH")
    assert association.is_established
    try:
        return [int(association.send_c_store(path).Status) for path in paths]
    finally:
        association.release()


def test_a_disk_that_fills_up_is_told_as_0xa700_before_it_is_full_and_then_forgotten(
    node: Node, small_disk: Path, tmp_path: Path
) -> None:
    change(node, "node", data_dir=str(small_disk / "data"))
    change(node, "retention", min_free_bytes=40 * MIB)
    node.start(RIGGED, within_s=60)
    assert statuses_of(node, write(tmp_path, every=4, view="LL")) == [0x0000]
    (small_disk / "something-else").write_bytes(bytes(30 * MIB))
    late = write(tmp_path, every=4, view="LL")
    assert statuses_of(node, late) == [0xA700]
    free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
    assert free > 30 * MIB
    (small_disk / "something-else").unlink()
    assert statuses_of(node, late) == [0x0000]
    assert node.stop() == 0


def test_a_disk_filled_to_the_last_byte_costs_no_image_and_no_node(
    node: Node, small_disk: Path, tmp_path: Path
) -> None:
    """The ledger lies on the same disk: not even a row can be written."""
    change(node, "node", data_dir=str(small_disk / "data"))
    node.start(RIGGED, within_s=60)
    paths = [write(tmp_path, every=8) for _ in range(4)]
    assert statuses_of(node, paths[0]) == [0x0000]
    with (small_disk / "something-else").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 12))
        except OSError:
            pass
    assert set(statuses_of(node, *paths[1:])) == {0xA700}
    (small_disk / "something-else").unlink()
    assert statuses_of(node, *paths[1:]) == [0x0000] * 3
    wait_until(
        lambda: [job["state"] for job in node.jobs()] == ["done"] * 4,
        150,
        f"all four jobs: {node.tail()}",
    )
    assert node.stop() == 0


def test_a_queue_that_is_full_is_told_as_0xa700_and_drains(node: Node, tmp_path: Path) -> None:
    change(node, "engine", max_waiting=3)
    node.start((*RIGGED, "--no-synthesis"), within_s=60)
    paths = [write(tmp_path, every=16) for _ in range(5)]
    assert statuses_of(node, *paths) == [0x0000] * 3 + [0xA700] * 2
    node.kill()
    node.start(RIGGED, within_s=60)
    wait_until(lambda: statuses_of(node, *paths[3:]) == [0x0000] * 2, 60, "room in the queue")


def test_an_object_of_600_mb_is_cut_off_and_the_neighbour_is_served(
    node: Node, tmp_path: Path
) -> None:
    node.start(RIGGED, within_s=60)
    before = peak_rss_bytes(node)
    huge = write(tmp_path, every=16, padding=600_000_000)
    good = write(tmp_path, every=16)
    sender = sending(node, huge)
    assert storescu(node.port, good) == 0
    assert sender.wait(200) != 0
    assert storescu(node.port, write(tmp_path, every=16)) == 0
    # The longest object allowed has 256 MiB, and its buffer grows ahead of it by an eighth.
    assert peak_rss_bytes(node) - before < 340 * MIB
    assert len(node.images()) == 2
    wait_until(lambda: node.process.memory_info().rss < 250 * MIB, 60, "memory given back")


def test_a_hundred_callers_at_once_are_served_in_bounded_memory(node: Node, tmp_path: Path) -> None:
    """Radiographs of 1.8 MB that no route wants, so that receiving is what is measured."""
    limit = 32 * MIB
    change(node, "node", receive_memory_bytes=limit, max_associations=CALLERS)
    node.start(RIGGED, within_s=60)
    before = node.process.memory_info().rss
    descriptors = node.process.num_fds()
    began = time.monotonic()
    callers = []
    for _ in range(CALLERS):
        path = write(tmp_path, every=2, view="LL")
        callers.append(sending(node, path, "--invent-instance", "--repeat", str(EACH)))
    assert [caller.wait(1500) for caller in callers] == [0] * CALLERS
    seconds = time.monotonic() - began
    grown = peak_rss_bytes(node) - before
    print(
        f"\n{CALLERS} callers, {EACH} radiographs of {path.stat().st_size} bytes each: "
        f"{seconds:.0f} s, peak {peak_rss_bytes(node) / MIB:.0f} MiB, {grown / MIB:.0f} MiB more "
        f"than before, {node.process.memory_info().rss / MIB:.0f} MiB after"
    )
    # Received bytes, the file made of them, and the threads of the associations.
    assert grown < 3 * limit + 64 * MIB
    received = sum(line["event"] == "an image was received" for line in node.lines)
    assert received == CALLERS * EACH
    wait_until(lambda: node.process.num_fds() <= descriptors + 3, 60, "descriptors given back")


def test_a_node_with_few_descriptors_serves_whom_it_can_and_recovers(
    node: Node, tmp_path: Path
) -> None:
    node.start((*RIGGED, "--descriptors", "60"), within_s=60)
    path = write(tmp_path, every=16)
    options = ("-to", "5", "-ta", "5", "--invent-instance", "--repeat", "5")
    callers = [sending(node, path, *options) for _ in range(CALLERS)]
    for caller in callers:
        caller.wait(120)
    wait_until(lambda: storescu(node.port, path) == 0, 60, f"an image to be taken: {node.tail()}")
    wait_until(
        lambda: all(row["decision"] for row in node.images()), 60, "everything to be planned"
    )
