"""Bringing finished series to one destination, instance by instance, until it has them all."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from dicom_node.domain.deliveries import Outcome
from dicom_node.domain.errors import (
    BusyError,
    CapacityError,
    Disposition,
    LeaseLostError,
    NodeError,
    PeerError,
    RefusedError,
    UnreachableError,
    describe,
)
from dicom_node.domain.routes import Commitment
from dicom_node.services.owing import Owing

if TYPE_CHECKING:
    from collections.abc import Callable

    from dicom_node.domain.deliveries import Delivery, DerivedInstance
    from dicom_node.domain.routes import Destination
    from dicom_node.ports import Clock, Ledger, Spool, StoreClient

__all__ = ["Delivering"]

NO_ROOM_S: Final = 60.0
"""Wait after a failure of our own: no room on the disk, or a ledger that does not answer."""

PATIENCE_WITH_THE_BUSY: Final = 6.0
"""A destination without room needs people, a broken association seconds."""

_NO_ROOM_STATUSES: Final = (0x0213, *range(0xA700, 0xA800))
"""Resource limitation (PS3.7 C.5.24) and out of resources (PS3.4 Table B.2-1)."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Rest:
    """A destination that gave no association is left alone, whatever waits for it.

    Attributes:
        failures: Vain calls in a row.
        until: Unix seconds of the next one.
    """

    failures: int = 0
    until: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivering:
    """One destination's sender, so that a destination that is away delays no other.

    A destination that gives no association is called again at growing distances, one delivery
    standing for all that wait. Every other failure is the business of the delivery it came with:
    the next one is tried at once.

    Attributes:
        ledger: Where deliveries wait; it learns every answer as it comes.
        spool: Where the instances lie.
        client: Speaks to the destination.
        destination: The one this sender serves, with its retry policy.
        clock: Unix seconds of each answer.
        jitter: Draws from [0, 1) by how much of itself a wait is shortened.
        lease_s: How long silence may last; every answer renews it.
        stopping: True once the node shuts down: then a failure is the node's, not the delivery's.
    """

    ledger: Ledger
    spool: Spool
    client: StoreClient
    destination: Destination
    clock: Clock
    jitter: Callable[[], float]
    lease_s: float = 600.0
    stopping: Callable[[], bool] = lambda: False
    _rest: _Rest = field(default_factory=_Rest, init=False, repr=False)
    _owing: Owing = field(default_factory=Owing, init=False, repr=False)

    def run_once(self, now: float) -> bool:
        """Send the delivery that is due, if any; whether there was one.

        Raises:
            CapacityError: The ledger cannot be written; the lease ends by itself.
        """
        self._owing.settle()
        delivery = None
        if not self._rests(now):
            delivery = self.ledger.lease_delivery(self.destination.name, now, self.lease_s)
        if delivery is None:
            self.client.release(self.destination)
            return False
        log = _log.bind(
            delivery=delivery.id,
            job=delivery.job_key[:12],
            destination=delivery.destination,
            attempt=delivery.attempts,
        )
        try:
            try:
                self._send(delivery)
            except Exception as error:  # noqa: BLE001 - loop boundary: every failure has its policy
                # A lease that is lost cannot be failed either, so it comes out as what it is.
                self._fail(delivery, error, log)
            else:
                self._rest.failures = 0
                wanted = self.destination.commitment is not Commitment.NONE
                self.ledger.finish_delivery(delivery, commitment=wanted, now=self.clock())
                log.info("a delivery is complete", sent=len(delivery.outstanding))
        except LeaseLostError as error:
            log.warning("a delivery was lost to another sender", error=describe(error))
        return True

    def call_again(self) -> None:
        """Call the destination at the next turn, though it gave no association lately."""
        self._rest.until = 0.0

    def _send(self, delivery: Delivery) -> None:
        """Nothing, when every outstanding instance is stored.

        Raises:
            NodeError: Some instance is not, and why.
        """
        if not delivery.outstanding:
            return
        # The bytes are read once before they are sent: damage on disk must not travel.
        for instance in delivery.outstanding:
            self.spool.read(instance.digest)
        answers = _Answers(delivery=delivery, service=self)
        self.client.send(
            self.destination,
            [(instance, self.spool.path(instance.digest)) for instance in delivery.outstanding],
            answers.take,
        )
        answers.judge()

    def _fail(
        self,
        delivery: Delivery,
        error: Exception,
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        now, text = self.clock(), describe(error)
        if self.stopping() or isinstance(error, CapacityError):
            wait_s = 0.0 if self.stopping() else NO_ROOM_S
            waits = partial(self.ledger.fail_delivery, delivery, text, now=now, counts=False)
            # Once the ledger can be written again there is nothing left to wait for.
            self._owing.write(
                partial(waits, retry_at=now + wait_s), late=partial(waits, retry_at=now)
            )
            log.warning("a delivery waits for the node", error=text, wait_s=wait_s)
            return
        delay_s = self._delay_s(delivery, error)
        retry_at = None if delay_s is None else now + delay_s
        self._owing.write(
            partial(self.ledger.fail_delivery, delivery, text, retry_at=retry_at, now=now)
        )
        if isinstance(error, UnreachableError):
            self._take_a_rest(now)
        else:
            self._rest.failures = 0
        if delay_s is None:
            log.error("a delivery was put into quarantine", error=text)
        else:
            log.warning("a delivery failed and is sent again", error=text, wait_s=round(delay_s, 1))

    def _delay_s(self, delivery: Delivery, error: Exception) -> float | None:
        """Seconds until the next attempt, by the class of the error; None for never."""
        if isinstance(error, NodeError) and error.disposition is Disposition.QUARANTINE:
            return None
        patience = PATIENCE_WITH_THE_BUSY if isinstance(error, BusyError) else 1.0
        return self.destination.retry.delay_s(
            delivery.failures + 1, jitter=self.jitter(), patience=patience
        )

    def _rests(self, now: float) -> bool:
        # A clock that was set back must not make the rest any longer.
        return 0.0 < self._rest.until - now <= self.destination.retry.max_s

    def _take_a_rest(self, now: float) -> None:
        retry, rest = self.destination.retry, self._rest
        rest.failures = min(rest.failures + 1, max(1, retry.attempts - 1))
        rest.until = now + (retry.delay_s(rest.failures, jitter=self.jitter()) or retry.max_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answers:
    """What a destination answered during one attempt, each written down as it comes."""

    delivery: Delivery
    service: Delivering
    _outcomes: dict[str, tuple[DerivedInstance, Outcome, int]] = field(default_factory=dict)

    def take(self, instance: DerivedInstance, outcome: Outcome, status: int) -> None:
        service = self.service
        service.ledger.record_outcome(
            self.delivery,
            instance.sop_instance_uid,
            outcome,
            status,
            service.clock(),
            service.lease_s,
        )
        self._outcomes[instance.sop_instance_uid] = (instance, outcome, status)

    def judge(self) -> None:
        name = self.delivery.destination
        for instance, outcome, status in self._outcomes.values():
            if outcome is Outcome.REFUSED:
                raise RefusedError(
                    f"{name} refused instance {instance.index + 1} with status 0x{status:04X}"
                )
        for instance, outcome, status in self._outcomes.values():
            if outcome is Outcome.RETRY:
                kind = BusyError if status in _NO_ROOM_STATUSES else PeerError
                raise kind(
                    f"{name} could not take instance {instance.index + 1} now: "
                    f"status 0x{status:04X}"
                )
        silent = len(self.delivery.outstanding) - len(self._outcomes)
        if silent:
            raise PeerError(f"{name} did not confirm {silent} instances")
