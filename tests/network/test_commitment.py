"""Storage commitment on the wire, against peers that keep the standard and peers that do not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_primitives import N_EVENT_REPORT

from dicom_node.domain.commitments import Commitment, Demand, Heard, Reference, Report
from dicom_node.domain.errors import CapacityError, PeerError, RefusedError
from dicom_node.domain.routes import Peer
from dicom_node.network import waking
from dicom_node.network.associations import Timeouts
from dicom_node.network.commitment import PynetCommitment
from dicom_node.network.pausing import pause_surely
from dicom_node.network.peers import PeerList
from dicom_node.network.scp import StorageScp
from dicom_node.network.scu import PynetStoreClient
from tests.network.conftest import RecordingReceiver
from tests.network.objects import DIGITAL_X_RAY, destination, free_port
from tests.network.test_pausing import slow_to_pass

PUSH_MODEL = "1.2.840.10008.1.20.1"
INSTANCE = "1.2.840.10008.1.20.1.1"
PATIENT = Timeouts(connect_s=60, acse_s=60, dimse_s=60, network_s=60)
QUICK = Timeouts(connect_s=2, acse_s=2, dimse_s=2, network_s=5)
ASKED = Commitment(
    transaction_uid="2.25.77",
    delivery_id=1,
    failures=0,
    instances=tuple(
        Reference(sop_class_uid=DIGITAL_X_RAY, sop_instance_uid=f"2.25.{n}") for n in (1, 2)
    ),
)
UIDS = frozenset({"2.25.1", "2.25.2"})


def event(uid: str, committed: tuple[str, ...], failed: tuple[str, ...] = ()) -> Dataset:
    """Event Information (PS3.4 Table J.3-4)."""

    def item(instance: str) -> Dataset:
        made = Dataset()
        made.ReferencedSOPClassUID = DIGITAL_X_RAY
        made.ReferencedSOPInstanceUID = instance
        return made

    information = Dataset()
    information.TransactionUID = uid
    if committed:
        information.ReferencedSOPSequence = [item(each) for each in committed]
    if failed:
        information.FailedSOPSequence = [item(each) for each in failed]
        for each in information.FailedSOPSequence:
            each.FailureReason = 0x0112
    return information


class Reports(list[Report]):
    """Takes reports."""

    answer: Heard = Heard.COMMITTED
    error: Exception | None = None

    def __call__(self, report: Report) -> Heard:
        if self.error is not None:
            raise self.error
        self.append(report)
        return self.answer


class Demands(list[tuple[str, tuple[Reference, ...], str]]):
    """A `ports.DemandReceiver`."""

    taken = True
    error: Exception | None = None

    def take(
        self,
        transaction_uid: str,
        references: tuple[Reference, ...],
        *,
        calling_ae_title: str,
        address: str,
    ) -> bool:
        if self.error is not None:
            raise self.error
        self.append((transaction_uid, tuple(references), calling_ae_title))
        return self.taken


class Side:
    """Our side: client, handlers and what came in."""

    def __init__(
        self,
        ports: dict[str, int] | None = None,
        timeouts: Timeouts = PATIENT,
        linger_s: float = 1.0,
    ) -> None:
        self.reports, self.demands = Reports(), Demands()
        self.wire = PynetCommitment(
            PynetStoreClient("SYNTH", timeouts=timeouts),
            hear=self.reports,
            demanding=self.demands,
            may_ask=["MODALITY"],
            report_ports=ports or {},
            linger_s=linger_s,
        )


@contextmanager
def archive(on_action: Callable[[Any], int]) -> Iterator[int]:
    ae = AE("ARCHIVE")
    server = ae.start_server(
        ("127.0.0.1", 0),
        block=False,
        contexts=[build_context(PUSH_MODEL)],
        evt_handlers=[(evt.EVT_N_ACTION, lambda event: (on_action(event), None))],
    )
    assert server is not None
    try:
        yield server.server_address[1]
    finally:
        ae.shutdown()


def told(assoc: Any, information: Dataset, kind: int = 1) -> int:
    """Send a report; the status of the answer."""
    answer, _ = assoc.send_n_event_report(information, kind, PUSH_MODEL, INSTANCE)
    return int(answer.Status)


def later(work: Callable[[], object]) -> None:
    def run() -> None:
        time.sleep(0.2)
        work()

    threading.Thread(target=run, daemon=True).start()


def test_the_request_names_the_transaction_and_every_instance() -> None:
    side, seen = Side(), []

    def keep(request: Any) -> int:
        seen.append((request.action_type, request.action_information, request.request))
        return 0x0000

    with archive(keep) as port:
        side.wire.ask(destination(port), ASKED, side.reports)
    ((kind, information, request),) = seen
    assert kind == 1
    assert request.RequestedSOPInstanceUID == INSTANCE
    assert information.TransactionUID == "2.25.77"
    named = {item.ReferencedSOPInstanceUID for item in information.ReferencedSOPSequence}
    assert named == UIDS


def test_a_report_on_the_same_association_is_taken() -> None:
    side, statuses = Side(), []

    def answer(request: Any) -> int:
        later(lambda: statuses.append(told(request.assoc, event("2.25.77", tuple(UIDS)))))
        return 0x0000

    began = time.monotonic()
    with archive(answer) as port:
        side.wire.ask(destination(port), ASKED, side.reports)
    assert time.monotonic() - began < 10
    assert [(r.transaction_uid, r.committed, dict(r.failed)) for r in side.reports] == [
        ("2.25.77", UIDS, {})
    ]


def test_a_report_before_the_response_is_taken() -> None:
    side, statuses = Side(), []

    def answer(request: Any) -> int:
        statuses.append(told(request.assoc, event("2.25.77", ("2.25.1",), ("2.25.2",)), 2))
        return 0x0000

    with archive(answer) as port:
        side.wire.ask(destination(port), ASKED, side.reports)
    assert statuses == [0x0000]
    assert [(r.committed, dict(r.failed)) for r in side.reports] == [
        (frozenset({"2.25.1"}), {"2.25.2": 0x0112})
    ]


def test_an_archive_that_answers_twice_is_heard_twice() -> None:
    side, statuses = Side(), []

    def answer(request: Any) -> int:
        for _ in range(2):
            statuses.append(told(request.assoc, event("2.25.77", tuple(UIDS))))
        return 0x0000

    with archive(answer) as port:
        side.wire.ask(destination(port), ASKED, side.reports)
    assert statuses == [0x0000, 0x0000]
    assert len(side.reports) == 2


def call_back(port: int, uid: str) -> None:
    """Report as archives do that open an association of their own."""
    role = build_role(PUSH_MODEL, scu_role=False, scp_role=True)
    association = calling(port, "ARCHIVE", ext_neg=[role])
    assert told(association, event(uid, tuple(UIDS))) == 0x0000
    association.release()


def seconds_to_ask(side: Side, port: int, uid: str) -> float:
    began = time.monotonic()
    side.wire.ask(destination(port), replace(ASKED, transaction_uid=uid), side.reports)
    return time.monotonic() - began


def test_who_calls_back_at_once_is_not_waited_for_on_the_association() -> None:
    side = Side(linger_s=30.0)
    with node(side) as ours:

        def answer(request: Any) -> int:
            uid = str(request.action_information.TransactionUID)
            threading.Timer(0.3, call_back, (ours, uid)).start()
            return 0x0000

        with archive(answer) as port:
            assert seconds_to_ask(side, port, "2.25.1001") < 15
    assert [report.transaction_uid for report in side.reports] == ["2.25.1001"]


def test_who_calls_back_hours_later_costs_each_request_no_time() -> None:
    """Else deliveries come faster than they are asked about, and their queue never ends."""
    side = Side(linger_s=5.0)
    with node(side) as ours, archive(lambda request: 0x0000) as port:
        assert seconds_to_ask(side, port, "2.25.1001") >= 5
        call_back(ours, "2.25.1001")
        for number in range(1002, 1005):
            assert seconds_to_ask(side, port, f"2.25.{number}") < 4
            call_back(ours, f"2.25.{number}")


def test_an_archive_that_calls_back_no_more_is_waited_for_again() -> None:
    side, here = Side(linger_s=5.0), False

    def answer(request: Any) -> int:
        if here:
            uid = str(request.action_information.TransactionUID)
            later(lambda: report(request.assoc, uid))
        return 0x0000

    def report(association: Any, uid: str) -> None:
        with suppress(RuntimeError):  # we did not stay
            told(association, event(uid, tuple(UIDS)))

    with node(side) as ours, archive(answer) as port:
        seconds_to_ask(side, port, "2.25.1001")
        call_back(ours, "2.25.1001")
        here = True
        for number in range(1002, 1008):
            seconds_to_ask(side, port, f"2.25.{number}")
    assert side.reports[-1].transaction_uid == "2.25.1007"


def test_a_report_of_no_transaction_of_ours_is_answered_with_a_failure() -> None:
    side, statuses = Side(), []
    side.reports.answer = Heard.UNKNOWN

    def answer(request: Any) -> int:
        statuses.append(told(request.assoc, event("2.25.666", tuple(UIDS))))
        return 0x0000

    with archive(answer) as port:
        side.wire.ask(destination(port), ASKED, side.reports)
    assert statuses == [0x0115]


@pytest.mark.parametrize(
    ("error", "status"), [(CapacityError("full"), 0x0110), (KeyError("x"), 0x0110)]
)
def test_a_report_that_cannot_be_written_down_is_not_confirmed(
    error: Exception, status: int
) -> None:
    side, statuses = Side(), []
    side.reports.error = error

    def answer(request: Any) -> int:
        statuses.append(told(request.assoc, event("2.25.77", tuple(UIDS))))
        return 0x0000

    with archive(answer) as port:
        side.wire.ask(destination(port), ASKED, side.reports)
    assert statuses == [status]


def test_an_archive_that_never_answers_costs_the_time_out_and_no_more() -> None:
    side, release = Side(timeouts=QUICK), threading.Event()

    def answer(request: Any) -> int:
        release.wait(20)
        return 0x0000

    began = time.monotonic()
    with archive(answer) as port:
        with pytest.raises(PeerError, match="no answer"):
            side.wire.ask(destination(port), ASKED, side.reports)
        assert time.monotonic() - began < 8
        release.set()


@pytest.mark.parametrize(
    ("status", "error"), [(0x0110, PeerError), (0x0213, PeerError), (0x0211, RefusedError)]
)
def test_a_request_that_fails_is_repeated_or_not_by_its_status(
    status: int, error: type[Exception]
) -> None:
    side = Side()
    with archive(lambda _: status) as port, pytest.raises(error, match=f"0x{status:04X}"):
        side.wire.ask(destination(port), ASKED, side.reports)


def test_an_archive_without_the_service_refused_it() -> None:
    ae = AE("ARCHIVE")
    server = ae.start_server(
        ("127.0.0.1", 0), block=False, contexts=[build_context("1.2.840.10008.1.1")]
    )
    assert server is not None
    with pytest.raises(RefusedError):
        side = Side()
        side.wire.ask(destination(server.server_address[1]), ASKED, side.reports)
    ae.shutdown()


@contextmanager
def node(side: Side, timeouts: Timeouts = QUICK) -> Iterator[int]:
    peers = [Peer(name=each, ae_title=each) for each in ("MODALITY", "ARCHIVE", "OTHER")]
    scp = StorageScp(
        ae_title="SYNTH",
        host="127.0.0.1",
        port=0,
        peers=PeerList(peers=peers),
        receiver=RecordingReceiver(),
        timeouts=timeouts,
        commitment=side.wire,
    )
    scp.start()
    try:
        yield scp.port
    finally:
        scp.stop()


def calling(port: int, ae_title: str, **kwargs: Any) -> Any:
    ae = AE(ae_title)
    association = ae.associate(
        "127.0.0.1", port, contexts=[build_context(PUSH_MODEL)], ae_title="SYNTH", **kwargs
    )
    assert association.is_established
    pause_surely(association)
    return association


@pytest.mark.parametrize("turned", [True, False], ids=["roles turned", "roles not negotiated"])
def test_a_report_on_an_association_of_the_archive_is_taken(turned: bool) -> None:
    side = Side()
    role = build_role(PUSH_MODEL, scu_role=False, scp_role=True)
    with node(side) as port:
        association = calling(port, "ARCHIVE", ext_neg=[role] if turned else [])
        if not turned:  # such archives send it all the same
            association.accepted_contexts[0]._as_scp = True
        assert told(association, event("2.25.77", tuple(UIDS))) == 0x0000
        assert told(association, event("", tuple(UIDS))) == 0x0115
        assert told(association, event("2.25.77", tuple(UIDS)), kind=9) == 0x0113
        association.release()
    assert [report.committed for report in side.reports] == [UIDS]


def demand(association: Any, information: Dataset | None = None, kind: int = 1) -> int:
    information = event("2.25.88", ("2.25.1",)) if information is None else information
    answer, _ = association.send_n_action(information, kind, PUSH_MODEL, INSTANCE)
    return int(answer.Status)


def test_a_demand_is_answered_after_it_is_written_down() -> None:
    side = Side()
    with node(side) as port:
        association = calling(port, "MODALITY")
        assert demand(association) == 0x0000
        assert side.demands == [("2.25.88", ASKED.instances[:1], "MODALITY")]
        side.demands.taken = False
        assert demand(association) == 0x0131
        side.demands.error = CapacityError("the ledger does not answer")
        assert demand(association) == 0x0110
        association.release()


def test_a_demand_that_says_nothing_is_refused() -> None:
    side = Side()
    with node(side) as port:
        association = calling(port, "MODALITY")
        assert demand(association, event("2.25.88", ())) == 0x0115
        assert demand(association, event("", ("2.25.1",))) == 0x0115
        assert demand(association, kind=2) == 0x0123
        association.release()
    assert side.demands == []


def test_a_peer_that_may_not_ask_is_told_so() -> None:
    side = Side()
    with node(side) as port:
        association = calling(port, "OTHER")
        assert demand(association) == 0x0124
        association.release()
    assert side.demands == []


DEMAND = Demand(
    id=1,
    transaction_uid="2.25.88",
    calling_ae_title="MODALITY",
    address="127.0.0.1",
    received_at=0.0,
    attempts=1,
    references=ASKED.instances,
)
PARTLY = Report(
    transaction_uid="2.25.88", committed=frozenset({"2.25.1"}), failed={"2.25.2": 0x0112}
)


class Modality:
    """Takes reports on whatever association they come."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, Dataset]] = []
        self.status = 0x0000

    def on_event(self, event: Any) -> tuple[int, None]:
        self.heard.append((event.event_type, event.event_information))
        return self.status, None

    @property
    def handlers(self) -> list[Any]:
        return [(evt.EVT_N_EVENT_REPORT, self.on_event)]

    @contextmanager
    def listening(self) -> Iterator[int]:
        ae = AE("MODALITY")
        ae.add_supported_context(PUSH_MODEL, scu_role=True, scp_role=True)
        port = free_port()
        ae.start_server(("127.0.0.1", port), block=False, evt_handlers=self.handlers)
        try:
            yield port
        finally:
            ae.shutdown()

    def check(self) -> None:
        ((kind, information),) = self.heard
        assert kind == 2
        assert information.TransactionUID == "2.25.88"
        (good,) = information.ReferencedSOPSequence
        (bad,) = information.FailedSOPSequence
        assert (good.ReferencedSOPInstanceUID, bad.ReferencedSOPInstanceUID) == ("2.25.1", "2.25.2")
        assert bad.FailureReason == 0x0112
        assert bad.ReferencedSOPClassUID == DIGITAL_X_RAY


def test_a_report_goes_out_on_the_association_of_the_demand_while_it_is_open() -> None:
    side, modality = Side(), Modality()
    with node(side) as port:
        association = calling(port, "MODALITY", evt_handlers=modality.handlers)
        assert demand(association) == 0x0000
        time.sleep(0.2)
        side.wire.report(DEMAND, PARTLY)
        association.release()
    modality.check()


def test_a_peer_that_asks_on_before_it_answers_to_a_report_is_served_and_gets_the_report() -> None:
    """Its next request crosses our report: it is none of the answers we wait for."""
    side, modality, statuses = Side(), Modality(), []
    with node(side) as port:

        def ask_on(event_: Any) -> tuple[int, None]:
            statuses.append(demand(event_.assoc, event("2.25.89", ("2.25.1",))))
            return modality.on_event(event_)

        association = calling(port, "MODALITY", evt_handlers=[(evt.EVT_N_EVENT_REPORT, ask_on)])
        assert demand(association) == 0x0000
        side.wire.report(DEMAND, PARTLY)
        assert statuses == [0x0000]
        assert association.is_established
        association.release()
    modality.check()
    assert [uid for uid, _, _ in side.demands] == ["2.25.88", "2.25.89"]


def test_no_answer_to_a_report_is_lost_to_the_thread_of_the_association(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That thread passes its resting place slowly and often, and who reports is slow to listen."""
    real = DIMSEServiceProvider.send_msg

    def send(provider: Any, primitive: Any, context_id: int) -> None:
        real(provider, primitive, context_id)
        if isinstance(primitive, N_EVENT_REPORT) and provider.assoc.is_acceptor:
            time.sleep(0.5)

    monkeypatch.setattr(waking, "LONGEST_S", 0.0)
    monkeypatch.setattr(DIMSEServiceProvider, "send_msg", send)
    slow_to_pass(monkeypatch, 0.2, waking._Checkpoint)
    side, modality = Side(), Modality()
    with node(side, Timeouts(dimse_s=10)) as port:
        association = calling(port, "MODALITY", evt_handlers=modality.handlers)
        for _ in range(3):
            assert demand(association) == 0x0000
            time.sleep(0.3)
            side.wire.report(DEMAND, PARTLY)
        association.release()
    assert len(modality.heard) == 3


def test_a_report_that_a_peer_never_answers_does_not_keep_the_node_from_stopping() -> None:
    side, heard, release = Side(), threading.Event(), threading.Event()
    failed: list[str] = []

    def never(_: Any) -> tuple[int, None]:
        heard.set()
        release.wait(60)
        return 0x0000, None

    def report() -> None:
        with pytest.raises(PeerError) as error:
            side.wire.report(DEMAND, PARTLY)
        failed.append(str(error.value))

    with node(side, PATIENT) as port:
        association = calling(port, "MODALITY", evt_handlers=[(evt.EVT_N_EVENT_REPORT, never)])
        assert demand(association) == 0x0000
        thread = threading.Thread(target=report, daemon=True)
        thread.start()
        assert heard.wait(30)
    thread.join(30)
    release.set()
    assert len(failed) == 1


def test_a_peer_that_goes_while_a_report_is_under_way_gets_it_on_a_new_association() -> None:
    modality = Modality()
    with modality.listening() as back:
        side = Side({"MODALITY": back})
        with node(side, PATIENT) as port:

            def go(event_: Any) -> tuple[int, None]:
                event_.assoc.release()
                return 0x0000, None

            association = calling(port, "MODALITY", evt_handlers=[(evt.EVT_N_EVENT_REPORT, go)])
            assert demand(association) == 0x0000
            began = time.monotonic()
            side.wire.report(DEMAND, PARTLY)
            assert time.monotonic() - began < PATIENT.dimse_s
            assert association.is_released
    modality.check()


def test_a_report_goes_out_on_a_new_association_when_the_first_is_closed() -> None:
    modality = Modality()
    with modality.listening() as back:
        side = Side({"MODALITY": back})
        with node(side) as port:
            association = calling(port, "MODALITY")
            assert demand(association) == 0x0000
            association.release()
            time.sleep(0.2)
            side.wire.report(DEMAND, PARTLY)
    modality.check()


def test_a_report_without_a_way_is_an_error_that_says_what_to_configure() -> None:
    with pytest.raises(PeerError, match="commitment_port"):
        Side().wire.report(DEMAND, PARTLY)


def test_a_report_that_is_refused_is_an_error() -> None:
    modality = Modality()
    modality.status = 0x0110
    with modality.listening() as back, pytest.raises(PeerError, match="0x0110"):
        Side({"MODALITY": back}).wire.report(DEMAND, PARTLY)
