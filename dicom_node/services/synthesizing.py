"""Making what was ordered: lease a job, run the engine, spool the instances, publish them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import structlog

from dicom_node.domain.errors import (
    CapacityError,
    Disposition,
    EngineDownError,
    LeaseLostError,
    NodeError,
    describe,
)
from dicom_node.domain.retry import RetryPolicy
from dicom_node.iod.reading import read_source
from dicom_node.services import deriving
from dicom_node.services.owing import Owing
from synthesis.errors import SynthesisError
from synthesis.types import SynthesisRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from dicom_node.domain.jobs import Job
    from dicom_node.ports import Clock, Engine, Ledger, Product, Spool

__all__ = ["Synthesizing"]

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthesizing:
    """One worker over one engine. A run that is cut anywhere leaves nothing but a lease that ends.

    Attributes:
        ledger: Where jobs wait and results are published.
        spool: Where sources lie and instances go.
        engine: Used by this worker alone.
        clock: Unix seconds, asked again when the work is done.
        wake: Called after deliveries were queued.
        deadline_s: The engine's time for one job.
        margin_s: What the lease is longer than the deadline: time to build and spool.
        retry: After how long, and how often, a failed job runs again.
        max_lost_leases: How often the node may stop or hang during one job before the job is
            taken for the cause.
        no_room_s: Wait when the disk is full or the engine cannot be had; such waits are not
            counted as failures.
        stopping: True once the node shuts down: then a failure is the node's, not the job's.
    """

    ledger: Ledger
    spool: Spool
    engine: Engine
    clock: Clock
    wake: Callable[[], None]
    deadline_s: float
    margin_s: float = 300.0
    retry: RetryPolicy = field(
        default_factory=lambda: RetryPolicy(first_s=10.0, factor=3.0, max_s=600.0, attempts=3)
    )
    max_lost_leases: int = 50
    no_room_s: float = 60.0
    stopping: Callable[[], bool] = lambda: False
    _owing: Owing = field(default_factory=Owing, init=False, repr=False)

    def run_once(self, now: float) -> bool:
        """Work on the job that is due, if any; whether there was one.

        Raises:
            CapacityError: The ledger cannot be written; the lease ends by itself.
        """
        self._owing.settle()
        job = self.ledger.lease_job(now, self.deadline_s + self.margin_s)
        if job is None:
            return False
        log = _log.bind(job=job.key[:12], attempt=job.attempts, route=job.order.route)
        try:
            self._work(job, log)
        except LeaseLostError as error:
            log.warning("a job was lost to another worker", error=describe(error))
        return True

    def _work(self, job: Job, log: structlog.typing.FilteringBoundLogger) -> None:
        if job.lost_leases >= self.max_lost_leases:
            error = f"the node stopped {job.lost_leases} times while it worked on this job"
            self.ledger.fail_job(job, error, retry_at=None, now=self.clock())
            log.error("a job was put into quarantine", error=error)
            return
        log.info("a job runs")
        try:
            products = self._make(job)
            self.ledger.finish_job(job, products, self.clock())
        except Exception as error:  # noqa: BLE001 - loop boundary: every failure has its policy
            # A lease that is lost cannot be failed either, so it comes out of here as what it is.
            self._fail(job, error, log)
            return
        log.info("a job is done", instances=len(products), targets=len(job.order.targets))
        self.wake()

    def _make(self, job: Job) -> tuple[Product, ...]:
        source = read_source(self.spool.read(job.source_digest))
        request = SynthesisRequest(
            source=source.radiograph,
            views=job.order.views,
            samples=job.order.samples,
            steps=job.order.steps,
            seed=job.order.seed,
            allow_ineligible=job.order.allow_ineligible,
        )
        result = self.engine.synthesize(job.order.model, request, deadline_s=self.deadline_s)
        deriving.check_result(job, result)
        deriving.check_consistency(job, result)
        # Local time: one Timezone Offset stands for the study's copied times as well.
        at = datetime.fromtimestamp(self.clock()).astimezone()
        return tuple(deriving.products(job, source, result, self.spool, synthesized_at=at))

    def _fail(self, job: Job, error: Exception, log: structlog.typing.FilteringBoundLogger) -> None:
        now, text = self.clock(), describe(error)
        if isinstance(error, (CapacityError, EngineDownError)) or self.stopping():
            wait_s = 0.0 if self.stopping() else self.no_room_s
            waits = partial(self.ledger.fail_job, job, text, now=now, counts=False)
            # Once the ledger can be written again there is nothing left to wait for.
            self._owing.write(
                partial(waits, retry_at=now + wait_s), late=partial(waits, retry_at=now)
            )
            log.warning("a job waits for the node", error=text, wait_s=wait_s)
            return
        delay_s = self.retry.delay_s(job.failures + 1) if _may_pass(error) else None
        retry_at = None if delay_s is None else now + delay_s
        self._owing.write(partial(self.ledger.fail_job, job, text, retry_at=retry_at, now=now))
        if delay_s is None:
            log.error("a job was put into quarantine", error=text)
        else:
            log.warning("a job failed and runs again", error=text, wait_s=delay_s)


def _may_pass(error: Exception) -> bool:
    """Whether the same job may succeed later: also when nobody foresaw what happened."""
    if isinstance(error, NodeError):
        return error.disposition is Disposition.RETRY
    return not isinstance(error, SynthesisError)
