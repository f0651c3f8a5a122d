"""The SCP against pynetdicom and bare sockets."""

from __future__ import annotations

import random
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest
from pynetdicom import AE, build_context
from pynetdicom import _config as pynetdicom_config

from dicom_node.domain.errors import (
    CapacityError,
    ConfigurationError,
    InputError,
    IntegrityError,
    UnsupportedError,
)
from dicom_node.domain.routes import Peer
from dicom_node.network.associations import Timeouts
from dicom_node.network.contexts import STORAGE_CLASSES, readable_transfer_syntaxes
from dicom_node.network.peers import PeerList
from dicom_node.network.scp import StorageScp
from tests.network.conftest import PEERS, RecordingReceiver
from tests.network.objects import (
    COMPUTED_RADIOGRAPHY,
    CT,
    DIGITAL_X_RAY,
    data_set_bytes,
    write_object,
)

if TYPE_CHECKING:
    from pathlib import Path

    from pynetdicom.association import Association

VERIFICATION = "1.2.840.10008.1.1"


@pytest.fixture(autouse=True)
def send_files_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pynetdicom_config, "STORE_SEND_CHUNKED_DATASET", True)


def associate(
    port: int, *contexts: tuple[str, str], calling: str = "MODALITY", called: str = "SYNTH"
) -> Association:
    ae = AE(ae_title=calling)
    ae.acse_timeout = ae.dimse_timeout = 10
    wanted = [build_context(VERIFICATION)]
    wanted += [build_context(sop_class, syntax) for sop_class, syntax in contexts]
    return ae.associate("127.0.0.1", port, contexts=wanted, ae_title=called)


def store(port: int, path: Path, sop_class: str, syntax: str) -> int:
    association = associate(port, (sop_class, syntax))
    assert association.is_established
    status = association.send_c_store(path)
    association.release()
    return int(status.Status)


def test_a_known_peer_is_heard(scp: StorageScp) -> None:
    association = associate(scp.port)
    assert association.is_established
    assert association.send_c_echo().Status == 0x0000
    association.release()


@pytest.mark.parametrize(
    ("calling", "called"),
    [("STRANGER", "SYNTH"), ("ELSEWHERE", "SYNTH"), ("MODALITY", "OTHER")],
    ids=["unknown AE title", "known AE title from another address", "wrong called AE title"],
)
def test_a_caller_that_does_not_fit_is_rejected(scp: StorageScp, calling: str, called: str) -> None:
    association = associate(scp.port, calling=calling, called=called)
    assert association.is_rejected
    assert not association.is_established


def test_the_reason_of_a_rejection_is_told_as_the_standard_numbers_it(scp: StorageScp) -> None:
    stranger = associate(scp.port, calling="STRANGER").acceptor.primitive
    lost = associate(scp.port, called="OTHER").acceptor.primitive
    assert stranger is not None
    assert lost is not None
    # PS3.8 Table 9-21: service user; 3 calling, 7 called AE title not recognised.
    assert (stranger.result, stranger.result_source, stranger.diagnostic) == (1, 1, 3)
    assert (lost.result, lost.result_source, lost.diagnostic) == (1, 1, 7)


@pytest.mark.parametrize("syntax", readable_transfer_syntaxes())
def test_bytes_arrive_untouched_in_every_transfer_syntax(
    scp: StorageScp, receiver: RecordingReceiver, tmp_path: Path, syntax: str
) -> None:
    """The SCP does not look into the data set, so any bytes show whether it keeps them."""
    path = write_object(tmp_path / "object.dcm")
    head = path.read_bytes()
    head = head[: len(head) - len(data_set_bytes(head))]
    payload = random.Random(syntax).randbytes(50_001 * 2)
    old = b"1.2.840.10008.1.2.1\0"
    new = syntax.encode() + b"\0" * (len(syntax) % 2)
    at = head.index(b"\x02\x00\x10\x00UI") + 6
    meta = head[:at] + len(new).to_bytes(2, "little") + new + head[at + 2 + len(old) :]
    path.write_bytes(meta + payload)

    assert store(scp.port, path, DIGITAL_X_RAY, syntax) == 0x0000

    (received,) = receiver.received
    assert data_set_bytes(received.data) == payload
    assert received.transfer_syntax_uid == syntax
    assert received.sop_class_uid == DIGITAL_X_RAY
    assert received.sop_instance_uid == "2.25.1"
    assert received.calling_ae_title == "MODALITY"


@pytest.mark.parametrize("sop_class", STORAGE_CLASSES)
def test_every_storage_class_is_taken(
    scp: StorageScp, receiver: RecordingReceiver, tmp_path: Path, sop_class: str
) -> None:
    path = write_object(tmp_path / "object.dcm", sop_class=sop_class)
    assert store(scp.port, path, sop_class, "1.2.840.10008.1.2.1") == 0x0000
    assert receiver.received[0].sop_class_uid == sop_class


def test_the_same_object_twice_gives_the_same_bytes(
    scp: StorageScp, receiver: RecordingReceiver, tmp_path: Path
) -> None:
    path = write_object(tmp_path / "object.dcm")
    for _ in range(2):
        assert store(scp.port, path, DIGITAL_X_RAY, "1.2.840.10008.1.2.1") == 0x0000
    first, second = receiver.received
    assert first.data == second.data


def test_a_class_the_node_does_not_take_is_not_negotiated(scp: StorageScp) -> None:
    association = associate(scp.port, (CT, "1.2.840.10008.1.2.1"))
    assert [c.abstract_syntax for c in association.accepted_contexts] == [VERIFICATION]
    association.release()


def test_a_request_of_another_class_than_its_context_is_refused(
    scp: StorageScp, receiver: RecordingReceiver, tmp_path: Path
) -> None:
    path = write_object(tmp_path / "object.dcm", sop_class=COMPUTED_RADIOGRAPHY)
    association = associate(scp.port, (DIGITAL_X_RAY, "1.2.840.10008.1.2.1"))
    (context,) = [c for c in association.accepted_contexts if c.abstract_syntax == DIGITAL_X_RAY]
    context._abstract_syntax = COMPUTED_RADIOGRAPHY  # the requestor's own record only
    assert association.send_c_store(path).Status == 0xC000
    association.release()
    assert receiver.received == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InputError("not readable"), 0xC000),
        (UnsupportedError("not ours"), 0x0122),
        (CapacityError("disk full"), 0xA700),
        (IntegrityError("rows contradict"), 0x0110),
        (RuntimeError("a bug"), 0x0110),
    ],
)
def test_an_error_becomes_its_status_and_the_association_goes_on(
    scp: StorageScp,
    receiver: RecordingReceiver,
    tmp_path: Path,
    error: Exception,
    status: int,
) -> None:
    path = write_object(tmp_path / "object.dcm")
    association = associate(scp.port, (DIGITAL_X_RAY, "1.2.840.10008.1.2.1"))
    receiver.error = error
    assert association.send_c_store(path).Status == status
    receiver.error = None
    assert association.send_c_store(path).Status == 0x0000
    association.release()


def test_nothing_about_the_patient_is_logged(
    scp: StorageScp, receiver: RecordingReceiver, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write_object(tmp_path / "object.dcm")
    receiver.error = RuntimeError("Secret^Patient")
    store(scp.port, path, DIGITAL_X_RAY, "1.2.840.10008.1.2.1")
    receiver.error = None
    store(scp.port, path, DIGITAL_X_RAY, "1.2.840.10008.1.2.1")
    logged = "".join(capfd.readouterr())
    assert "was not stored" in logged
    assert "Secret" not in logged


def test_many_callers_at_once_are_all_served(
    scp: StorageScp, receiver: RecordingReceiver, tmp_path: Path
) -> None:
    statuses: list[int] = []

    def call(number: int) -> None:
        path = write_object(tmp_path / f"{number}.dcm", uid=f"2.25.{number}")
        statuses.append(store(scp.port, path, DIGITAL_X_RAY, "1.2.840.10008.1.2.1"))

    callers = [threading.Thread(target=call, args=(100 + n,)) for n in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(30)
    assert statuses == [0x0000] * 8
    assert {r.sop_instance_uid for r in receiver.received} == {f"2.25.{100 + n}" for n in range(8)}


def test_one_caller_too_many_is_rejected_for_now(scp: StorageScp) -> None:
    held = [associate(scp.port) for _ in range(8)]
    try:
        assert all(association.is_established for association in held)
        late = associate(scp.port)
        assert late.is_rejected
        answer = late.acceptor.primitive
        assert answer is not None
        assert (answer.result, answer.result_source, answer.diagnostic) == (2, 3, 2)
    finally:
        for association in held:
            association.release()


def wait_until_free(scp: StorageScp, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while scp.associations and time.monotonic() < deadline:
        time.sleep(0.02)


def test_port_probes_leave_no_trace(scp: StorageScp) -> None:
    """Sixty connections that close at once: seven times the places there are."""
    for _ in range(60):
        socket.create_connection(("127.0.0.1", scp.port)).close()
    wait_until_free(scp, 1.5)  # less than the ACSE time-out, after which they would go anyway
    assert scp.associations == 0
    test_a_known_peer_is_heard(scp)


def test_connections_that_stay_silent_are_dropped(scp: StorageScp) -> None:
    silent = [socket.create_connection(("127.0.0.1", scp.port)) for _ in range(8)]
    time.sleep(0.2)
    assert scp.associations == 8
    wait_until_free(scp, 5)
    assert scp.associations == 0
    for connection in silent:
        connection.close()


def test_a_peer_that_stops_in_the_middle_of_a_pdu_is_dropped(scp: StorageScp) -> None:
    connection = socket.create_connection(("127.0.0.1", scp.port))
    connection.sendall(b"\x01\x00\x00\x00\x10\x00partial")  # announces 4096 bytes, sends 7
    time.sleep(0.2)
    assert scp.associations == 1
    wait_until_free(scp, 6)
    assert scp.associations == 0
    connection.close()


def test_noise_on_the_port_does_not_stop_the_node(scp: StorageScp) -> None:
    for seed in range(5):
        with socket.create_connection(("127.0.0.1", scp.port)) as connection:
            connection.sendall(random.Random(seed).randbytes(512))
    test_a_known_peer_is_heard(scp)


def test_stopping_ends_open_associations(scp: StorageScp) -> None:
    association = associate(scp.port)
    port = scp.port
    scp.stop(grace_s=0.1)
    deadline = time.monotonic() + 3
    while association.is_established and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not association.is_established
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)
    scp.stop()


def test_stopping_does_not_wait_for_a_peer_that_hangs_in_the_middle_of_a_pdu(
    receiver: RecordingReceiver,
) -> None:
    patient = Timeouts(network_s=60)
    scp = StorageScp(
        ae_title="SYNTH",
        host="127.0.0.1",
        port=0,
        peers=PEERS,
        receiver=receiver,
        timeouts=patient,
    )
    scp.start()
    association = associate(scp.port)
    sock = association.dul.socket
    assert sock is not None
    assert sock.socket is not None
    sock.socket.sendall(b"\x04\x00\x00\x00\x10\x00partial")
    time.sleep(0.3)
    started = time.monotonic()
    scp.stop()
    assert time.monotonic() - started < 4
    assert scp.associations == 0
    association.abort()


def test_a_port_that_is_taken_is_a_configuration_error(receiver: RecordingReceiver) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        second = StorageScp(
            ae_title="SYNTH", host="127.0.0.1", port=port, peers=PEERS, receiver=receiver
        )
        with pytest.raises(ConfigurationError, match=f"{port}.*choose a free port"):
            second.start()


def test_a_peer_list_that_fails_lets_nobody_in(receiver: RecordingReceiver) -> None:
    def broken(host: str) -> frozenset[str]:
        raise RuntimeError("the resolver is broken")

    server = StorageScp(
        ae_title="SYNTH",
        host="127.0.0.1",
        port=0,
        peers=PeerList(
            peers=(Peer(name="pacs", ae_title="PACS", host="pacs.invalid"),), resolve=broken
        ),
        receiver=receiver,
        max_associations=2,
    )
    server.start()
    try:
        ae = AE(ae_title="PACS")
        ae.add_requested_context(VERIFICATION)
        assert ae.associate("127.0.0.1", server.port, ae_title="SYNTH").is_rejected
    finally:
        server.stop()
