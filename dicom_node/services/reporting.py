"""Answering peers that ask us to commit what they sent (PS3.4 Annex J)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog

from dicom_node.domain.commitments import Report
from dicom_node.domain.errors import LeaseLostError, describe
from dicom_node.domain.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dicom_node.domain.commitments import Demand, Reference
    from dicom_node.ports import Clock, CommitmentLedger, ReportClient, Spool

__all__ = ["Demanding", "Reporting"]

AFTER_RESPONSE_S: Final = 0.3
"""The report waits until the response to the demand is out: peers that get them the other way round
are often confused."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demanding:
    """Takes what peers ask into safety; the report comes later, from `Reporting`.

    Attributes:
        ledger: Where it is written down.
        clock: Unix seconds.
    """

    ledger: CommitmentLedger
    clock: Clock

    def take(
        self,
        transaction_uid: str,
        references: Sequence[Reference],
        *,
        calling_ae_title: str,
        address: str,
    ) -> bool:
        """Whether it was written down; False when the UID stands for another demand of this peer.

        Raises:
            CapacityError: The ledger cannot be written.
        """
        now = self.clock()
        taken = self.ledger.record_demand(
            transaction_uid,
            references,
            calling_ae_title=calling_ae_title,
            address=address,
            now=now,
            report_at=now + AFTER_RESPONSE_S,
        )
        if taken:
            _log.info(
                "a peer asks for storage commitment",
                calling_ae_title=calling_ae_title,
                instances=len(references),
            )
        return taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporting:
    """Reports from the ledger: what is in it is committed, as only durable objects come there, as
    long as nobody took their files away. Who is told of a loss sends again, which heals it.

    An instance that is not there yet may be on its way over another association, so it is given
    some time before it is reported as failed.

    Attributes:
        ledger: Demands, and what we hold.
        spool: Where that lies.
        client: Speaks to the peers.
        clock: Unix seconds.
        jitter: Draws from [0, 1).
        grace_s: How long a missing instance is waited for.
        look_again_s: How often.
        retry: For reports that do not get through.
        lease_s: Longest report.
    """

    ledger: CommitmentLedger
    spool: Spool
    client: ReportClient
    clock: Clock
    jitter: Callable[[], float]
    grace_s: float = 10.0
    look_again_s: float = 1.0
    retry: RetryPolicy = field(
        default_factory=lambda: RetryPolicy(first_s=5.0, factor=2.0, max_s=600.0, attempts=20)
    )
    lease_s: float = 300.0

    def run_once(self, now: float) -> bool:
        """Report on the demand that is due, if any; whether there was one.

        Raises:
            CapacityError: The ledger cannot be written; the lease ends by itself.
        """
        self.ledger.expire_demands(now)
        demand = self.ledger.lease_demand(now, self.lease_s)
        if demand is None:
            return False
        log = _log.bind(demand=demand.id, calling_ae_title=demand.calling_ae_title)
        try:
            self._report(demand, log)
        except LeaseLostError as error:
            log.warning("a demand was lost to another reporter", error=describe(error))
        return True

    def _report(self, demand: Demand, log: structlog.typing.FilteringBoundLogger) -> None:
        judged = self.ledger.judge(demand.references, self.spool.holds)
        failed = {uid: reason for uid, reason in judged.items() if reason is not None}
        now = self.clock()
        if failed and 0.0 <= now - demand.received_at < self.grace_s:
            self.ledger.fail_demand(
                demand, "waiting for instances", retry_at=now + self.look_again_s, now=now
            )
            return
        report = Report(
            transaction_uid=demand.transaction_uid,
            committed=frozenset(judged.keys() - failed.keys()),
            failed=failed,
        )
        try:
            self.client.report(demand, report)
        except Exception as error:  # noqa: BLE001 - loop boundary: every failure has its policy
            now, text = self.clock(), describe(error)
            delay_s = self.retry.delay_s(demand.attempts, jitter=self.jitter())
            retry_at = None if delay_s is None else now + delay_s
            self.ledger.fail_demand(demand, text, retry_at=retry_at, now=now)
            if delay_s is None:
                log.error("a report on storage commitment was given up", error=text)
            else:
                log.warning("a report did not get through and is sent again", error=text)
            return
        self.ledger.finish_demand(demand, self.clock())
        log.info(
            "storage commitment was reported", committed=len(report.committed), failed=len(failed)
        )
