"""The ledger: rows of images, jobs, deliveries and commitments."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from dicom_node.domain.commitments import Commitment, Demand, Heard, Reference, Report
from dicom_node.domain.deliveries import Delivery, DeliveryState, Outcome
from dicom_node.domain.identifiers import JobKey
from dicom_node.domain.jobs import Job, JobState
from dicom_node.domain.retry import RetryPolicy
from dicom_node.ports.fetches import FetchLedger
from dicom_node.ports.figures import FigureLedger
from dicom_node.ports.receiving import Receipt
from dicom_node.ports.rows import (
    Chosen,
    DecisionRow,
    Deed,
    DeliveryRow,
    ImageRow,
    JobRow,
    Kind,
    NewImage,
    NewJob,
    NewVersion,
    Product,
    Version,
)

__all__ = ["CommitmentLedger", "Ledger", "NodeLedger", "VersionLedger"]


class Ledger(Protocol):
    """The rows. Every method is one transaction; a change of state carries the expected old one.

    Methods that change state raise IntegrityError when the row is not in a state from which the
    change is legal. A leased job or delivery is changed under the lease it came with (its
    ``attempts``): when that has run out and somebody else holds a newer one, or finished the work,
    LeaseLostError is raised and nothing changes, so a slow worker cannot overwrite its successor.
    CapacityError is raised when the ledger has no room or cannot be written now.
    """

    def record_image(self, image: NewImage, now: float) -> Receipt:
        """Insert a received image. The same UID with the same digest is DUPLICATE and no new row;
        the same UID with another digest is CONFLICT: kept as a new row, already decided as
        quarantine.
        """
        ...

    def unplanned(self, limit: int) -> tuple[ImageRow, ...]:
        """Images without a decision, oldest first."""
        ...

    def record_decision(
        self, image_id: int, decision: DecisionRow, jobs: Sequence[NewJob], now: float
    ) -> None:
        """Store the decision and insert the jobs (those whose key is new), together."""
        ...

    def lease_job(self, now: float, lease_s: float) -> Job | None:
        """The due QUEUED job of the highest priority, then oldest: now RUNNING, attempt counted.

        The value returned is the lease: it goes back into `finish_job` or `fail_job`. A job whose
        time was set by a clock that has been set back since is due.
        """
        ...

    def finish_job(self, job: Job, products: Sequence[Product], now: float) -> None:
        """RUNNING -> DONE with its instances and one PENDING delivery a target, together.

        The one place where instances come to be known; files spooled by an attempt that never
        got here belong to nobody and are sent to nobody.
        """
        ...

    def fail_job(
        self, job: Job, error: str, *, retry_at: float | None, now: float, counts: bool = True
    ) -> None:
        """RUNNING -> QUEUED not before ``retry_at``, or -> QUARANTINED when it is None.

        A failure that is not the job's own (no room, the node stops) does not count.
        """
        ...

    def lease_delivery(self, destination: str, now: float, lease_s: float) -> Delivery | None:
        """The oldest due PENDING delivery to a destination: now SENDING, attempt counted."""
        ...

    def record_outcome(
        self,
        delivery: Delivery,
        sop_instance_uid: str,
        outcome: Outcome,
        status: int,
        now: float,
        lease_s: float,
    ) -> None:
        """What the destination answered for one instance; the lease runs on from here.

        Once an instance is STORED it stays so.
        """
        ...

    def finish_delivery(self, delivery: Delivery, *, commitment: bool, now: float) -> None:
        """SENDING -> CLOSED, or -> STORED when commitment is wanted; every instance is stored."""
        ...

    def fail_delivery(
        self,
        delivery: Delivery,
        error: str,
        *,
        retry_at: float | None,
        now: float,
        counts: bool = True,
    ) -> None:
        """SENDING -> PENDING not before ``retry_at``, or -> QUARANTINED when it is None.

        A failure that is not the delivery's own (no room, the node stops) does not count.
        """
        ...

    def quarantine_strays(self, destinations: Collection[str], now: float) -> tuple[str, ...]:
        """Quarantine what waits for a destination that is none of these; the names, one a delivery.

        Nobody would ever send it, and it must not wait in silence.
        """
        ...

    def release(self, key: JobKey, now: float) -> int:
        """A person lets a quarantined job and its quarantined deliveries run again; how many."""
        ...

    def settle(self, kind: Kind, deed: Deed, chosen: Chosen, now: float) -> int:
        """A person releases or cancels work, each piece with an event of its own; how many.

        All of a kind are those in quarantine; by name, a job or delivery that waits may be
        cancelled as well. A released image is planned anew; one whose UID another content had
        first can only be cancelled.

        Raises:
            IntegrityError: The one named is in no state for it; nothing changed.
        """
        ...

    def expire_leases(self, now: float) -> int:
        """Put back every job and delivery whose lease ran out; how many."""
        ...

    def requeue_leases(self, now: float) -> int:
        """Put back every leased job and delivery at start-up of a node that owns the ledger
        alone: nobody works on them any more. How many.
        """
        ...

    def waiting(self) -> int:
        """Images that wait for their decision, and jobs that wait for the engine or are in it."""
        ...

    def next_due(self, now: float) -> float | None:
        """When the earliest waiting job or delivery becomes due; None when nothing waits."""
        ...

    def jobs(self, *, state: JobState | None = None, limit: int = 1000) -> tuple[JobRow, ...]:
        """Jobs, newest first."""
        ...

    def job(self, key_prefix: str) -> JobRow | None:
        """The one job whose key begins so, with its events; None when there is none or several."""
        ...

    def deliveries(
        self, *, state: DeliveryState | None = None, destination: str = "", limit: int = 1000
    ) -> tuple[DeliveryRow, ...]:
        """Deliveries, newest first."""
        ...

    def images(self, *, limit: int = 1000) -> tuple[ImageRow, ...]:
        """Received images, newest first."""
        ...

    def removable(self, before: float, limit: int) -> tuple[str, ...]:
        """Digests no open image, job or delivery needs any more, all of them closed before."""
        ...

    def forget_files(self, digests: Sequence[str], before: float, now: float) -> tuple[str, ...]:
        """Mark the files of these digests as removed (rows stay); called before the files go.

        Returns those marked: the ones that are still removable, judged again in this transaction.
        """
        ...

    def known_digests(self) -> frozenset[str]:
        """Every digest a row still claims to be in the spool."""
        ...

    def close(self) -> None:
        """Release connections."""
        ...


class CommitmentLedger(Protocol):
    """The rows of storage commitment; every method is one transaction, as in `Ledger`."""

    def ask_commitment(
        self, destination: str, transaction_uid: str, *, now: float, answer_by: float
    ) -> Commitment | None:
        """The oldest due STORED delivery to a destination: now COMMIT_REQUESTED under this UID,
        its uncommitted instances written down as expected. It is durable before it is asked.
        """
        ...

    def not_asked(
        self,
        transaction_uid: str,
        error: str,
        *,
        retry_at: float | None,
        now: float,
        counts: bool = True,
    ) -> None:
        """The destination did not take the request: -> STORED, asked anew not before ``retry_at``,
        or -> QUARANTINED when it is None. Nothing, when its report was heard already.
        """
        ...

    def unsupported(self, transaction_uid: str, now: float) -> None:
        """The destination does not do storage commitment and need not: -> CLOSED."""
        ...

    def expire_commitments(
        self, destination: str, delay_of: Callable[[int], float | None], now: float
    ) -> int:
        """Requests whose report is overdue: as `not_asked`, later by ``delay_of(failures)``."""
        ...

    def close_stored(self, destination: str, now: float) -> int:
        """Close what waits for a commitment that is not wanted any more; how many deliveries."""
        ...

    def hear_report(
        self, report: Report, policy_of: Callable[[str], RetryPolicy], now: float
    ) -> Heard:
        """Take a report: all expected instances committed -> COMMITTED; failed ones are sent again
        (PENDING); those it passes over are asked about again. What it says of other instances, of
        another transaction or for a second time changes nothing. Waits follow ``policy_of(name of
        the destination)``.
        """
        ...

    def record_demand(
        self,
        transaction_uid: str,
        references: Sequence[Reference],
        *,
        calling_ae_title: str,
        address: str,
        now: float,
        report_at: float,
    ) -> bool:
        """Write down what a peer asks us to commit. The same again asks for its report again;
        False when the UID stands for something else already.
        """
        ...

    def lease_demand(self, now: float, lease_s: float) -> Demand | None:
        """The oldest demand that is due, now being reported on."""
        ...

    def judge(
        self, references: Sequence[Reference], is_there: Callable[[str, int], bool]
    ) -> dict[str, int | None]:
        """SOP Instance UID -> None when we hold it durably, or the Failure Reason (0008,1197).

        Args:
            references: To judge.
            is_there: Whether the file of a digest is there, with so many bytes.
        """
        ...

    def finish_demand(self, demand: Demand, now: float) -> None:
        """The peer has its report."""
        ...

    def fail_demand(
        self, demand: Demand, error: str, *, retry_at: float | None, now: float
    ) -> None:
        """It has not: again not before ``retry_at``, or given up when it is None."""
        ...

    def expire_demands(self, now: float) -> int:
        """Demands whose lease ran out wait again; how many."""
        ...


class VersionLedger(Protocol):
    """The rows of the configuration's versions; every method is one transaction, as in `Ledger`."""

    def record_version(self, version: NewVersion, now: float) -> Version:
        """Write down what is in force from now on. When the newest version has this digest already,
        nothing is written and that one is the answer.
        """
        ...

    def versions(self, *, limit: int = 1000) -> tuple[Version, ...]:
        """Versions, newest first."""
        ...

    def version(self, number: int) -> Version | None:
        """The version of a number; None when there is none."""
        ...


class NodeLedger(Ledger, CommitmentLedger, FetchLedger, FigureLedger, VersionLedger, Protocol):
    """All rows of a node."""
