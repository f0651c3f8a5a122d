"""A job: one source, one route, one set of views. States and their table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from dicom_node.domain.errors import IntegrityError
from dicom_node.domain.writing import Document, Matrix, Writing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dicom_node.domain.identifiers import JobKey
    from dicom_node.domain.writing import Form
    from synthesis.types import ViewSet

__all__ = ["JOB_TABLE", "Job", "JobEvent", "JobState", "Order", "Target", "advance", "rest_s"]

_NO_REST: Final = 3
_FIRST_REST_S: Final = 5.0
_LONGEST_REST_S: Final = 60.0


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    QUARANTINED = "quarantined"
    CANCELLED = "cancelled"


class JobEvent(StrEnum):
    """What may happen to a job."""

    LEASED = "leased"
    FINISHED = "finished"
    FAILED = "failed"
    LEASE_EXPIRED = "lease_expired"
    GAVE_UP = "gave_up"
    RELEASED = "released"
    CANCELLED = "cancelled"


JOB_TABLE: Final[Mapping[tuple[JobState, JobEvent], JobState]] = {
    (JobState.QUEUED, JobEvent.LEASED): JobState.RUNNING,
    (JobState.QUEUED, JobEvent.CANCELLED): JobState.CANCELLED,
    (JobState.RUNNING, JobEvent.FINISHED): JobState.DONE,
    (JobState.RUNNING, JobEvent.FAILED): JobState.QUEUED,
    (JobState.RUNNING, JobEvent.LEASE_EXPIRED): JobState.QUEUED,
    (JobState.RUNNING, JobEvent.GAVE_UP): JobState.QUARANTINED,
    # Its worker finds its lease gone at the end, and what it made comes to nothing.
    (JobState.RUNNING, JobEvent.CANCELLED): JobState.CANCELLED,
    (JobState.QUARANTINED, JobEvent.RELEASED): JobState.QUEUED,
    (JobState.QUARANTINED, JobEvent.CANCELLED): JobState.CANCELLED,
}


def advance(state: JobState, event: JobEvent) -> JobState:
    """The state after an event.

    Raises:
        IntegrityError: The table has no such pair.
    """
    try:
        return JOB_TABLE[state, event]
    except KeyError:
        raise IntegrityError(f"a job that is {state} cannot be {event}") from None


def rest_s(lost_leases: int) -> float:
    """Seconds that a job waits after the node stopped under it so often.

    Nobody knows whether the job stopped the node or was there by chance. The first times it is
    taken up at once; then others come first, which a job that stops the node would keep from ever
    being done, and one that was there by chance would seldom be there again.
    """
    if lost_leases <= _NO_REST:
        return 0.0
    return min(_FIRST_REST_S * 2.0 ** min(lost_leases - _NO_REST - 1, 10), _LONGEST_REST_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One destination of a job, how it wants the images written and what it wants with them."""

    destination: str
    form: Form
    banner: bool = True
    matrix: Matrix = Matrix.NATIVE
    documents: tuple[Document, ...] = ()

    @property
    def writing(self) -> Writing:
        """How its images are written."""
        return Writing(form=self.form, banner=self.banner, matrix=self.matrix)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a job is to make, as the route stood when it decided; it never changes afterwards.

    Attributes:
        route: Name of the route.
        route_digest: Of the route as configured then.
        model: Name of the model in the configuration.
        weights_digest: SHA-256 of that model's checkpoint file.
        views: Resolved for this source, in order.
        samples: Per view.
        steps: Network evaluations a view; None = the model's default.
        seed: Of the noise, derived from the job's key material.
        targets: Where the result goes, in order.
        priority: Larger is sooner.
        min_consistency: Least consistency of a view with its source; None asks for none.
        allow_ineligible: Synthesize also from what does not look like an upright frontal chest.
    """

    route: str
    route_digest: str
    model: str
    weights_digest: str
    views: ViewSet
    samples: int
    steps: int | None
    seed: int
    targets: tuple[Target, ...]
    priority: int
    min_consistency: float | None = None
    allow_ineligible: bool = False

    def wanted(self) -> dict[Writing, tuple[Document, ...]]:
        """Every way some target wants images written, with the documents any of them wants."""
        found: dict[Writing, set[Document]] = {}
        for target in self.targets:
            found.setdefault(target.writing, set()).update(target.documents)
        return {
            writing: tuple(document for document in Document if document in documents)
            for writing, documents in found.items()
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A row of the ledger.

    Attributes:
        key: Unique; the same work is the same job.
        state: See `JOB_TABLE`.
        order: What to make.
        source_digest: Of the source's file in the spool.
        source_sop_class_uid: Of the source.
        source_sop_instance_uid: Of the source.
        calling_ae_title: Who sent the source.
        attempts: Leases taken so far. It only grows: together with the key it names one lease, so
            that a worker whose lease ran out cannot pass for its successor.
        failures: Failed attempts since the job was made or released.
        lost_leases: Leases that ran out, or were cut by a stop of the node, since then.
        not_before: Unix seconds before which it is not leased.
        lease_until: Unix seconds; None when not RUNNING.
        last_error: Of the last failed attempt; empty when none.
        created_at: Unix seconds.
        updated_at: Unix seconds of the last change of state.
    """

    key: JobKey
    state: JobState
    order: Order
    source_digest: str
    source_sop_class_uid: str
    source_sop_instance_uid: str
    calling_ae_title: str
    attempts: int
    not_before: float
    lease_until: float | None
    last_error: str
    created_at: float
    updated_at: float
    failures: int = 0
    lost_leases: int = 0
