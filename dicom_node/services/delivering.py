"""Bringing finished series to one destination, instance by instance, until it has them all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from dicom_node.domain.deliveries import Outcome
from dicom_node.domain.errors import (
    ConfigurationError,
    Disposition,
    LeaseLostError,
    NodeError,
    PeerError,
    RefusedError,
    describe,
)
from dicom_node.domain.routes import Commitment

if TYPE_CHECKING:
    from collections.abc import Callable

    from dicom_node.domain.deliveries import Delivery, DerivedInstance
    from dicom_node.domain.routes import Destination
    from dicom_node.ports import Clock, Ledger, Spool, StoreClient

__all__ = ["Delivering"]

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivering:
    """One destination's sender, so that a destination that is away delays no other.

    Attributes:
        ledger: Where deliveries wait; it learns every answer as it comes.
        spool: Where the instances lie.
        client: Speaks to the destination.
        destination: The one this sender serves, with its retry policy.
        clock: Unix seconds of each answer.
        jitter: Draws from [0, 1) by how much of itself a wait is shortened.
        lease_s: How long silence may last; every answer renews it.

    Raises:
        ConfigurationError: The destination asks for storage commitment, which is not there yet.
    """

    ledger: Ledger
    spool: Spool
    client: StoreClient
    destination: Destination
    clock: Clock
    jitter: Callable[[], float]
    lease_s: float = 600.0

    def __post_init__(self) -> None:
        if self.destination.commitment is not Commitment.NONE:
            raise ConfigurationError(
                f"destination {self.destination.name}: commitment "
                f"{self.destination.commitment} is not supported; give none"
            )

    def run_once(self, now: float) -> bool:
        """Send the delivery that is due, if any; whether there was one.

        Raises:
            CapacityError: The ledger cannot be written; the lease ends by itself.
        """
        delivery = self.ledger.lease_delivery(self.destination.name, now, self.lease_s)
        if delivery is None:
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
                self.ledger.finish_delivery(delivery, commitment=False, now=self.clock())
                log.info("a delivery is complete", sent=len(delivery.outstanding))
        except LeaseLostError as error:
            log.warning("a delivery was lost to another sender", error=describe(error))
        return True

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
        delay_s = None
        if not isinstance(error, NodeError) or error.disposition is not Disposition.QUARANTINE:
            delay_s = self.destination.retry.delay_s(delivery.failures + 1, jitter=self.jitter())
        retry_at = None if delay_s is None else now + delay_s
        self.ledger.fail_delivery(delivery, text, retry_at=retry_at, now=now)
        if delay_s is None:
            log.error("a delivery was put into quarantine", error=text)
        else:
            log.warning("a delivery failed and is sent again", error=text, wait_s=round(delay_s, 1))


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
                raise PeerError(
                    f"{name} could not take instance {instance.index + 1} now: "
                    f"status 0x{status:04X}"
                )
        silent = len(self.delivery.outstanding) - len(self._outcomes)
        if silent:
            raise PeerError(f"{name} did not confirm {silent} instances")
