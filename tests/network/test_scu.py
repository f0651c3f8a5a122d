"""The store client against pynetdicom servers that answer what a test asks for."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, build_context, evt

from dicom_node.domain.deliveries import DerivedInstance, Outcome
from dicom_node.domain.errors import IntegrityError, PeerError, RefusedError, UnreachableError
from dicom_node.network.associations import Timeouts
from dicom_node.network.scu import PynetStoreClient
from tests.network.objects import (
    COMPUTED_RADIOGRAPHY,
    DIGITAL_X_RAY,
    data_set_bytes,
    derived,
    destination,
    free_port,
    write_instances,
    write_object,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

VERIFICATION = "1.2.840.10008.1.1"
QUICK = Timeouts(connect_s=1, acse_s=1, dimse_s=1, network_s=3)


class Answers:
    """A C-STORE SCP: keeps what came as (syntax, bytes), answers statuses in turn, then success."""

    def __init__(self, statuses: Sequence[int] = ()) -> None:
        self.statuses = list(statuses)
        self.files: list[tuple[str, bytes]] = []
        self.associations = 0
        self.before_answer: Callable[[Any], object] = lambda event: None

    def on_store(self, event: Any) -> int:
        self.before_answer(event)
        self.files.append(
            (str(event.context.transfer_syntax), event.encoded_dataset(include_meta=False))
        )
        return self.statuses.pop(0) if self.statuses else 0x0000

    def on_accepted(self, event: Any) -> None:
        self.associations += 1


@contextmanager
def archive(
    answers: Answers, *contexts: tuple[str, list[str]], ae_title: str = "ARCHIVE"
) -> Iterator[int]:
    ae = AE(ae_title=ae_title)
    ae.require_called_aet = True
    wanted = contexts or ((DIGITAL_X_RAY, [ExplicitVRLittleEndian, ImplicitVRLittleEndian]),)
    server = ae.start_server(
        ("127.0.0.1", 0),
        block=False,
        contexts=[build_context(VERIFICATION), *(build_context(*c) for c in wanted)],
        evt_handlers=[(evt.EVT_C_STORE, answers.on_store), (evt.EVT_ACCEPTED, answers.on_accepted)],
    )
    assert server is not None
    try:
        yield server.server_address[1]
    finally:
        ae.shutdown()


class Outcomes(list[tuple[int, Outcome, int]]):
    def __call__(self, instance: DerivedInstance, outcome: Outcome, status: int) -> None:
        self.append((instance.index, outcome, status))


@pytest.fixture
def client() -> PynetStoreClient:
    return PynetStoreClient("SYNTH", timeouts=QUICK)


def test_files_go_out_in_order_over_one_association_as_they_lie_on_disk(
    client: PynetStoreClient, tmp_path: Path
) -> None:
    answers, outcomes = Answers(), Outcomes()
    instances = write_instances(tmp_path, 4)
    with archive(answers) as port:
        client.send(destination(port), instances, outcomes)
    assert outcomes == [(n, Outcome.STORED, 0) for n in range(4)]
    assert answers.associations == 1
    assert answers.files == [
        (ExplicitVRLittleEndian, data_set_bytes(path.read_bytes())) for _, path in instances
    ]


def test_each_answer_is_reported_as_it_comes(client: PynetStoreClient, tmp_path: Path) -> None:
    answers, outcomes = Answers([0x0000, 0xB000, 0xA700, 0xC001]), Outcomes()
    with archive(answers) as port:
        client.send(destination(port), write_instances(tmp_path, 5), outcomes)
    assert outcomes == [
        (0, Outcome.STORED, 0x0000),
        (1, Outcome.STORED, 0xB000),
        (2, Outcome.RETRY, 0xA700),
        (3, Outcome.REFUSED, 0xC001),
        (4, Outcome.STORED, 0x0000),
    ]


def test_a_destination_of_the_default_syntax_only_gets_the_same_values_rewritten(
    client: PynetStoreClient, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    answers, outcomes = Answers(), Outcomes()
    ((instance, path),) = write_instances(tmp_path, 1)
    with archive(answers, (DIGITAL_X_RAY, [ImplicitVRLittleEndian])) as port:
        client.send(destination(port), [(instance, path)], outcomes)
    assert outcomes == [(0, Outcome.STORED, 0)]
    ((syntax, data),) = answers.files
    assert syntax == ImplicitVRLittleEndian
    arrived = tmp_path / "arrived"
    arrived.write_bytes(data)
    assert dcmread(arrived, force=True) == dcmread(path)
    assert "rewritten" in capfd.readouterr().out


@pytest.mark.parametrize(
    "taken",
    [(COMPUTED_RADIOGRAPHY, [ExplicitVRLittleEndian]), (DIGITAL_X_RAY, ["1.2.840.10008.1.2.4.50"])],
    ids=["another class", "another syntax"],
)
def test_a_destination_that_takes_no_such_object_refused_it_for_good(
    client: PynetStoreClient, tmp_path: Path, taken: tuple[str, list[str]]
) -> None:
    outcomes = Outcomes()
    with archive(Answers(), taken) as port, pytest.raises(RefusedError, match="archive takes dx"):
        client.send(destination(port), write_instances(tmp_path, 1), outcomes)
    assert outcomes == []


def test_nobody_there_is_a_peer_error(client: PynetStoreClient, tmp_path: Path) -> None:
    with pytest.raises(PeerError, match="archive"):
        client.send(destination(free_port()), write_instances(tmp_path, 1), Outcomes())


def test_an_unknown_host_is_a_peer_error(client: PynetStoreClient, tmp_path: Path) -> None:
    nowhere = destination(104, host="no-such-host.invalid")
    with pytest.raises(PeerError, match=r"no-such-host\.invalid"):
        client.send(nowhere, write_instances(tmp_path, 1), Outcomes())


def test_a_rejection_is_a_peer_error_that_says_why(
    client: PynetStoreClient, tmp_path: Path
) -> None:
    with archive(Answers(), ae_title="OTHER") as port, pytest.raises(PeerError, match="Called AE"):
        client.send(destination(port), write_instances(tmp_path, 1), Outcomes())


def test_an_abort_in_the_middle_keeps_what_was_confirmed(
    client: PynetStoreClient, tmp_path: Path
) -> None:
    answers, outcomes = Answers(), Outcomes()

    def abort_at_third(event: Any) -> None:
        if len(answers.files) == 2:
            event.assoc.abort()

    answers.before_answer = abort_at_third
    with archive(answers) as port, pytest.raises(PeerError):
        client.send(destination(port), write_instances(tmp_path, 5), outcomes)
    assert outcomes == [(0, Outcome.STORED, 0), (1, Outcome.STORED, 0)]


def test_an_answer_that_does_not_come_is_a_peer_error(
    client: PynetStoreClient, tmp_path: Path
) -> None:
    answers, outcomes = Answers(), Outcomes()
    release = threading.Event()
    answers.before_answer = lambda event: release.wait(10)
    started = time.monotonic()
    with archive(answers) as port:
        with pytest.raises(PeerError):
            client.send(destination(port), write_instances(tmp_path, 1), outcomes)
        assert time.monotonic() - started < 5
        release.set()
    assert outcomes == []


def test_closing_the_client_ends_a_send_that_waits(tmp_path: Path) -> None:
    client = PynetStoreClient("SYNTH", timeouts=Timeouts(dimse_s=60))
    answers = Answers()
    arrived, release = threading.Event(), threading.Event()

    def hold(event: Any) -> None:
        arrived.set()
        release.wait(20)

    answers.before_answer = hold
    raised: list[BaseException] = []

    def send(port: int) -> None:
        try:
            client.send(destination(port), write_instances(tmp_path, 1), Outcomes())
        except PeerError as error:
            raised.append(error)

    with archive(answers) as port:
        sender = threading.Thread(target=send, args=(port,))
        sender.start()
        assert arrived.wait(10)
        client.close()
        sender.join(5)
        assert not sender.is_alive()
        release.set()
        assert len(raised) == 1
        with pytest.raises(PeerError, match="stopping"):
            client.send(destination(port), write_instances(tmp_path, 1), Outcomes())


def test_a_file_that_is_gone_is_an_integrity_error(
    client: PynetStoreClient, tmp_path: Path
) -> None:
    instances = write_instances(tmp_path, 2)
    instances[1][1].unlink()
    outcomes = Outcomes()
    with archive(Answers()) as port, pytest.raises(IntegrityError, match="instance 1"):
        client.send(destination(port), instances, outcomes)
    assert [index for index, _, _ in outcomes] == [0]


def test_an_error_of_the_callback_ends_the_association(
    client: PynetStoreClient, tmp_path: Path
) -> None:
    def fail(instance: DerivedInstance, outcome: Outcome, status: int) -> None:
        raise IntegrityError("lease lost")

    answers = Answers()
    with archive(answers) as port, pytest.raises(IntegrityError, match="lease lost"):
        client.send(destination(port), write_instances(tmp_path, 3), fail)
    assert len(answers.files) == 1


@contextmanager
def black_hole() -> Iterator[int]:
    """A port where connection requests are dropped: its queue is full and nobody takes from it."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        for _ in range(2):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        yield port


def test_a_destination_that_drops_packets_costs_the_connection_time_and_no_more(
    client: PynetStoreClient, tmp_path: Path
) -> None:
    instances = write_instances(tmp_path, 1)
    with black_hole() as port:
        began = time.monotonic()
        with pytest.raises(UnreachableError):
            client.send(destination(port), instances, Outcomes())
    assert 0.5 < time.monotonic() - began < 4.0


def test_a_destination_that_drops_packets_delays_no_other(tmp_path: Path) -> None:
    client = PynetStoreClient("SYNTH", timeouts=Timeouts(connect_s=4))
    instances, failed = write_instances(tmp_path, 1), threading.Event()

    def vain(port: int) -> None:
        with pytest.raises(UnreachableError):
            client.send(replace(destination(port), name="away"), instances, Outcomes())
        failed.set()

    with black_hole() as nowhere, archive(Answers()) as port:
        sender = threading.Thread(target=vain, args=(nowhere,))
        sender.start()
        outcomes = Outcomes()
        client.send(destination(port), instances, outcomes)
        assert len(outcomes) == 1
        assert not failed.is_set()
        sender.join(30)
        assert failed.is_set()


def test_one_association_serves_all_that_is_sent_one_after_another(
    client: PynetStoreClient, tmp_path: Path
) -> None:
    answers = Answers()
    with archive(answers) as port:
        for _ in range(3):
            client.send(destination(port), write_instances(tmp_path, 2), Outcomes())
        assert (answers.associations, len(answers.files)) == (1, 6)
        client.release(destination(port))
        client.send(destination(port), write_instances(tmp_path, 2), Outcomes())
        assert (answers.associations, len(answers.files)) == (2, 8)


def test_objects_of_another_class_get_an_association_of_their_own(
    client: PynetStoreClient, tmp_path: Path
) -> None:
    answers = Answers()
    both = [
        (sop_class, [ExplicitVRLittleEndian]) for sop_class in (DIGITAL_X_RAY, COMPUTED_RADIOGRAPHY)
    ]
    path = write_object(tmp_path / "cr.dcm", sop_class=COMPUTED_RADIOGRAPHY, uid="2.25.5")
    other = derived(path, sop_class=COMPUTED_RADIOGRAPHY, uid="2.25.5", index=0)
    with archive(answers, *both) as port:
        client.send(destination(port), write_instances(tmp_path, 1), Outcomes())
        client.send(destination(port), [(other, path)], Outcomes())
    assert (answers.associations, len(answers.files)) == (2, 2)


def test_an_association_that_the_destination_ended_meanwhile_is_not_used_again(
    client: PynetStoreClient, tmp_path: Path
) -> None:
    answers, outcomes = Answers(), Outcomes()
    with archive(answers) as first:
        client.send(destination(first), write_instances(tmp_path, 1), outcomes)
    with archive(answers) as second:
        client.send(destination(second), write_instances(tmp_path, 1), outcomes)
    assert [outcome for _, outcome, _ in outcomes] == [Outcome.STORED] * 2


def test_nothing_to_send_opens_no_association(client: PynetStoreClient) -> None:
    client.send(destination(free_port()), [], Outcomes())


def test_an_echo_takes_time_and_needs_an_answer(client: PynetStoreClient) -> None:
    with archive(Answers()) as port:
        assert 0 < client.echo(destination(port)) < 5
    with pytest.raises(PeerError):
        client.echo(destination(port))
