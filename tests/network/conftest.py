from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from dicom_node.domain.routes import Peer
from dicom_node.network.associations import Timeouts
from dicom_node.network.peers import PeerList
from dicom_node.network.scp import StorageScp
from dicom_node.ports import Receipt, ReceivedObject

if TYPE_CHECKING:
    from collections.abc import Iterator

PEERS = PeerList(
    peers=(
        Peer(name="modality", ae_title="MODALITY", host="127.0.0.1"),
        Peer(name="elsewhere", ae_title="ELSEWHERE", host="192.0.2.1"),
    )
)


class RecordingReceiver:
    """Keeps what came; raises ``error`` instead while there is one."""

    def __init__(self) -> None:
        self.received: list[ReceivedObject] = []
        self.error: Exception | None = None
        self._lock = threading.Lock()

    def receive(self, received: ReceivedObject) -> Receipt:
        if self.error is not None:
            raise self.error
        with self._lock:
            self.received.append(received)
        return Receipt.NEW


@pytest.fixture
def receiver() -> RecordingReceiver:
    return RecordingReceiver()


@pytest.fixture
def scp(receiver: RecordingReceiver) -> Iterator[StorageScp]:
    server = StorageScp(
        ae_title="SYNTH",
        host="127.0.0.1",
        port=0,
        peers=PEERS,
        receiver=receiver,
        max_associations=8,
        timeouts=Timeouts(connect_s=2, acse_s=2, dimse_s=5, network_s=2),
    )
    server.start()
    yield server
    server.stop()
