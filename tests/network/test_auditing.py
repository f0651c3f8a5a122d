"""What the SCP and the SCU leave in the audit trail."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from dicom_node.audit.messages import AuditOutcome
from dicom_node.domain.deliveries import Outcome
from dicom_node.domain.errors import PeerError
from dicom_node.network.associations import Timeouts
from dicom_node.network.auditing import AuditedStoreClient, ReceptionAudit
from dicom_node.network.scp import StorageScp
from tests.network.conftest import PEERS
from tests.network.objects import DIGITAL_X_RAY, destination, write_instances, write_object
from tests.network.test_scp import associate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from dicom_node.audit.messages import AuditMessage
    from dicom_node.domain.deliveries import DerivedInstance
    from dicom_node.domain.routes import Destination
    from tests.network.conftest import RecordingReceiver

BEGIN, TRANSFERRED, ALERT = "110102", "110104", "110113"
EXPLICIT = "1.2.840.10008.1.2.1"


class Listening:
    def __init__(self) -> None:
        self.heard: list[AuditMessage] = []

    def codes(self, count: int) -> list[str]:
        deadline = time.monotonic() + 5
        while len(self.heard) < count and time.monotonic() < deadline:
            time.sleep(0.02)
        return [message.event.code for message in self.heard]


@pytest.fixture
def audit() -> Listening:
    return Listening()


@pytest.fixture
def audited(receiver: RecordingReceiver, audit: Listening) -> Iterator[StorageScp]:
    server = StorageScp(
        ae_title="SYNTH",
        host="127.0.0.1",
        port=0,
        peers=PEERS,
        receiver=receiver,
        timeouts=Timeouts(acse_s=2, dimse_s=5, network_s=2),
        audit=ReceptionAudit(audit.heard.append, ae_title="SYNTH", patient_ids=False),
    )
    server.start()
    yield server
    server.stop()


def test_what_came_over_an_association_is_told_when_it_begins_and_when_it_ends(
    audited: StorageScp, audit: Listening, tmp_path: Path
) -> None:
    association = associate(audited.port, (DIGITAL_X_RAY, EXPLICIT))
    for number in range(3):
        path = write_object(tmp_path / f"{number}.dcm", uid=f"2.25.{number + 1}")
        assert association.send_c_store(path).Status == 0x0000
    assert audit.codes(1) == [BEGIN]
    association.release()
    assert audit.codes(2) == [BEGIN, TRANSFERRED]
    study, patient = audit.heard[1].objects
    assert study.identifier == "2.25.7"
    assert study.instances == ((DIGITAL_X_RAY, ("2.25.1", "2.25.2", "2.25.3")),)
    assert "TEST" not in patient.identifier
    sender, us = audit.heard[1].participants
    assert (sender.user, sender.address, sender.requestor) == (
        "AETITLES=MODALITY",
        "127.0.0.1",
        True,
    )
    assert (us.user, us.requestor) == ("AETITLES=SYNTH", False)


def test_what_came_before_an_association_broke_is_told_too(
    audited: StorageScp, audit: Listening, tmp_path: Path
) -> None:
    association = associate(audited.port, (DIGITAL_X_RAY, EXPLICIT))
    association.send_c_store(write_object(tmp_path / "object.dcm"))
    association.abort()
    assert audit.codes(2) == [BEGIN, TRANSFERRED]


@pytest.mark.parametrize(
    ("calling", "called"), [("STRANGER", "SYNTH"), ("MODALITY", "OTHER")], ids=["who", "whom"]
)
def test_who_is_rejected_is_told(
    audited: StorageScp, audit: Listening, calling: str, called: str
) -> None:
    assert associate(audited.port, calling=calling, called=called).is_rejected
    assert audit.codes(1) == [ALERT]
    (message,) = audit.heard
    assert message.outcome is AuditOutcome.MINOR_FAILURE
    assert f"AETITLES={calling}" in [each.user for each in message.participants]
    assert message.description


def test_an_object_that_was_refused_is_not_told_as_received(
    audited: StorageScp, audit: Listening, receiver: RecordingReceiver, tmp_path: Path
) -> None:
    receiver.error = RuntimeError("broken")
    association = associate(audited.port, (DIGITAL_X_RAY, EXPLICIT))
    association.send_c_store(write_object(tmp_path / "object.dcm"))
    association.release()
    time.sleep(0.2)
    assert audit.heard == []


class Sending:
    """A store client that stores the first so many and then breaks."""

    def __init__(self, stores: int) -> None:
        self.stores = stores

    def send(
        self,
        destination: Destination,
        instances: Sequence[tuple[DerivedInstance, Path]],
        on_outcome: Callable[[DerivedInstance, Outcome, int], None],
    ) -> None:
        for number, (instance, _) in enumerate(instances):
            if number == self.stores:
                raise PeerError("archive went away")
            on_outcome(instance, Outcome.STORED, 0)

    def release(self, destination: Destination) -> None: ...

    def echo(self, destination: Destination) -> float:
        return 0.0


@pytest.mark.parametrize(("stores", "outcome"), [(3, 0), (1, 4), (0, 4)])
def test_what_was_sent_is_told_with_what_came_of_it(
    audit: Listening, tmp_path: Path, stores: int, outcome: int
) -> None:
    client = AuditedStoreClient(
        Sending(stores), audit.heard.append, ae_title="SYNTH", patient_ids=True
    )
    outcomes: list[Outcome] = []
    try:
        client.send(
            destination(1), write_instances(tmp_path, 3), lambda _, o, __: outcomes.append(o)
        )
    except PeerError:
        assert stores < 3
    assert len(outcomes) == stores
    begun, done = audit.heard
    assert (begun.event.code, done.event.code) == (BEGIN, TRANSFERRED)
    assert int(done.outcome) == outcome
    study, patient = done.objects
    assert sum(len(uids) for _, uids in study.instances) == stores
    assert patient.identifier == "TEST"
    us, archive = done.participants
    assert (us.user, us.requestor) == ("AETITLES=SYNTH", True)
    assert (archive.user, archive.address) == ("AETITLES=ARCHIVE", "127.0.0.1")
