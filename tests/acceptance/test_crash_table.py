"""``kill -9`` at each named point of an image's path: nothing lost, nothing doubled.

The node is the real command in a process of its own, with parts that end it at the point; what it
left is picked up by the next start. Ledger and archive are compared byte by byte.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.harness import VIEWS, Node, configuration, storescu, stow, wait_until
from tests.acceptance.radiographs import copy_of
from tests.acceptance.recorder import Recorder
from tests.network.objects import data_set_bytes, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.peer

TOKEN = "a token that nobody guesses"

RIGGED = ("-m", "tests.acceptance.rigged", "serve", "--echo")

UNANSWERED = {
    "half of a temporary file": "half of a temporary file",
    "temporary file written": "a temporary file",
    "renamed, not yet in the ledger": "after spool.put",
    "before the ledger": "before ledger.record_image",
    "in the ledger, before 0x0000": "after ledger.record_image",
}
"""Points before the sender has its answer."""

ANSWERED = {
    "before the decision": "before ledger.record_decision",
    "decided, jobs inserted": "after ledger.record_decision",
    "lease taken": "after ledger.lease_job",
    "in the middle of the synthesis": "before engine.synthesize",
    "one derived file spooled": "after spool.put x2",
    "half of the third derived file": "half of a temporary file x4",
    "derived files spooled, before the transaction": "before ledger.finish_job",
    "after the transaction, before the send": "after ledger.finish_job",
    "a delivery leased": "after ledger.lease_delivery",
    "first instance answered, not written down": "before ledger.record_outcome",
    "some instances sent": "after ledger.record_outcome x2",
    "all sent, not closed": "before ledger.finish_delivery",
    "stored, not asked for commitment": "after ledger.finish_delivery",
    "asked in the ledger, not on the wire": "after ledger.ask_commitment",
    "report heard, not written down": "before ledger.hear_report",
    "report written down, not confirmed": "after ledger.hear_report",
}
"""Points behind it; the first of them race with the answer. ``xN``: at the Nth time."""


@dataclasses.dataclass(kw_only=True)
class Bench:
    """A node that dies where it is told, and an archive that remembers."""

    node: Node
    archive: Recorder

    def arm(self, point: str) -> None:
        (self.node.folder / "fuse").write_text(point)

    def await_death(self) -> None:
        assert self.node.wait(120) == -signal.SIGKILL

    def restart(self) -> None:
        self.archive.reset()
        assert not (self.node.folder / "fuse").exists()
        self.node.start(RIGGED, forget=False)


@contextlib.contextmanager
def new_bench(folder: Path, weights: Path) -> Iterator[Bench]:
    """Both, running."""
    port = free_port()
    archive = Recorder("ORTHANC", node_port=port)
    values = configuration(port=port, archive_port=archive.port, weights=weights)
    values["destinations"][0] |= {"commitment": "required", "commitment_timeout_s": 4}
    values["peers"].append({"name": "web", "ae_title": "WEB", "token_file": "token"})
    values["dicomweb"] = {"enabled": True, "port": free_port()}
    (folder / "token").write_text(f"{TOKEN}\n")
    node = Node(folder, values)
    node.start(RIGGED)
    try:
        yield Bench(node=node, archive=archive)
    finally:
        node.kill()
        archive.stop()


@pytest.fixture(scope="module")
def module_bench(
    tmp_path_factory: pytest.TempPathFactory, weights: Path, ledger: str
) -> Iterator[Bench]:
    with new_bench(tmp_path_factory.mktemp("bench"), weights) as made:
        yield made


@pytest.fixture
def bench(module_bench: Bench) -> Iterator[Bench]:
    yield module_bench
    if module_bench.node.ended():  # a test that failed is not to take the others along
        (module_bench.node.folder / "fuse").unlink(missing_ok=True)
        module_bench.restart()


def new_image(folder: Path) -> tuple[str, Path]:
    dataset = copy_of("RG1_UNCR.dcm", every=16)
    pixels = dataset.pixel_array.copy()
    pixels[0, :8] = list(os.urandom(8))  # no two alike, so that every image has jobs of its own
    dataset.PixelData = pixels.tobytes()
    dataset.save_as(path := folder / "image.dcm")
    return str(dataset.SOPInstanceUID), path


DERIVED = """
    SELECT derived.sop_instance_uid, derived.digest FROM derived
    JOIN jobs ON jobs.id = derived.job_id JOIN images ON images.id = jobs.image_id
    WHERE images.sop_instance_uid = :uid
"""
STATES = """
    SELECT jobs.state, deliveries.state FROM jobs
    JOIN images ON images.id = jobs.image_id LEFT JOIN deliveries ON deliveries.job_id = jobs.id
    WHERE images.sop_instance_uid = :uid
"""


def check_delivered_once(bench: Bench, uid: str) -> None:
    """One row, one job, one delivery; the archive has what the ledger says, byte by byte."""
    node = bench.node
    wait_until(
        lambda: node.rows(STATES, uid=uid) == [("done", "committed")],
        120,
        f"the image's way to its end: {node.rows(STATES, uid=uid)} {node.tail()}",
    )
    assert len(node.rows("SELECT id FROM images WHERE sop_instance_uid = :uid", uid=uid)) == 1
    derived = dict(node.rows(DERIVED, uid=uid))
    assert len(derived) == VIEWS
    for made, digest in derived.items():
        data = (node.folder / "data" / "spool" / digest[:2] / f"{digest}.dcm").read_bytes()
        assert hashlib.sha256(data).hexdigest() == digest, "a file that is not whole"
        content = hashlib.sha256(data_set_bytes(data)).hexdigest()
        assert set(bench.archive.stored[made]) == {content}, "one UID, two contents"
    claimed = {made for (made,) in node.rows("SELECT sop_instance_uid FROM derived")}
    assert set(bench.archive.stored) == claimed, "the archive has what the ledger knows nothing of"
    spool = node.folder / "data" / "spool"
    assert list(spool.glob("*/*.tmp")) == []


def check_source_is_safe(bench: Bench, uid: str) -> None:
    """What was acknowledged, or may have been, lies in the spool, whole, with its row."""
    by_uid = "SELECT digest FROM images WHERE sop_instance_uid = :uid"
    ((digest,),) = bench.node.rows(by_uid, uid=uid)
    file = bench.node.folder / "data" / "spool" / digest[:2] / f"{digest}.dcm"
    assert hashlib.sha256(file.read_bytes()).hexdigest() == digest


@pytest.mark.on_both(*(each for each in UNANSWERED if "ledger" in UNANSWERED[each]))
@pytest.mark.parametrize("point", UNANSWERED)
def test_an_image_that_was_not_answered_for_is_sent_again_and_delivered_once(
    bench: Bench, tmp_path: Path, point: str
) -> None:
    uid, path = new_image(tmp_path)
    bench.arm(UNANSWERED[point])
    assert storescu(bench.node.port, path) != 0
    bench.await_death()
    bench.restart()
    assert storescu(bench.node.port, path) == 0
    check_delivered_once(bench, uid)


@pytest.mark.parametrize("point", UNANSWERED)
def test_an_image_by_http_that_was_not_answered_for_is_sent_again_and_delivered_once(
    bench: Bench, tmp_path: Path, point: str
) -> None:
    uid, path = new_image(tmp_path)
    bench.arm(UNANSWERED[point])
    assert bench.node.web_port is not None
    assert stow(bench.node.web_port, TOKEN, path) == 0
    bench.await_death()
    bench.restart()
    assert stow(bench.node.web_port, TOKEN, path) == 200
    check_delivered_once(bench, uid)


@pytest.mark.on_both(*(each for each in ANSWERED if "ledger" in ANSWERED[each]))
@pytest.mark.parametrize("point", ANSWERED)
def test_an_image_that_is_safe_is_delivered_once(bench: Bench, tmp_path: Path, point: str) -> None:
    uid, path = new_image(tmp_path)
    bench.arm(ANSWERED[point])
    acknowledged = storescu(bench.node.port, path) == 0
    bench.await_death()
    check_source_is_safe(bench, uid)
    bench.restart()
    if not acknowledged:
        assert storescu(bench.node.port, path) == 0
    check_delivered_once(bench, uid)


@pytest.mark.on_both
def test_a_node_that_dies_while_the_archive_holds_its_answer_to_an_instance_delivers_once(
    bench: Bench, tmp_path: Path
) -> None:
    """The archive stored the second of four instances; the node never learns it."""
    uid, path = new_image(tmp_path)
    answered = threading.Event()

    def kill(count: int) -> None:
        if count == 2:
            bench.node.signal(signal.SIGKILL)
            answered.set()

    bench.archive.on_store = kill
    assert storescu(bench.node.port, path) == 0
    assert answered.wait(30)
    bench.await_death()
    bench.restart()
    check_delivered_once(bench, uid)


@pytest.mark.on_both
def test_a_node_that_dies_after_n_action_and_before_its_reply_is_committed(
    bench: Bench, tmp_path: Path
) -> None:
    uid, path = new_image(tmp_path)
    asked = threading.Event()

    def kill() -> None:
        if not asked.is_set():
            bench.node.signal(signal.SIGKILL)
            asked.set()
            time.sleep(0.2)

    bench.archive.on_action = kill
    assert storescu(bench.node.port, path) == 0
    assert asked.wait(30)
    bench.await_death()
    bench.restart()
    check_delivered_once(bench, uid)


@pytest.mark.on_both
def test_the_restarts_delivered_nothing_under_two_uids(bench: Bench) -> None:
    """Runs after the others of this file: no content came twice, and none is unaccounted for."""
    contents = [digests[0] for digests in bench.archive.stored.values()]
    assert len(set(contents)) == len(contents)
    assert len(contents) == VIEWS * len(bench.node.rows("SELECT id FROM jobs"))
