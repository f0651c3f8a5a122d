"""A delivery: the instances of one job on their way to one destination."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from dicom_node.domain.errors import IntegrityError
from dicom_node.domain.writing import Matrix, Writing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dicom_node.domain.identifiers import JobKey
    from dicom_node.domain.writing import Document, Form

__all__ = [
    "DELIVERY_TABLE",
    "Delivery",
    "DeliveryEvent",
    "DeliveryState",
    "DerivedInstance",
    "Outcome",
    "advance",
    "stray_reason",
]


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    PENDING = "pending"
    SENDING = "sending"
    CLOSED = "closed"
    STORED = "stored"
    COMMIT_REQUESTED = "commit_requested"
    COMMITTED = "committed"
    QUARANTINED = "quarantined"
    CANCELLED = "cancelled"


class DeliveryEvent(StrEnum):
    """What may happen to a delivery."""

    LEASED = "leased"
    ALL_STORED = "all_stored"
    ALL_STORED_NO_COMMITMENT = "all_stored_no_commitment"
    FAILED = "failed"
    LEASE_EXPIRED = "lease_expired"
    GAVE_UP = "gave_up"
    COMMIT_ASKED = "commit_asked"
    COMMIT_CONFIRMED = "commit_confirmed"
    COMMIT_TIMED_OUT = "commit_timed_out"
    COMMIT_FAILED = "commit_failed"
    COMMIT_UNSUPPORTED = "commit_unsupported"
    RELEASED = "released"
    CANCELLED = "cancelled"


_S, _E = DeliveryState, DeliveryEvent

DELIVERY_TABLE: Final[Mapping[tuple[DeliveryState, DeliveryEvent], DeliveryState]] = {
    (_S.PENDING, _E.LEASED): _S.SENDING,
    (_S.PENDING, _E.CANCELLED): _S.CANCELLED,
    (_S.PENDING, _E.GAVE_UP): _S.QUARANTINED,
    (_S.SENDING, _E.ALL_STORED_NO_COMMITMENT): _S.CLOSED,
    (_S.SENDING, _E.ALL_STORED): _S.STORED,
    (_S.SENDING, _E.FAILED): _S.PENDING,
    (_S.SENDING, _E.LEASE_EXPIRED): _S.PENDING,
    (_S.SENDING, _E.GAVE_UP): _S.QUARANTINED,
    (_S.STORED, _E.COMMIT_ASKED): _S.COMMIT_REQUESTED,
    (_S.COMMIT_REQUESTED, _E.COMMIT_CONFIRMED): _S.COMMITTED,
    (_S.COMMIT_REQUESTED, _E.COMMIT_TIMED_OUT): _S.STORED,
    (_S.COMMIT_REQUESTED, _E.COMMIT_FAILED): _S.PENDING,
    (_S.COMMIT_REQUESTED, _E.COMMIT_UNSUPPORTED): _S.CLOSED,
    (_S.COMMIT_REQUESTED, _E.GAVE_UP): _S.QUARANTINED,
    (_S.STORED, _E.COMMIT_CONFIRMED): _S.COMMITTED,
    (_S.STORED, _E.COMMIT_UNSUPPORTED): _S.CLOSED,
    (_S.STORED, _E.GAVE_UP): _S.QUARANTINED,
    (_S.QUARANTINED, _E.RELEASED): _S.PENDING,
    (_S.QUARANTINED, _E.CANCELLED): _S.CANCELLED,
}


def advance(state: DeliveryState, event: DeliveryEvent) -> DeliveryState:
    """The state after an event.

    Raises:
        IntegrityError: The table has no such pair.
    """
    try:
        return DELIVERY_TABLE[state, event]
    except KeyError:
        raise IntegrityError(f"a delivery that is {state} cannot be {event}") from None


def stray_reason(destination: str) -> str:
    """Why a delivery to a destination that is not in the configuration is in quarantine."""
    return (
        f"destination {destination} is not configured any more: configure it again and release "
        "this, or cancel it"
    )


class Outcome(StrEnum):
    """What a destination answered for one instance (PS3.4 B.2.3)."""

    STORED = "stored"
    RETRY = "retry"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivedInstance:
    """One synthesized object in the spool.

    Attributes:
        digest: Of its bytes in the spool (a whole DICOM file).
        index: Position among what is sent, from 0. Images come first, in the order of their views,
            so the Instance Number of an image is one more.
        banner: Whether the visible mark is burned in.
        matrix: Which pixels it, or the images it goes with, are written in.
        document: What it is; None is an image.
    """

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    series_instance_uid: str
    form: Form
    index: int
    digest: str
    size_bytes: int
    banner: bool = True
    matrix: Matrix = Matrix.NATIVE
    document: Document | None = None

    @property
    def writing(self) -> Writing:
        """How it, or the images it goes with, are written."""
        return Writing(form=self.form, banner=self.banner, matrix=self.matrix)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A row of the ledger: one job's instances of one form to one destination.

    Attributes:
        id: The ledger's number.
        attempts: Leases taken so far; it only grows, and with the id it names one lease.
        failures: Failed attempts since the delivery was made or released.
        lost_leases: Leases that ran out, or were cut by a stop of the node, since then.
        not_before: Unix seconds before which it is not leased.
        outstanding: Instances the destination has not confirmed yet, in order of index.
        documents: What it brings with the images.
    """

    id: int
    job_key: JobKey
    destination: str
    form: Form
    state: DeliveryState
    attempts: int
    failures: int
    not_before: float
    lease_until: float | None
    last_error: str
    outstanding: tuple[DerivedInstance, ...]
    banner: bool = True
    lost_leases: int = 0
    matrix: Matrix = Matrix.NATIVE
    documents: tuple[Document, ...] = ()
