"""Asking one destination to commit what it stored (PS3.4 Annex J), until it has said so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from dicom_node.domain.commitments import Heard
from dicom_node.domain.errors import RefusedError, describe
from dicom_node.domain.routes import Commitment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dicom_node.domain.commitments import Report
    from dicom_node.domain.retry import RetryPolicy
    from dicom_node.domain.routes import Destination
    from dicom_node.ports import Clock, CommitmentClient, CommitmentLedger

__all__ = ["Committing", "Hearing"]

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearing:
    """Takes reports, on whichever association they come.

    Attributes:
        ledger: What they answer.
        policies: Retries by name of destination.
        otherwise: For a destination that left the configuration.
        clock: Unix seconds.
        wake: Called when something is to be sent again.
        on_heard: Called with what a report changed.
    """

    ledger: CommitmentLedger
    policies: Mapping[str, RetryPolicy]
    otherwise: RetryPolicy
    clock: Clock
    wake: Callable[[], None]
    on_heard: Callable[[Heard], None] = lambda heard: None

    def hear(self, report: Report) -> Heard:
        """Take one report.

        Raises:
            CapacityError: The ledger cannot be written.
        """
        heard = self.ledger.hear_report(
            report, lambda name: self.policies.get(name, self.otherwise), self.clock()
        )
        log = _log.bind(committed=len(report.committed), failed=len(report.failed))
        match heard:
            case Heard.COMMITTED:
                log.info("a destination committed a delivery")
            case Heard.RESENT:
                log.warning("a destination did not commit instances; they are sent again")
                self.wake()
            case Heard.INCOMPLETE:
                log.warning("a report passes over instances; they are asked about again")
            case Heard.REPEATED:
                log.info("a report on storage commitment came again or too late")
            case Heard.UNKNOWN:
                log.warning("a report on storage commitment belongs to no transaction of ours")
        self.on_heard(heard)
        return heard


@dataclass(frozen=True, slots=True, kw_only=True)
class Committing:
    """One destination's asker.

    The transaction and what it expects are in the ledger before the destination is asked, so a
    report that comes first, or after a crash, finds what it answers. Whatever stays unanswered is
    asked again under a new UID.

    Attributes:
        ledger: Where deliveries wait for it.
        client: Speaks to the destination.
        hearing: Takes reports that come on the same association.
        destination: The one this asker serves.
        clock: Unix seconds when the client returned.
        jitter: Draws from [0, 1) by how much of itself a wait is shortened.
        new_uid: A UID never used before.
        stopping: True once the node shuts down.
    """

    ledger: CommitmentLedger
    client: CommitmentClient
    hearing: Hearing
    destination: Destination
    clock: Clock
    jitter: Callable[[], float]
    new_uid: Callable[[], str]
    stopping: Callable[[], bool] = lambda: False

    def run_once(self, now: float) -> bool:
        """Ask about the delivery that is due, if any; whether anything was done.

        Raises:
            CapacityError: The ledger cannot be written; the request runs out by itself.
        """
        name = self.destination.name
        if self.destination.commitment is Commitment.NONE:
            closed = self.ledger.close_stored(name, now)
            if closed:
                _log.info(
                    "deliveries are closed without commitment", destination=name, count=closed
                )
            return closed > 0
        overdue = self.ledger.expire_commitments(name, self._delay_s, now)
        if overdue:
            _log.warning(
                "a destination owes reports on storage commitment; it is asked again",
                destination=name,
                count=overdue,
            )
        commitment = self.ledger.ask_commitment(
            name, self.new_uid(), now=now, answer_by=now + self.destination.commitment_timeout_s
        )
        if commitment is None:
            return overdue > 0
        log = _log.bind(
            destination=name, delivery=commitment.delivery_id, instances=len(commitment.instances)
        )
        try:
            self.client.ask(self.destination, commitment, self.hearing.hear)
        except RefusedError as error:
            if self.destination.commitment is Commitment.IF_SUPPORTED:
                self.ledger.unsupported(commitment.transaction_uid, self.clock())
                log.info("a destination does no storage commitment", error=describe(error))
            else:
                self._not_asked(commitment.transaction_uid, error, None)
                log.error("a delivery was put into quarantine", error=describe(error))
        except Exception as error:  # noqa: BLE001 - loop boundary: every failure has its policy
            delay_s = 0.0 if self.stopping() else self._delay_s(commitment.failures + 1)
            self._not_asked(commitment.transaction_uid, error, delay_s)
            log.warning(
                "a request for storage commitment failed", error=describe(error), wait_s=delay_s
            )
        else:
            log.info("a destination was asked for storage commitment")
        return True

    def _not_asked(self, uid: str, error: Exception, delay_s: float | None) -> None:
        now = self.clock()
        self.ledger.not_asked(
            uid,
            describe(error),
            retry_at=None if delay_s is None else now + delay_s,
            now=now,
            counts=not self.stopping(),
        )

    def _delay_s(self, failures: int) -> float | None:
        return self.destination.retry.delay_s(failures, jitter=self.jitter())
