"""Figures that are looked up when somebody asks: the queues, the disk, certificates, engines."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from dicom_node.domain.deliveries import DeliveryState
from dicom_node.domain.errors import ConfigurationError, NodeError
from dicom_node.domain.jobs import JobState
from dicom_node.monitoring.metrics import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from prometheus_client.core import Metric

    from dicom_node.ports import Clock, FigureLedger, Queues

__all__ = ["EngineProcess", "NodeGauges"]

COUNT_EVERY_S: Final = 2.0
"""How often the rows are counted at most, however many ask."""

_log = structlog.get_logger(__name__)


@runtime_checkable
class EngineProcess(Protocol):
    """An engine, as far as it can be watched."""

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        ...

    @property
    def starts(self) -> int:
        """How often it was started."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NodeGauges:
    """A collector of `prometheus_client`.

    Attributes:
        ledger: Counted at most every `COUNT_EVERY_S`.
        clock: Unix seconds.
        destinations: Names; each has its figures, also when nothing waits for it.
        free_bytes: Of the spool's disk.
        min_free_bytes: Below it images are refused.
        associations: Open at the moment.
        engines: Processes.
        expiries: Name of a certificate -> when it ends, in Unix seconds.
    """

    ledger: FigureLedger
    clock: Clock
    destinations: Sequence[str]
    free_bytes: Callable[[], int]
    min_free_bytes: int
    associations: Callable[[], int]
    engines: Sequence[EngineProcess]
    expiries: Mapping[str, Callable[[], float]]
    _kept: list[tuple[float, Queues]] = field(default_factory=list, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def describe(self) -> Iterator[Metric]:
        """Nothing: whoever registers this must not make it count."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """The figures of now."""
        try:
            queues = self.queues()
        except NodeError as error:
            _log.warning("the queues could not be counted", reason=str(error))
            yield _gauge("ledger_up", "Whether the ledger could be counted.", 0)
        else:
            yield _gauge("ledger_up", "Whether the ledger could be counted.", 1)
            yield from self._queues(queues)
        yield _gauge("disk_free_bytes", "Free space of the spool's disk.", self.free_bytes())
        yield _gauge("disk_min_free_bytes", "Below it images are refused.", self.min_free_bytes)
        yield _gauge("associations", "Associations that callers have open.", self.associations())
        yield from self._processes()
        ends = _family("certificate_expiry_timestamp_seconds", "When a certificate ends.", "where")
        for where, expires_at in self.expiries.items():
            try:
                ends.add_metric([where], expires_at())
            except ConfigurationError:  # the daily look at certificates tells of it
                ends.add_metric([where], 0)
        yield ends

    def queues(self) -> Queues:
        """What is open, counted now or a moment ago.

        Raises:
            CapacityError: The ledger does not answer.
        """
        with self._lock:
            now = time.monotonic()
            if not self._kept or now - self._kept[0][0] >= COUNT_EVERY_S:
                self._kept[:] = [(now, self.ledger.queues())]
            return self._kept[0][1]

    def _queues(self, queues: Queues) -> Iterator[Metric]:
        now = self.clock()
        yield _gauge("images_waiting", "Images without a decision.", queues.images_waiting)
        yield _gauge("images_quarantined", "Images for a person.", queues.images_quarantined)
        jobs = _family("jobs", "Jobs that are open.", "state")
        for state in (JobState.QUEUED, JobState.RUNNING, JobState.QUARANTINED):
            jobs.add_metric([state.value], queues.jobs.get(state, 0))
        yield jobs
        ages = _family("queue_age_seconds", "How long the first of a queue has waited.", "queue")
        ages.add_metric(["planning"], _age(now, queues.oldest_image_at))
        ages.add_metric(["synthesis"], _age(now, queues.oldest_job_at))
        yield ages
        deliveries = _family("deliveries", "Deliveries that are open.", "destination", "state")
        waits = _family(
            "delivery_age_seconds",
            "How long the first to be sent has waited.",
            "destination",
        )
        known = dict.fromkeys([*self.destinations, *(name for name, _ in queues.deliveries)])
        for name in known:
            for open_state in _OPEN:
                count = queues.deliveries.get((name, open_state), 0)
                deliveries.add_metric([name, open_state.value], count)
            waits.add_metric([name], _age(now, queues.oldest_delivery_at.get(name)))
        yield deliveries
        yield waits

    def _processes(self) -> Iterator[Metric]:
        up = _family("engine_up", "Whether an engine process runs.", "engine")
        starts = CounterMetricFamily(
            f"{NAMESPACE}_engine_starts", "Starts of an engine process.", labels=["engine"]
        )
        for number, engine in enumerate(self.engines):
            up.add_metric([str(number)], engine.alive)
            starts.add_metric([str(number)], engine.starts)
        yield up
        yield starts


_OPEN: Final = (
    DeliveryState.PENDING,
    DeliveryState.SENDING,
    DeliveryState.STORED,
    DeliveryState.COMMIT_REQUESTED,
    DeliveryState.QUARANTINED,
)


def _gauge(name: str, help_text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{NAMESPACE}_{name}", help_text, value=value)


def _family(name: str, help_text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{NAMESPACE}_{name}", help_text, labels=labels)


def _age(now: float, since: float | None) -> float:
    return 0.0 if since is None else max(0.0, now - since)
