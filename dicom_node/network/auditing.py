"""What the network tells the audit trail: who was refused, what came and what went."""

from __future__ import annotations

import io
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from pydicom import dcmread

from dicom_node.audit.events import (
    Transfer,
    instances_transferred,
    node_refused,
    transfer_begun,
)
from dicom_node.domain.deliveries import Outcome
from dicom_node.domain.errors import describe
from dicom_node.domain.identifiers import resembles_uid

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from dicom_node.audit.messages import AuditMessage
    from dicom_node.domain.deliveries import DerivedInstance
    from dicom_node.domain.routes import Destination
    from dicom_node.ports import ReceivedObject, StoreClient

__all__ = ["AuditedStoreClient", "ReceptionAudit", "fetch_audit"]

_TAGS: Final = ("StudyInstanceUID", "PatientID")


class ReceptionAudit:
    """Audits what comes in: one message when a study begins to come by an association or a request
    over HTTP, one with all that came when that ends.

    Args:
        record: Takes a message.
        ae_title: Of this node.
        patient_ids: Whether Patient IDs are written.
    """

    def __init__(
        self, record: Callable[[AuditMessage], None], *, ae_title: str, patient_ids: bool
    ) -> None:
        self._record = record
        self._ae_title = ae_title
        self._patient_ids = patient_ids
        self._coming: WeakKeyDictionary[object, dict[str, _Study]] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def refused(self, ae_title: str, address: str, reason: str) -> None:
        """A caller was not let in, or dropped."""
        self._record(node_refused(self._ae_title, ae_title.strip(), address, reason))

    def stored(self, way: object, received: ReceivedObject, *, address: str) -> None:
        """An object is safe.

        Args:
            way: The association or request it came by; forgotten when that is no more.
            received: The object.
            address: It came from.
        """
        study_uid, patient_id = _identity(io.BytesIO(received.data))
        instance = (_uid(received.sop_class_uid), _uid(received.sop_instance_uid))
        with self._lock:
            studies = self._coming.setdefault(way, {})
            begins = study_uid not in studies
            study = studies.setdefault(
                study_uid,
                _Study(
                    study_uid=study_uid,
                    patient_id=patient_id,
                    sender=received.calling_ae_title,
                    address=address,
                ),
            )
            study.instances.append(instance)
        if begins:
            self._record(transfer_begun(self._transfer(study, [instance])))

    def ended(self, way: object) -> None:
        """An association or a request is over; it may be told more than once."""
        with self._lock:
            studies = self._coming.pop(way, {})
        for study in studies.values():
            self._record(instances_transferred(self._transfer(study, study.instances)))

    def _transfer(self, study: _Study, instances: Sequence[tuple[str, str]]) -> Transfer:
        return Transfer(
            sender=study.sender,
            sender_address=study.address,
            receiver=self._ae_title,
            receiver_address="",
            we_began=False,
            node=self._ae_title,
            study_uid=study.study_uid,
            patient_id=study.patient_id if self._patient_ids else None,
            instances=instances,
        )


def fetch_audit(
    record: Callable[[AuditMessage], None], *, ae_title: str
) -> Callable[[Destination, str, Sequence[tuple[str, str]]], None]:
    """What audits a study that was fetched.

    Args:
        record: Takes a message.
        ae_title: Of this node.
    """

    def fetched(source: Destination, study_uid: str, instances: Sequence[tuple[str, str]]) -> None:
        transfer = Transfer(
            sender=source.ae_title,
            sender_address=source.host,
            receiver=ae_title,
            receiver_address="",
            we_began=True,
            node=ae_title,
            study_uid=study_uid,
            patient_id=None,
            instances=instances,
        )
        record(instances_transferred(transfer))

    return fetched


@dataclass(slots=True, kw_only=True)
class _Study:
    study_uid: str
    patient_id: str
    sender: str
    address: str
    instances: list[tuple[str, str]] = field(default_factory=list)


class AuditedStoreClient:
    """A `ports.StoreClient` whose sends are audited.

    Args:
        client: Sends.
        record: Takes a message.
        ae_title: Of this node.
        patient_ids: Whether Patient IDs are written.
    """

    def __init__(
        self,
        client: StoreClient,
        record: Callable[[AuditMessage], None],
        *,
        ae_title: str,
        patient_ids: bool,
    ) -> None:
        self._client = client
        self._record = record
        self._ae_title = ae_title
        self._patient_ids = patient_ids

    def send(
        self,
        destination: Destination,
        instances: Sequence[tuple[DerivedInstance, Path]],
        on_outcome: Callable[[DerivedInstance, Outcome, int], None],
    ) -> None:
        """See `ports.StoreClient.send`."""
        if not instances:
            return
        stored: list[tuple[str, str]] = []

        def heard(instance: DerivedInstance, outcome: Outcome, status: int) -> None:
            if outcome is Outcome.STORED:
                stored.append((instance.sop_class_uid, instance.sop_instance_uid))
            on_outcome(instance, outcome, status)

        wanted = [(each.sop_class_uid, each.sop_instance_uid) for each, _ in instances]
        study_uid, patient_id = _identity(instances[0][1])
        self._record(transfer_begun(self._transfer(destination, study_uid, patient_id, wanted)))
        failure = "it was cut"
        try:
            self._client.send(destination, instances, heard)
            missing = len(wanted) - len(stored)
            failure = f"{missing} of {len(wanted)} were not stored" if missing else ""
        except Exception as error:
            failure = describe(error)
            raise
        finally:
            transfer = self._transfer(destination, study_uid, patient_id, stored)
            self._record(instances_transferred(transfer, failure=failure))

    def echo(self, destination: Destination) -> float:
        """See `ports.StoreClient.echo`."""
        return self._client.echo(destination)

    def release(self, destination: Destination) -> None:
        """See `ports.StoreClient.release`."""
        self._client.release(destination)

    def _transfer(
        self,
        destination: Destination,
        study_uid: str,
        patient_id: str,
        instances: Sequence[tuple[str, str]],
    ) -> Transfer:
        return Transfer(
            sender=self._ae_title,
            sender_address="",
            receiver=destination.ae_title,
            receiver_address=destination.host,
            we_began=True,
            node=self._ae_title,
            study_uid=study_uid,
            patient_id=patient_id if self._patient_ids else None,
            instances=instances,
        )


def _identity(file: Path | io.BytesIO) -> tuple[str, str]:
    """Study Instance UID and Patient ID of a file; empty where it cannot be read."""
    try:
        dataset = dcmread(file, stop_before_pixels=True, specific_tags=list(_TAGS), force=True)
        return _uid(str(dataset.get("StudyInstanceUID", ""))), str(dataset.get("PatientID", ""))
    except Exception:  # noqa: BLE001  DIMSE boundary: an audit never fails the work
        return "", ""


def _uid(text: str) -> str:
    """A UID; empty when it is none, as whoever writes names into it would have them audited."""
    return text if resembles_uid(text) else ""
