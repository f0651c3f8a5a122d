"""A destination behind a network that drops every packet, at first or in the middle of a delivery,
in a namespace of its own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydicom import dcmread

from tests.acceptance.harness import VIEWS, Node, configuration, storescu, wait_until
from tests.acceptance.radiographs import copy_of, write_copies
from tests.acceptance.recorder import Recorder
from tests.fakes.postgresql import INSTALLED, cluster
from tests.network.objects import free_port, tool

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow  # not peer: what it needs of a machine may not be had in CI

RIGGED = ("-m", "tests.acceptance.rigged", "serve", "--echo")
IMAGES = 3
PORT = 11112


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@dataclass(frozen=True, kw_only=True)
class Hole:
    """A namespace that swallows what is sent to an address, until it has that address."""

    name: str
    address: str
    outside: str

    @property
    def ours(self) -> str:
        """The address that those inside see."""
        return self.address.rsplit(".", 1)[0] + ".1"

    def lose_ours(self) -> None:
        """The machine that had it is gone; another one is in its place, at another address."""
        ip("address", "del", f"{self.ours}/24", "dev", self.outside)
        ip("address", "add", f"{self.ours}0/24", "dev", self.outside)

    def open(self) -> None:
        ip("-n", self.name, "address", "add", f"{self.address}/24", "dev", self.name)

    def cut(self) -> None:
        """From now on every packet ends there, whatever is connected."""
        ip("-n", self.name, "address", "del", f"{self.address}/24", "dev", self.name)

    def run(self, *command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["ip", "netns", "exec", self.name, *command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


@pytest.fixture
def hole() -> Iterator[Hole]:
    if shutil.which("ip") is None:
        pytest.skip("needs ip (Debian: iproute2) on this machine")
    number = os.getpid()
    inside, outside = f"in{number}", f"out{number}"
    network = f"198.18.{number % 256}"  # RFC 2544: not in use anywhere
    try:
        ip("netns", "add", inside)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"a network namespace cannot be made here: {error.stderr.strip()}")
    try:
        try:
            ip("link", "add", outside, "type", "veth", "peer", "name", inside, "netns", inside)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"a network cannot be made here: {error.stderr.strip()}")
        ip("address", "add", f"{network}.1/24", "dev", outside)
        ip("link", "set", outside, "up")
        ip("-n", inside, "link", "set", "lo", "up")
        ip("-n", inside, "link", "set", inside, "up")
        shown = subprocess.run(
            ["ip", "netns", "exec", inside, "cat", f"/sys/class/net/{inside}/address"],
            check=True,
            capture_output=True,
            text=True,
        )
        # Nobody answers for the address, but frames for it go there and end there.
        hardware = shown.stdout.strip()
        ip("neighbour", "add", f"{network}.2", "lladdr", hardware, "dev", outside)
        yield Hole(name=inside, address=f"{network}.2", outside=outside)
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            ip("link", "delete", outside)
        ip("netns", "delete", inside)


def test_a_destination_that_packets_do_not_reach_delays_no_other_and_gets_all_when_they_do(
    hole: Hole, tmp_path: Path, weights: Path
) -> None:
    port = free_port()
    near = Recorder("ORTHANC", node_port=port)
    values = configuration(port=port, archive_port=near.port, weights=weights)
    away = {**values["destinations"][0], "name": "away", "ae_title": "AWAY"}
    values["destinations"].append(away | {"host": hole.address, "port": PORT})
    values["routes"][0]["send_to"].append("away")
    node = Node(tmp_path, values)
    (arrived := tmp_path / "arrived").mkdir()
    archive = None
    try:
        node.start(RIGGED)
        descriptors = node.process.num_fds()
        for path in write_copies(tmp_path, IMAGES).values():
            assert storescu(node.port, path) == 0
        wait_until(lambda: len(near.stored) == IMAGES * VIEWS, 120, "all views to be near")
        failed = node.wait_for("a delivery failed and is sent again", 120)
        assert failed["destination"] == "away"
        assert not list(arrived.iterdir())
        assert states(node, "away") <= {"pending", "sending"}
        wait_until(lambda: states(node, "pacs") == {"closed"}, 60, "the near ones to be closed")
        assert node.process.num_fds() <= descriptors + 20

        archive = hole.run(tool("storescp"), "-aet", "AWAY", "-od", str(arrived), "+uf", str(PORT))
        hole.open()
        wait_until(
            lambda: len(list(arrived.iterdir())) == IMAGES * VIEWS, 180, "all views to be away"
        )
        wait_until(lambda: states(node, "away") == {"closed"}, 60, "those to be closed too")
        assert {len(sent) for sent in near.stored.values()} == {1}
        assert node.stop() == 0
    finally:
        node.kill()
        near.stop()
        if archive is not None:
            archive.kill()
            archive.wait()


def test_a_link_that_is_cut_in_the_middle_of_a_delivery_costs_nothing_and_delays_no_other(
    hole: Hole, tmp_path: Path, weights: Path
) -> None:
    port = free_port()
    near = Recorder("ORTHANC", node_port=port)
    values = configuration(port=port, archive_port=near.port, weights=weights)
    away = {**values["destinations"][0], "name": "away", "ae_title": "AWAY"}
    values["destinations"].append(away | {"host": hole.address, "port": PORT})
    values["routes"][0]["send_to"].append("away")
    node = Node(tmp_path, values)
    (arrived := tmp_path / "arrived").mkdir()
    slowly = ("-aet", "AWAY", "-od", str(arrived), "+uf", "--sleep-after", "1", str(PORT))
    hole.open()
    archive = hole.run(tool("storescp"), *slowly)
    try:
        node.start((*RIGGED, "--patience", "10"))
        first, *others = write_copies(tmp_path, IMAGES).values()
        assert storescu(node.port, first) == 0
        wait_until(lambda: len(list(arrived.iterdir())) == 2, 120, "two of four to be away")
        hole.cut()
        answered = answers(node)
        assert 1 <= answered < VIEWS
        for path in others:
            assert storescu(node.port, path) == 0
        wait_until(lambda: len(near.stored) == IMAGES * VIEWS, 60, "all views to be near")
        descriptors, threads = node.process.num_fds(), node.process.num_threads()
        failed = node.wait_for("a delivery failed and is sent again", 180)
        assert failed["destination"] == "away"
        wait_until(lambda: states(node, "pacs") == {"closed"}, 60, "the near ones to be closed")
        assert len(list(arrived.iterdir())) <= answered + 2

        hole.open()
        wait_until(lambda: states(node, "away") == {"closed"}, 240, "all to be away too")
        assert node.process.num_fds() <= descriptors + 5
        assert node.process.num_threads() <= threads + 2
        held = [dcmread(path) for path in arrived.iterdir()]
        kept = Counter(str(each.SOPInstanceUID) for each in held)
        assert kept.keys() == near.stored.keys()
        # What was under way when the link was cut may have come, and its answer not.
        assert len(held) <= IMAGES * VIEWS + 1
        assert len({bytes(each.PixelData) for each in held}) == len(kept), "halves, or two contents"
        assert {len(sent) for sent in near.stored.values()} == {1}
        assert node.stop() == 0
    finally:
        node.kill()
        near.stop()
        archive.kill()
        archive.wait()


SLOW_SENDER = """
import sys, time
from pydicom import dcmread
from pynetdicom import AE, evt
host, port, path = sys.argv[1:]
image = dcmread(path)
ae = AE("FAR")
ae.add_requested_context(image.SOPClassUID, image.file_meta.TransferSyntaxUID)
slowly = [(evt.EVT_PDU_SENT, lambda event: time.sleep(0.5))]
association = ae.associate(host, int(port), ae_title="SYNTH", evt_handlers=slowly)
association.send_c_store(image)
"""


def test_a_sender_whose_link_dies_in_the_middle_of_an_image_is_dropped_and_leaves_nothing(
    hole: Hole, tmp_path: Path, weights: Path
) -> None:
    values = configuration(port=free_port(), archive_port=free_port(), weights=weights)
    values["node"] |= {"host": "0.0.0.0", "idle_timeout_s": 3}
    values["peers"].append({"name": "far", "ae_title": "FAR", "host": hole.address})
    node = Node(tmp_path, values)
    large = copy_of("RG1_UNCR.dcm")
    large.save_as(path := tmp_path / "large.dcm")
    (near,) = write_copies(tmp_path, 1).values()
    hole.open()
    node.start((*RIGGED, "--no-synthesis"))
    descriptors, threads = node.process.num_fds(), node.process.num_threads()
    sender = hole.run(sys.executable, "-c", SLOW_SENDER, hole.ours, str(node.port), str(path))
    try:
        wait_until(lambda: node.process.num_threads() > threads, 60, "the sender to be there")
        time.sleep(1.5)
        hole.cut()
        assert sender.poll() is None
        assert storescu(node.port, near) == 0
        wait_until(lambda: node.process.num_threads() <= threads + 1, 60, "its threads to end")
        (image,) = node.images()
        assert image["sop_instance_uid"] != large.SOPInstanceUID
        spool = node.folder / "data" / "spool"
        assert len([each for each in spool.rglob("*") if each.is_file()]) == 1
        assert storescu(node.port, near) == 0
        wait_until(lambda: node.process.num_fds() <= descriptors + 4, 30, "descriptors back")
        assert node.stop() == 0
    finally:
        node.kill()
        sender.kill()
        sender.wait()


def test_a_database_that_has_not_missed_the_machine_of_a_node_yet_keeps_it_not_from_starting(
    hole: Hole, tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lost power, or its network: nobody told the server that the node there is gone."""
    if not INSTALLED:
        pytest.skip("needs PostgreSQL (Debian: postgresql) on this machine")
    hole.open()
    with cluster(host=hole.address, namespace=hole.name) as server:
        monkeypatch.setattr(Node, "everywhere", server)
        node = Node(tmp_path, configuration(port=free_port(), archive_port=1, weights=weights))
        try:
            node.start((*RIGGED, "--no-synthesis"))
            (image,) = write_copies(tmp_path, 1).values()
            assert storescu(node.port, image) == 0
            hole.lose_ours()
            node.kill()
            node.start((*RIGGED, "--no-synthesis"), within_s=100)
            waited = "another node holds the ledger: waiting for its end"
            assert waited in [line["event"] for line in node.lines]
            assert len(node.images()) == 1
            assert node.stop() == 0
        finally:
            node.kill()


def answers(node: Node) -> int:
    """Instances that the destination that is away has answered for."""
    ((count,),) = node.rows(
        "SELECT count(*) FROM sends JOIN deliveries ON deliveries.id = sends.delivery_id "
        "WHERE deliveries.destination = 'away' AND sends.outcome IS NOT NULL"
    )
    return int(count)


def states(node: Node, destination: str) -> set[str]:
    return {
        delivery["state"]
        for job in node.jobs()
        for delivery in job["deliveries"]
        if delivery["destination"] == destination
    }
