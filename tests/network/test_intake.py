"""Memory for what is being received: bounded for all callers together, and nobody starves."""

from __future__ import annotations

import gc
import socket
import threading
import time
from io import BytesIO
from typing import TYPE_CHECKING

import pytest
from pynetdicom import _config as pynetdicom_config
from pynetdicom.dimse_primitives import C_STORE
from structlog.testing import capture_logs

from dicom_node.domain.routes import Peer
from dicom_node.network.associations import Timeouts
from dicom_node.network.intake import Intake
from dicom_node.network.peers import PeerList
from dicom_node.network.scp import StorageScp
from dicom_node.ports import Receipt, ReceivedObject
from tests.network.objects import DIGITAL_X_RAY, data_set_bytes, write_object
from tests.network.test_scp import associate, wait_until_free

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIMIT = 400_000
EXPLICIT = "1.2.840.10008.1.2.1"
OBJECT_BYTES = 300_000


class Holder:
    """A caller."""


def test_who_would_go_beyond_the_limit_waits_until_there_is_room() -> None:
    intake, first, second = Intake(100), Holder(), Holder()
    assert intake.take(first, 80, within_s=0)
    assert not intake.take(second, 30, within_s=0.01)
    threading.Timer(0.05, intake.keep, (first,)).start()
    assert intake.take(second, 30, within_s=5)
    assert intake.held_bytes == 30


def test_the_first_never_waits_so_somebody_always_gets_on() -> None:
    intake, first, second = Intake(100), Holder(), Holder()
    assert intake.take(first, 50, within_s=0)
    assert intake.take(second, 50, within_s=0)
    assert not intake.take(second, 1, within_s=0.01)
    assert intake.take(first, 500, within_s=0)
    intake.keep(first)
    assert intake.take(second, 500, within_s=0)  # it is the first now


def test_a_caller_that_is_no_more_holds_nothing() -> None:
    intake, gone = Intake(100), Holder()
    assert intake.take(gone, 100, within_s=0)
    del gone
    gc.collect()
    assert intake.held_bytes == 0


def test_many_callers_that_all_want_more_than_there_is_all_come_through() -> None:
    intake, most, finished = Intake(1000), [0], []

    def call() -> None:
        for _ in range(20):
            me = Holder()
            for _ in range(9):
                assert intake.take(me, 100, within_s=30)
                most[0] = max(most[0], intake.held_bytes)
            intake.keep(me)
        finished.append(1)

    threads = [threading.Thread(target=call) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(finished) == 16
    assert most[0] <= 1000 + 900
    assert intake.held_bytes == 0


class SlowReceiver:
    """A `ports.Receiver` that takes its time, until it is told not to."""

    def __init__(self) -> None:
        self.received = 0
        self.most = 0
        self.go_on = threading.Event()
        self.go_on.set()
        self.look = lambda: 0

    def receive(self, received: ReceivedObject) -> Receipt:
        self.go_on.wait(20)
        self.most = max(self.most, self.look())
        time.sleep(0.01)
        self.received += 1
        return Receipt.NEW


@pytest.fixture
def receiver() -> SlowReceiver:
    return SlowReceiver()


@pytest.fixture
def scp(receiver: SlowReceiver, monkeypatch: pytest.MonkeyPatch) -> Iterator[StorageScp]:
    monkeypatch.setattr(pynetdicom_config, "STORE_SEND_CHUNKED_DATASET", True)
    server = StorageScp(
        ae_title="SYNTH",
        host="127.0.0.1",
        port=0,
        peers=PeerList(peers=(Peer(name="modality", ae_title="MODALITY"),)),
        receiver=receiver,
        max_associations=16,
        timeouts=Timeouts(connect_s=5, acse_s=5, dimse_s=30, network_s=20),
        max_image_bytes=1_000_000,
        receive_memory_bytes=LIMIT,
    )
    receiver.look = lambda: server._intake.held_bytes
    server.start()
    yield server
    receiver.go_on.set()
    server.stop()


def write_large(folder: Path) -> Path:
    path = write_object(folder / "large.dcm")
    data = path.read_bytes()
    # A private element of the size wanted (PS3.5 7.1.2: explicit VR with a 32-bit length).
    padding = b"\x09\x70\x10\x10OB\0\0" + OBJECT_BYTES.to_bytes(4, "little") + bytes(OBJECT_BYTES)
    path.write_bytes(data + padding)
    return path


def test_callers_beyond_the_limit_wait_and_all_are_served(
    scp: StorageScp, receiver: SlowReceiver, tmp_path: Path
) -> None:
    path, statuses = write_large(tmp_path), []

    def send() -> None:
        association = associate(scp.port, (DIGITAL_X_RAY, EXPLICIT))
        for _ in range(4):
            statuses.append(association.send_c_store(path).Status)
        association.release()

    senders = [threading.Thread(target=send) for _ in range(8)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(60)
    assert statuses == [0x0000] * 32
    assert 0 < receiver.most <= LIMIT + OBJECT_BYTES + 10_000
    wait_until_free(scp, 5)
    assert scp._intake.held_bytes == 0


def test_a_caller_that_goes_in_the_middle_of_an_object_leaves_nothing_held(
    scp: StorageScp, receiver: SlowReceiver, tmp_path: Path
) -> None:
    association = associate(scp.port, (DIGITAL_X_RAY, EXPLICIT))
    request, context = c_store(association, data_set_bytes(write_large(tmp_path).read_bytes()))
    wrapper = association.dul.socket
    assert wrapper is not None
    sent = []
    real = wrapper.send

    def half(data: bytes) -> None:
        sent.append(len(data))
        if len(sent) < 3:
            real(data)

    wrapper.send = half  # type: ignore[method-assign]
    association.dimse.send_msg(request, context)
    deadline = time.monotonic() + 10
    while scp._intake.held_bytes < 10_000 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert scp._intake.held_bytes >= 10_000
    assert wrapper.socket is not None
    wrapper.socket.shutdown(socket.SHUT_RDWR)
    wait_until_free(scp, 10)
    assert scp._intake.held_bytes == 0
    assert receiver.received == 0


def c_store(association: object, data: bytes) -> tuple[C_STORE, int]:
    request = C_STORE()
    request.MessageID = 1
    request.AffectedSOPClassUID = DIGITAL_X_RAY
    request.AffectedSOPInstanceUID = "2.25.1"
    request.Priority = 2
    request.DataSet = BytesIO(data)
    contexts = association.accepted_contexts  # type: ignore[attr-defined]
    (context,) = [each for each in contexts if each.abstract_syntax == DIGITAL_X_RAY][:1]
    return request, context.context_id


def test_a_caller_that_sends_on_without_waiting_for_answers_is_dropped(
    scp: StorageScp, receiver: SlowReceiver, tmp_path: Path
) -> None:
    receiver.go_on.clear()
    association = associate(scp.port, (DIGITAL_X_RAY, EXPLICIT))
    request, context = c_store(
        association, data_set_bytes(write_large(tmp_path).read_bytes()[:700])
    )
    with capture_logs() as lines:
        for _ in range(10):
            association.dimse.send_msg(request, context)
        deadline = time.monotonic() + 10
        while not association.is_aborted and time.monotonic() < deadline:
            time.sleep(0.02)
        receiver.go_on.set()
        wait_until_free(scp, 10)
    assert [line["reason"] for line in lines if line["event"] == "a caller is dropped"] == [
        "it sends on without waiting for answers"
    ]
    assert receiver.received <= 3
