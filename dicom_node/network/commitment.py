"""Storage commitment on the wire, both sides: N-ACTION and N-EVENT-REPORT (PS3.4 J.3)."""

from __future__ import annotations

import threading
import time
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final, cast

import structlog
from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import build_context, build_role, evt
from pynetdicom.dimse_primitives import N_ACTION, N_EVENT_REPORT
from pynetdicom.dsutils import encode

from dicom_node.domain.commitments import Heard, Reference, Report
from dicom_node.domain.errors import InputError, NodeError, PeerError, RefusedError, describe
from dicom_node.domain.routes import Destination
from dicom_node.network.asking import exchange
from dicom_node.network.lingering import Lingering

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from pynetdicom.association import Association
    from pynetdicom.events import Event, EventHandlerType
    from pynetdicom.presentation import PresentationContext

    from dicom_node.domain.commitments import Commitment, Demand
    from dicom_node.network.scu import PynetStoreClient
    from dicom_node.ports import DemandReceiver

__all__ = ["COMMITMENT_CLASS", "PynetCommitment", "accepted_commitment_context"]

COMMITMENT_CLASS: Final = "1.2.840.10008.1.20.1"
"""Storage Commitment Push Model (PS3.4 J.3)."""

COMMITMENT_INSTANCE: Final = "1.2.840.10008.1.20.1.1"
"""Its one well-known instance."""

ASK: Final = 1
"""Action Type ID (PS3.4 Table J.3-1)."""

ALL_COMMITTED: Final = 1
SOME_FAILED: Final = 2
"""Event Type IDs (PS3.4 Table J.3-3)."""

SUCCESS: Final = 0x0000
PROCESSING_FAILURE: Final = 0x0110
NO_SUCH_EVENT: Final = 0x0113
INVALID_ARGUMENT: Final = 0x0115
NO_SUCH_ACTION: Final = 0x0123
NOT_AUTHORISED: Final = 0x0124
DUPLICATE_TRANSACTION: Final = 0x0131

_NEVER: Final = frozenset({0x0112, 0x0118, 0x0119, 0x0122, 0x0123, 0x0124, 0x0211})
"""Answers to an N-ACTION that another attempt does not change (PS3.7 Annex C)."""

_UNKNOWN_REASON: Final = PROCESSING_FAILURE

_log = structlog.get_logger(__name__)


def accepted_commitment_context() -> PresentationContext:
    """What the node takes of storage commitment: demands of peers, and, with the roles turned
    round, reports of destinations (PS3.4 J.3.3).
    """
    context = build_context(COMMITMENT_CLASS)
    context.scu_role = True
    context.scp_role = True
    return context


class PynetCommitment:
    """`CommitmentClient` and `ReportClient` by pynetdicom, and the handlers of our SCP."""

    def __init__(
        self,
        caller: PynetStoreClient,
        *,
        hear: Callable[[Report], Heard],
        demanding: DemandReceiver,
        may_ask: Collection[str],
        report_ports: Mapping[str, int],
        linger_s: float = 2.0,
    ) -> None:
        """Take the parts.

        Args:
            caller: Opens associations.
            hear: Takes reports that come to our SCP.
            demanding: Takes demands that come to our SCP.
            may_ask: AE titles of peers that may ask for commitment.
            report_ports: AE title -> port of a peer that takes reports on a new association.
            linger_s: How long an association stays open for the report after the response, where
                the destination is not known to call back.
        """
        self._caller = caller
        self._hear = hear
        self._demanding = demanding
        self._lingering = Lingering(linger_s)
        self.admit(may_ask, report_ports)
        self._open: dict[tuple[str, str], Association] = {}
        self._lock = threading.Lock()

    def admit(self, may_ask: Collection[str], report_ports: Mapping[str, int]) -> None:
        """From now on other peers may ask, or be called at other ports; as in the constructor."""
        self._may_ask = frozenset(each.strip() for each in may_ask)
        self._report_ports = dict(report_ports)

    # Asking destinations

    def ask(
        self,
        destination: Destination,
        commitment: Commitment,
        on_report: Callable[[Report], Heard],
    ) -> None:
        """See `ports.CommitmentClient.ask`."""
        heard, stay_s = self._lingering.begin(commitment.transaction_uid, destination)

        def on_event(event: Event) -> tuple[int, None]:
            status, transaction_uid = _take_report(event, on_report)
            self._lingering.heard(transaction_uid, called_back=False)
            return status, None

        handlers: list[EventHandlerType] = [(evt.EVT_N_EVENT_REPORT, on_event)]
        contexts = [build_context(COMMITMENT_CLASS)]
        with self._caller.associated(destination, contexts, handlers=handlers) as association:
            status = _act(association, _action_information(commitment))
            if status is None:
                raise PeerError(f"{destination.name} gave no answer to a request for commitment")
            if status in _NEVER:
                raise RefusedError(f"{destination.name} refused storage commitment: 0x{status:04X}")
            if status != SUCCESS:
                raise PeerError(f"{destination.name} took no commitment now: 0x{status:04X}")
            until = time.monotonic() + stay_s
            while association.is_established and time.monotonic() < until:
                if heard.wait(0.02):
                    time.sleep(0.05)  # our response to the report goes out
                    return

    # Reporting to peers

    def report(self, demand: Demand, report: Report) -> None:
        """See `ports.ReportClient.report`."""
        information = _event_information(report, demand.references)
        key = (demand.calling_ae_title, demand.transaction_uid)
        with self._lock:
            association = self._open.pop(key, None)
        if association is not None and association.is_established:
            try:
                self._send_report(association, information, demand.calling_ae_title)
            except PeerError as error:
                _log.info("a report did not get through on its association", error=describe(error))
            else:
                return
        port = self._report_ports.get(demand.calling_ae_title.strip())
        if port is None:
            raise PeerError(
                f"{demand.calling_ae_title} closed the association and has no commitment_port: "
                "the report reaches it only when it asks again"
            )
        peer = Destination(
            name=demand.calling_ae_title,
            ae_title=demand.calling_ae_title,
            host=demand.address,
            port=port,
        )
        # We are the SCP of the class, and the requestor of the association (PS3.4 J.3.3).
        role = build_role(COMMITMENT_CLASS, scu_role=False, scp_role=True)
        contexts = [build_context(COMMITMENT_CLASS)]
        with self._caller.associated(peer, contexts, negotiation=[role]) as new:
            self._send_report(new, information, demand.calling_ae_title)

    @staticmethod
    def _send_report(association: Association, information: Dataset, name: str) -> None:
        request = N_EVENT_REPORT()
        request.MessageID = 1
        request.AffectedSOPClassUID = UID(COMMITMENT_CLASS)
        request.AffectedSOPInstanceUID = UID(COMMITMENT_INSTANCE)
        failed = "FailedSOPSequence" in information
        request.EventTypeID = SOME_FAILED if failed else ALL_COMMITTED
        context = _context(association)
        if context is None:
            raise PeerError(f"{name} takes no reports on this association")
        request.EventInformation = _encoded(information, context)
        response = exchange(association, request, cast("int", context.context_id))
        if response is None:
            raise PeerError(f"{name} gave no answer to a report on storage commitment")
        if response.Status != SUCCESS:
            raise PeerError(
                f"{name} answered 0x{response.Status:04X} to a report on storage commitment"
            )

    # Our SCP

    def handlers(self) -> list[EventHandlerType]:
        """What our SCP binds."""
        return [
            (evt.EVT_N_ACTION, self._on_action),
            (evt.EVT_N_EVENT_REPORT, self._on_event_report),
        ]

    def _on_event_report(self, event: Event) -> tuple[int, None]:
        status, transaction_uid = _take_report(event, self._hear)
        self._lingering.heard(transaction_uid, called_back=True)
        return status, None

    def _on_action(self, event: Event) -> tuple[int, None]:
        requestor = event.assoc.requestor
        calling = requestor.ae_title
        try:
            if event.action_type != ASK:
                return NO_SUCH_ACTION, None
            if calling.strip() not in self._may_ask:
                _log.warning("a peer may not ask for commitment", calling_ae_title=calling)
                return NOT_AUTHORISED, None
            information = event.action_information
            uid = _uid(information, "TransactionUID")
            references = _references(information.get("ReferencedSOPSequence") or ())
            if not references:
                return INVALID_ARGUMENT, None
            with self._lock:
                self._open = {k: a for k, a in self._open.items() if a.is_established}
                self._open[calling, uid] = event.assoc
            taken = self._demanding.take(
                uid, references, calling_ae_title=calling, address=requestor.address
            )
        except NodeError as error:
            _log.warning("a demand is refused", calling_ae_title=calling, reason=describe(error))
            bad = isinstance(error, InputError)
            return INVALID_ARGUMENT if bad else PROCESSING_FAILURE, None
        except Exception as error:  # noqa: BLE001  # DIMSE boundary: the peer must get an answer
            _log.error("a demand was not taken", calling_ae_title=calling, reason=describe(error))
            return PROCESSING_FAILURE, None
        return SUCCESS if taken else DUPLICATE_TRANSACTION, None


def _act(association: Association, information: Dataset) -> int | None:
    """Send the N-ACTION and wait for its response; its status, None when there was none."""
    context = cast("PresentationContext", _context(association))
    request = N_ACTION()
    request.MessageID = 1
    request.RequestedSOPClassUID = UID(COMMITMENT_CLASS)
    request.RequestedSOPInstanceUID = UID(COMMITMENT_INSTANCE)
    request.ActionTypeID = ASK
    request.ActionInformation = _encoded(information, context)
    response = exchange(association, request, cast("int", context.context_id))
    return None if response is None else cast("int", response.Status)


def _context(association: Association) -> PresentationContext | None:
    """Under which storage commitment goes, whoever may ask whom: who asked for it takes reports."""
    accepted = association.accepted_contexts
    return next((each for each in accepted if each.abstract_syntax == COMMITMENT_CLASS), None)


def _encoded(information: Dataset, context: PresentationContext) -> BytesIO:
    syntax = context.transfer_syntax[0]
    encoded = encode(information, syntax.is_implicit_VR, syntax.is_little_endian)
    return BytesIO(cast("bytes", encoded))


def _take_report(event: Event, hear: Callable[[Report], Heard]) -> tuple[int, str]:
    """The status of the response, and the Transaction UID, empty when there is none."""
    uid = ""
    try:
        if event.event_type not in (ALL_COMMITTED, SOME_FAILED):
            return NO_SUCH_EVENT, uid
        information = event.event_information
        uid = _uid(information, "TransactionUID")
        committed = _references(information.get("ReferencedSOPSequence") or ())
        failed = {
            str(item.ReferencedSOPInstanceUID): int(item.get("FailureReason", _UNKNOWN_REASON))
            for item in information.get("FailedSOPSequence") or ()
            if "ReferencedSOPInstanceUID" in item
        }
        heard = hear(
            Report(
                transaction_uid=uid,
                committed=frozenset(each.sop_instance_uid for each in committed),
                failed=failed,
            )
        )
    except InputError as error:
        _log.warning("a report cannot be read", reason=describe(error))
        return INVALID_ARGUMENT, uid
    except Exception as error:  # noqa: BLE001  # DIMSE boundary: the peer must get an answer
        _log.error("a report was not taken", reason=describe(error))
        return PROCESSING_FAILURE, uid
    return INVALID_ARGUMENT if heard is Heard.UNKNOWN else SUCCESS, uid


def _action_information(commitment: Commitment) -> Dataset:
    information = Dataset()
    information.TransactionUID = commitment.transaction_uid
    information.ReferencedSOPSequence = [_item(each) for each in commitment.instances]
    return information


def _event_information(report: Report, references: Iterable[Reference]) -> Dataset:
    information = Dataset()
    information.TransactionUID = report.transaction_uid
    failed = []
    committed = []
    for each in references:
        item = _item(each)
        if each.sop_instance_uid in report.failed:
            item.FailureReason = report.failed[each.sop_instance_uid]
            failed.append(item)
        else:
            committed.append(item)
    if committed:
        information.ReferencedSOPSequence = committed
    if failed:
        information.FailedSOPSequence = failed
    return information


def _item(reference: Reference) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = reference.sop_class_uid
    item.ReferencedSOPInstanceUID = reference.sop_instance_uid
    return item


def _references(items: Iterable[Any]) -> tuple[Reference, ...]:
    return tuple(
        Reference(
            sop_class_uid=_uid(item, "ReferencedSOPClassUID"),
            sop_instance_uid=_uid(item, "ReferencedSOPInstanceUID"),
        )
        for item in items
    )


def _uid(dataset: Dataset, keyword: str) -> str:
    """A UID that must be there.

    Raises:
        InputError: It is not, or it is no UID.
    """
    value = dataset.get(keyword)
    if value is None or not UID(str(value)).is_valid:
        raise InputError(f"{keyword} is missing, or is no UID")
    return str(value)
