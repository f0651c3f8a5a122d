"""What other systems get wrong, by the numbers of the design's list; each is impossible here.

These are the shortest proofs; the suites of each package go into every corner of the same points.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from pydicom import dcmread
from pydicom.uid import ImplicitVRLittleEndian, JPEG2000Lossless

from dicom_node.domain.deliveries import DeliveryState
from dicom_node.domain.errors import RefusedError
from dicom_node.domain.jobs import JobState
from dicom_node.domain.rules import Matches, Range
from dicom_node.network.associations import Timeouts
from dicom_node.network.scp import StorageScp
from dicom_node.network.scu import PynetStoreClient
from dicom_node.ports import DecidedAs, Receipt
from dicom_node.store.spool import FileSpool
from tests.acceptance.harness import conformance_errors, wait_until
from tests.fakes import rows
from tests.fakes.archive import FakeArchive
from tests.fakes.clock import ManualClock
from tests.fakes.database import fresh_ledger
from tests.fakes.engine import FakeEngine
from tests.fakes.power import CutAt, PowerCut
from tests.fakes.radiographs import radiograph, received
from tests.network.conftest import PEERS, RecordingReceiver
from tests.network.objects import derived, destination, write_object
from tests.network.test_scp import associate
from tests.network.test_scu import Answers, Outcomes, archive
from tests.services.node import PACS, Node, route
from tests.services.test_committing import Site, yes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dicom_node.ports import DeliveryRow, ImageRow
    from synthesis.types import SynthesisResult

POINTS = range(1, 14)
RESEARCH = replace(PACS, name="research")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """All services over a real ledger and spool, with an archive and an engine in memory."""
    clock, ledger = ManualClock(), fresh_ledger(tmp_path)
    yield Node(ledger=ledger, spool=FileSpool(tmp_path / "spool", clock=clock), clock=clock)
    ledger.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A delivery that was sent and is to be committed."""
    made = Site(fresh_ledger(tmp_path))
    rows.queue(made.ledger, 1, made.clock(), views=3)
    rows.finish(made.ledger, made.clock())
    made.send()
    yield made
    made.ledger.close()


class Flat(FakeEngine):
    """Draws images without any difference, which no validator minds."""

    def synthesize(self, *args: Any, **kwargs: Any) -> SynthesisResult:
        result = super().synthesize(*args, **kwargs)
        flat = (
            replace(image, pixels=image.pixels * 0 + image.intensity.low) for image in result.images
        )
        return replace(result, images=tuple(flat))


def deliveries(node: Node) -> dict[str, DeliveryRow]:
    return {row.delivery.destination: row for row in node.ledger.deliveries()}


def only_image(node: Node) -> ImageRow:
    (row,) = node.ledger.images()
    return row


def test_1_a_destination_that_is_down_loses_no_work(node: Node) -> None:
    node.receiving.receive(received(1))
    node.plan(), node.synthesize()
    node.archive.down = True
    node.deliver()
    assert deliveries(node)["pacs"].delivery.state is DeliveryState.PENDING
    node.archive.down = False
    node.restarted().run_to_rest()
    assert deliveries(node)["pacs"].delivery.state is DeliveryState.CLOSED
    assert len(node.archive.stored) == 2


def test_2_one_bad_destination_does_not_block_the_queue_of_another(node: Node) -> None:
    node.destinations = (PACS, RESEARCH)
    node.routes = (route(send_to=("pacs", "research")),)
    for number in (1, 2):
        node.receiving.receive(received(number))
        node.plan(), node.synthesize()
    bad = replace(node.delivering(PACS), client=(away := FakeArchive()))
    away.down = True
    while bad.run_once(node.clock()) or node.deliver(RESEARCH):
        pass
    states = {(row.delivery.destination, row.delivery.state) for row in node.ledger.deliveries()}
    assert states == {("pacs", DeliveryState.PENDING), ("research", DeliveryState.CLOSED)}


def test_3_a_queue_that_stands_still_says_why_and_goes_on_when_its_sender_was_killed(
    node: Node,
) -> None:
    node.receiving.receive(received(1))
    node.plan(), node.synthesize()
    node.archive.down = True
    node.deliver()
    waiting = deliveries(node)["pacs"].delivery
    assert waiting.attempts == 1
    assert waiting.not_before == node.clock() + 5.0
    assert waiting.last_error == "pacs does not answer"
    node.clock.now = waiting.not_before
    node.archive.down = False
    killed = replace(node.delivering(), client=CutAt(node.archive, "send"))
    with pytest.raises(PowerCut):
        killed.run_once(node.clock())
    assert deliveries(node)["pacs"].delivery.state is DeliveryState.SENDING
    node.restarted().run_to_rest()
    assert deliveries(node)["pacs"].delivery.state is DeliveryState.CLOSED


def test_4_no_timer_guesses_that_a_series_is_complete(node: Node) -> None:
    """Each image is decided by itself, at once, and one that comes a day later all the same."""
    node.receiving.receive(received(1))
    assert node.plan() is True
    node.clock.advance(24 * 3600.0)
    node.receiving.receive(received(2))
    assert node.plan() is True
    node.run_to_rest()
    assert [row.job.state for row in node.ledger.jobs()] == [JobState.DONE] * 2
    assert len(node.archive.stored) == 4


def test_5_sent_is_not_stored_and_a_report_that_is_lost_or_doubled_changes_nothing(
    site: Site,
) -> None:
    site.run()  # asks, and no report comes
    assert site.state is DeliveryState.COMMIT_REQUESTED
    (first,) = site.archive.asked
    site.clock.advance(700.0)
    for _ in range(4):
        site.run()
        site.clock.advance(10.0)
    assert len({each.transaction_uid for each in site.archive.asked}) > 1
    last = site.archive.asked[-1]
    assert {each.sop_instance_uid for each in last.instances} == {
        each.sop_instance_uid for each in first.instances
    }
    for _ in range(2):
        site.hearing.hear(yes(last))
        assert site.state is DeliveryState.COMMITTED


def test_6_pixel_data_arrive_whole_or_the_object_is_refused(tmp_path: Path) -> None:
    client = PynetStoreClient("SYNTH", timeouts=Timeouts(connect_s=60, acse_s=60, dimse_s=60))
    path = write_object(tmp_path / "plain.dcm")
    plain = (derived(path, uid="2.25.1", index=0), path)
    compressed = dcmread(path)
    compressed.compress(JPEG2000Lossless, generate_instance_uid=False)
    compressed.save_as(tmp_path / "small.dcm")
    small = replace(plain[0], transfer_syntax_uid=str(JPEG2000Lossless))
    answers = Answers()
    with archive(answers, (plain[0].sop_class_uid, [ImplicitVRLittleEndian])) as port:
        client.send(destination(port), [plain], Outcomes())
        with pytest.raises(RefusedError):
            client.send(destination(port), [(small, tmp_path / "small.dcm")], Outcomes())
    ((syntax, data),) = answers.files
    (tmp_path / "arrived").write_bytes(data)
    assert syntax == ImplicitVRLittleEndian
    assert dcmread(tmp_path / "arrived", force=True) == dcmread(path)


def test_7_a_validator_accepts_what_was_made_and_what_it_would_not_is_not_sent(
    node: Node, tmp_path: Path
) -> None:
    node.receiving.receive(received(1))
    node.receiving.receive(received(2))
    node.plan(), node.plan()
    node.synthesize()
    made = deliveries(node)["pacs"].delivery.outstanding
    for number, instance in enumerate(made):
        (tmp_path / f"{number}.dcm").write_bytes(node.spool.read(instance.digest))
        assert conformance_errors(tmp_path / f"{number}.dcm") == []
    node.engine = Flat()
    node.run_to_rest()
    assert {row.job.state for row in node.ledger.jobs()} == {JobState.DONE, JobState.QUARANTINED}
    assert set(node.archive.stored) == {each.sop_instance_uid for each in made}


def test_8_probes_and_half_open_associations_do_not_exhaust_the_scp() -> None:
    scp = StorageScp(
        ae_title="SYNTH",
        host="127.0.0.1",
        port=0,
        peers=PEERS,
        receiver=RecordingReceiver(),
        max_associations=4,
        timeouts=Timeouts(connect_s=60, acse_s=1, dimse_s=60, network_s=1),
    )
    scp.start()
    try:
        for _ in range(40):
            socket.create_connection(("127.0.0.1", scp.port)).close()
        halves = [socket.create_connection(("127.0.0.1", scp.port)) for _ in range(8)]
        for half in halves:
            with suppress(OSError):
                half.sendall(b"\x01\x00\x00\x00\x10\x00half of a request")

        def heard() -> bool:
            association = associate(scp.port)
            if not association.is_established:
                return False
            status = association.send_c_echo().Status
            association.release()
            return bool(status == 0x0000)

        wait_until(heard, 60, "a neighbour to be heard")
        for half in halves:
            half.close()
    finally:
        scp.stop()


@pytest.mark.parametrize("step", ["plan", "synthesize", "deliver"])
def test_9_an_acknowledged_image_outlives_a_crash(node: Node, step: str) -> None:
    """The power fails after the answer, at any later step; and before it nothing is promised."""
    unsafe = replace(node.receiving, ledger=CutAt(node.ledger, "record_image"))
    with pytest.raises(PowerCut):
        unsafe.receive(received(1))
    assert not node.restarted().ledger.images()
    assert node.receiving.receive(received(1)) is Receipt.NEW
    cuts = {
        "plan": (node.planning, "ledger", "record_decision"),
        "synthesize": (node.synthesizing, "ledger", "finish_job"),
        "deliver": (node.delivering(), "client", "send"),
    }
    for name, run in (("plan", node.plan), ("synthesize", node.synthesize), ("deliver", None)):
        if name == step:
            break
        assert run is not None
        run()
    service, port, method = cuts[step]
    rigged = replace(service, **{port: CutAt(getattr(service, port), method)})
    with pytest.raises(PowerCut):
        rigged.run_once(node.clock())
    node.restarted().run_to_rest()
    assert {uid: len(set(sent)) for uid, sent in node.archive.stored.items()} == dict.fromkeys(
        node.archive.stored, 1
    )
    assert len(node.archive.stored) == 2


def test_10_a_duplicate_neither_overwrites_nor_multiplies(node: Node) -> None:
    assert node.receiving.receive(received(1)) is Receipt.NEW
    assert node.receiving.receive(received(1)) is Receipt.DUPLICATE
    other = radiograph(1, PatientComments="other content")
    assert node.receiving.receive(received(1, other)) is Receipt.CONFLICT
    node.run_to_rest()
    assert len(node.ledger.jobs()) == 1
    assert len(node.archive.stored) == 2
    kept = {row.image.digest for row in node.ledger.images()}
    assert {node.spool.read(digest) for digest in kept} == {radiograph(1), other}


def test_11_a_rule_that_raises_means_quarantine_and_never_discard(node: Node) -> None:
    node.routes = (route(Range(attribute="BodyPartExamined", at_least=1)), route(name="later"))
    node.receiving.receive(received(1))
    node.run_to_rest()
    decision = only_image(node).decision
    assert decision is not None
    assert decision.decided_as is DecidedAs.QUARANTINE
    assert "rule failed: chest" in decision.reason
    assert node.spool.read(only_image(node).image.digest) == radiograph(1)


def test_12_the_nodes_own_output_is_no_input(node: Node) -> None:
    node.receiving.receive(received(1))
    node.run_to_rest()
    node.routes = (route(Matches(attribute="Modality", matches=".*")),)
    for uid, (digest, *_) in node.archive.stored.items():
        own = replace(
            received(1),
            data=node.spool.read(digest),
            sop_class_uid=str(dcmread(node.spool.path(digest)).SOPClassUID),
            sop_instance_uid=uid,
        )
        assert node.receiving.receive(own) is Receipt.NEW
    before = len(node.archive.stored)
    node.run_to_rest()
    assert len(node.ledger.jobs()) == 1
    assert len(node.archive.stored) == before == 2


@pytest.mark.parametrize("mark", [{"QualityControlImage": "YES"}, {"SyntheticData": "YES"}])
def test_13_phantoms_and_test_images_reach_no_model(node: Node, mark: dict[str, str]) -> None:
    node.receiving.receive(received(1, **mark))
    node.run_to_rest()
    decision = only_image(node).decision
    assert decision is not None
    assert decision.decided_as is DecidedAs.IGNORE
    assert decision.reason.startswith("guard: ")
    assert node.engine.requests == []


def test_every_point_has_a_test_named_after_it() -> None:
    names = [name.split("_")[1] for name in globals() if name.startswith("test_")]
    assert {int(number) for number in names if number.isdigit()} == set(POINTS)
