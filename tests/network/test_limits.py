"""Callers that mean no good: too many, too much, too slow, or more than they may."""

from __future__ import annotations

import socket
import struct
import threading
import time
from typing import TYPE_CHECKING

import pytest
from pynetdicom import _config as pynetdicom_config
from pynetdicom.pdu import A_ASSOCIATE_RQ
from structlog.testing import capture_logs

from dicom_node.domain.routes import Peer
from dicom_node.network.associations import Timeouts
from dicom_node.network.peers import PeerList
from dicom_node.network.scp import StorageScp
from tests.network.objects import DIGITAL_X_RAY, write_object
from tests.network.test_scp import associate, wait_until_free

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pynetdicom.association import Association

    from tests.network.conftest import RecordingReceiver

EXPLICIT = "1.2.840.10008.1.2.1"
LONGEST = 1_000_000


@pytest.fixture(autouse=True)
def send_files_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pynetdicom_config, "STORE_SEND_CHUNKED_DATASET", True)


@pytest.fixture
def scp(receiver: RecordingReceiver) -> Iterator[StorageScp]:
    server = StorageScp(
        ae_title="SYNTH",
        host="127.0.0.1",
        port=0,
        peers=PeerList(
            peers=(
                Peer(name="modality", ae_title="MODALITY"),
                Peer(name="one", ae_title="ONE", max_associations=1),
                Peer(name="rare", ae_title="RARE", associations_per_minute=2),
                Peer(name="few", ae_title="FEW", images_per_minute=2),
                Peer(name="viewer", ae_title="VIEWER", may_send=False),
            )
        ),
        receiver=receiver,
        max_associations=6,
        timeouts=Timeouts(connect_s=2, acse_s=1, dimse_s=5, network_s=1.5),
        max_image_bytes=LONGEST,
    )
    server.start()
    yield server
    server.stop()


def dropped_within(scp: StorageScp, seconds: float) -> bool:
    wait_until_free(scp, seconds)
    return scp.associations == 0


def rejection(association: Association) -> tuple[int, int, int]:
    assert association.is_rejected
    answer = association.acceptor.primitive
    assert answer is not None
    return answer.result, answer.result_source, answer.diagnostic


def raw(association: Association) -> socket.socket:
    wrapper = association.dul.socket
    assert wrapper is not None
    assert wrapper.socket is not None
    return wrapper.socket


def test_a_second_association_of_a_peer_that_may_have_one_is_rejected(scp: StorageScp) -> None:
    first = associate(scp.port, calling="ONE")
    assert rejection(associate(scp.port, calling="ONE")) == (2, 3, 2)
    assert associate(scp.port).is_established
    first.release()
    wait_until_free(scp, 0.3)
    again = associate(scp.port, calling="ONE")
    assert again.is_established
    again.release()


def test_a_peer_that_calls_too_often_is_rejected_for_now(scp: StorageScp) -> None:
    for _ in range(2):
        associate(scp.port, calling="RARE").release()
    assert rejection(associate(scp.port, calling="RARE")) == (2, 3, 1)


def test_images_over_the_limit_are_refused_as_out_of_resources(
    scp: StorageScp, receiver: RecordingReceiver, tmp_path: Path
) -> None:
    path = write_object(tmp_path / "object.dcm")
    association = associate(scp.port, (DIGITAL_X_RAY, EXPLICIT), calling="FEW")
    statuses = [association.send_c_store(path).Status for _ in range(4)]
    association.release()
    assert statuses == [0x0000, 0x0000, 0xA700, 0xA700]
    assert len(receiver.received) == 2


def test_a_peer_that_may_not_send_is_offered_no_storage(scp: StorageScp) -> None:
    association = associate(scp.port, (DIGITAL_X_RAY, EXPLICIT), calling="VIEWER")
    assert [c.abstract_syntax for c in association.accepted_contexts] == ["1.2.840.10008.1.1"]
    assert association.send_c_echo().Status == 0x0000
    association.release()


def test_one_byte_after_another_does_not_keep_a_place(scp: StorageScp) -> None:
    """Each byte comes well within the time-outs of a read."""
    with capture_logs() as logs, socket.create_connection(("127.0.0.1", scp.port)) as connection:
        began = time.monotonic()
        with pytest.raises(OSError):
            for byte in struct.pack(">BBI", 1, 0, 200) + b"\0" * 200:
                connection.sendall(bytes((byte,)))
                time.sleep(0.1)
        assert time.monotonic() - began < 5
    assert dropped_within(scp, 3)
    assert any("in time" in str(log.get("reason")) for log in logs)


def test_one_byte_after_another_within_an_association_does_not_either(scp: StorageScp) -> None:
    association = associate(scp.port, (DIGITAL_X_RAY, EXPLICIT))
    connection = raw(association)
    began = time.monotonic()
    with pytest.raises(OSError):
        for byte in struct.pack(">BBI", 4, 0, 500) + b"\0" * 500:
            connection.sendall(bytes((byte,)))
            time.sleep(0.1)
    assert time.monotonic() - began < 6
    assert dropped_within(scp, 3)


def test_a_message_in_tiny_pdus_that_never_ends_is_dropped(scp: StorageScp) -> None:
    """Every PDU is whole and quick; the message is what never comes."""
    association = associate(scp.port, (DIGITAL_X_RAY, EXPLICIT))
    (context,) = [c for c in association.accepted_contexts if c.abstract_syntax == DIGITAL_X_RAY]
    connection = raw(association)
    value = struct.pack(">IBB", 3, context.context_id, 0x01) + b"\0"  # command, not the last
    began = time.monotonic()
    with pytest.raises(OSError):
        for _ in range(200):
            connection.sendall(struct.pack(">BBI", 4, 0, len(value)) + value)
            time.sleep(0.1)
    assert time.monotonic() - began < 8
    assert dropped_within(scp, 3)


@pytest.mark.parametrize("kind", [1, 4, 5, 7])
def test_a_pdu_of_four_gigabytes_is_not_read(scp: StorageScp, kind: int) -> None:
    """The header alone decides, so nothing of the size is ever taken."""
    with capture_logs() as logs:
        if kind == 1:
            connection = socket.create_connection(("127.0.0.1", scp.port))
        else:
            connection = raw(associate(scp.port))
        connection.sendall(struct.pack(">BBI", kind, 0, 0xFFFFFFFF))
        began = time.monotonic()
        while not any("a PDU of 4294967295 bytes" in str(log.get("reason")) for log in logs):
            assert time.monotonic() - began < 0.9  # before any time-out
            time.sleep(0.02)
        assert dropped_within(scp, 2)
    connection.close()


def test_an_object_that_is_too_long_is_dropped_before_it_is_read(
    scp: StorageScp, receiver: RecordingReceiver, tmp_path: Path
) -> None:
    path = write_object(tmp_path / "object.dcm")
    path.write_bytes(path.read_bytes() + bytes(2 * LONGEST))
    association = associate(scp.port, (DIGITAL_X_RAY, EXPLICIT))
    association.dimse_timeout = 1
    assert "Status" not in association.send_c_store(path)
    assert dropped_within(scp, 3)
    assert receiver.received == []


def test_a_neighbour_is_served_while_others_mean_no_good(
    scp: StorageScp, receiver: RecordingReceiver, tmp_path: Path
) -> None:
    path = write_object(tmp_path / "object.dcm")
    association = associate(scp.port, (DIGITAL_X_RAY, EXPLICIT))
    bad = [socket.create_connection(("127.0.0.1", scp.port)) for _ in range(3)]
    bad[0].sendall(b"\x01")
    bad[1].sendall(struct.pack(">BBI", 1, 0, 0xFFFFFFFF))
    for _ in range(8):
        assert association.send_c_store(path).Status == 0x0000
        time.sleep(0.1)
    association.release()
    for each in bad:
        each.close()
    assert len(receiver.received) == 8


def test_far_too_many_connections_are_cut_off_and_then_there_is_room_again(
    receiver: RecordingReceiver,
) -> None:
    scp = StorageScp(
        ae_title="SYNTH",
        host="127.0.0.1",
        port=0,
        peers=PeerList(peers=(Peer(name="modality", ae_title="MODALITY"),)),
        receiver=receiver,
        max_associations=6,
        timeouts=Timeouts(acse_s=60, network_s=60),  # nobody leaves by itself
    )
    scp.start()
    try:
        with capture_logs() as logs:
            held = [socket.create_connection(("127.0.0.1", scp.port)) for _ in range(90)]
            began = time.monotonic()
            while not any("there are too many" in str(log["event"]) for log in logs):
                assert time.monotonic() - began < 30
                time.sleep(0.02)
            assert scp.associations <= 70  # six, and 64 that wait to be told
            for each in held:
                each.close()
            assert dropped_within(scp, 30)
        association = associate(scp.port)
        assert association.is_established
        association.release()
    finally:
        scp.stop()


def test_a_request_that_kills_the_upper_layer_keeps_no_connection(
    scp: StorageScp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An even context ID (PS3.8 9.3.2.2) makes pynetdicom's thread raise: what is left must go."""
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    known = associate(scp.port)
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(known.requestor.primitive)
    request = bytearray(pdu.encode())
    at = request.index(b"\x20\x00", 74)  # the first presentation context item
    assert request[at + 4] == 1
    request[at + 4] = 2
    known.release()
    with socket.create_connection(("127.0.0.1", scp.port), timeout=5) as connection:
        connection.sendall(request)
        began = time.monotonic()
        assert connection.recv(100) == b""
        assert time.monotonic() - began < 4
    assert dropped_within(scp, 2)
