"""Storage commitment (PS3.4 Annex J): what is asked, what is answered, and the states of a demand.

A *commitment* is what we ask of a destination; a *demand* is what a peer asks of us.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from dicom_node.domain.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "DEMAND_TABLE",
    "Commitment",
    "Demand",
    "DemandEvent",
    "DemandState",
    "Heard",
    "Reference",
    "Report",
    "advance",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One instance that is asked about."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitment:
    """One transaction towards a destination, written down before it is asked.

    Attributes:
        transaction_uid: Made for this asking and never used again.
        delivery_id: Whose instances they are.
        failures: Of the delivery so far.
        instances: Expected in the report.
    """

    transaction_uid: str
    delivery_id: int
    failures: int
    instances: tuple[Reference, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """An N-EVENT-REPORT (PS3.4 J.3.3).

    Attributes:
        transaction_uid: Of the request it answers.
        committed: SOP Instance UIDs taken into safekeeping.
        failed: SOP Instance UID -> Failure Reason (0008,1197) of those that were not.
    """

    transaction_uid: str
    committed: frozenset[str]
    failed: Mapping[str, int]


class Heard(StrEnum):
    """What a report was to us."""

    COMMITTED = "committed"
    RESENT = "resent"
    INCOMPLETE = "incomplete"
    REPEATED = "repeated"
    UNKNOWN = "unknown"


class DemandState(StrEnum):
    """Where a demand of a peer stands."""

    WAITING = "waiting"
    REPORTING = "reporting"
    REPORTED = "reported"
    GIVEN_UP = "given_up"


class DemandEvent(StrEnum):
    """What may happen to a demand."""

    LEASED = "leased"
    ANSWERED = "answered"
    FAILED = "failed"
    LEASE_EXPIRED = "lease_expired"
    GAVE_UP = "gave_up"
    REPEATED = "repeated"


_S, _E = DemandState, DemandEvent

DEMAND_TABLE: Final[Mapping[tuple[DemandState, DemandEvent], DemandState]] = {
    (_S.WAITING, _E.LEASED): _S.REPORTING,
    (_S.REPORTING, _E.ANSWERED): _S.REPORTED,
    (_S.REPORTING, _E.FAILED): _S.WAITING,
    (_S.REPORTING, _E.LEASE_EXPIRED): _S.WAITING,
    (_S.REPORTING, _E.GAVE_UP): _S.GIVEN_UP,
    (_S.REPORTED, _E.REPEATED): _S.WAITING,
    (_S.GIVEN_UP, _E.REPEATED): _S.WAITING,
}


def advance(state: DemandState, event: DemandEvent) -> DemandState:
    """The state after an event.

    Raises:
        IntegrityError: The table has no such pair.
    """
    try:
        return DEMAND_TABLE[state, event]
    except KeyError:
        raise IntegrityError(f"a demand that is {state} cannot be {event}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What a peer asked us to commit.

    Attributes:
        id: The ledger's number.
        transaction_uid: Of the peer.
        calling_ae_title: Of the peer.
        address: It called from.
        received_at: Unix seconds.
        attempts: Leases taken so far.
        references: What it asked about, in its order.
    """

    id: int
    transaction_uid: str
    calling_ae_title: str
    address: str
    received_at: float
    attempts: int
    references: tuple[Reference, ...]
