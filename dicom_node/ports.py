"""What the services need from the outside world: files, rows, the engine, peers, time.

Each port has a real implementation in ``store``, ``network`` or ``engine``, a fake in
``tests/fakes``, and one contract suite that both must pass.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from dicom_node.domain.commitments import Commitment, Demand, Heard, Reference, Report
from dicom_node.domain.deliveries import Delivery, DeliveryState, DerivedInstance, Outcome
from dicom_node.domain.identifiers import JobKey
from dicom_node.domain.images import ImageState
from dicom_node.domain.jobs import Job, JobState, Order
from dicom_node.domain.retry import RetryPolicy
from dicom_node.domain.routes import Destination, Term
from synthesis.types import SynthesisRequest, SynthesisResult

__all__ = [
    "Chosen",
    "Clock",
    "CommitmentClient",
    "CommitmentLedger",
    "DecidedAs",
    "DecisionRow",
    "Deed",
    "DeliveryRow",
    "DemandReceiver",
    "Engine",
    "ImageRow",
    "JobRow",
    "Kind",
    "Ledger",
    "NewImage",
    "NewJob",
    "NodeLedger",
    "Product",
    "Receipt",
    "ReceivedObject",
    "Receiver",
    "ReportClient",
    "Spool",
    "SpooledFile",
    "StoreClient",
]

Clock = Callable[[], float]
"""Unix seconds now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpooledFile:
    """A file in the spool: SHA-256 of its bytes, and how many they are."""

    digest: str
    size_bytes: int


class Spool(Protocol):
    """Files by content. A file that is there is whole."""

    def put(self, data: bytes) -> SpooledFile:
        """Write durably: temporary file, fsync, rename, fsync of the directory. Idempotent.

        Raises:
            CapacityError: The disk is full or below its watermark.
        """
        ...

    def path(self, digest: str) -> Path:
        """Where the file lies; it need not exist."""
        ...

    def read(self, digest: str) -> bytes:
        """The file's bytes.

        Raises:
            IntegrityError: It is missing, or its bytes are not those of the digest.
        """
        ...

    def remove(self, digest: str, *, older_than_s: float = 0.0) -> bool:
        """Delete the file if it is there and was last put longer ago than this; whether it was.

        A `put` of the same content beside it is safe: either it comes first and makes the file
        young, or it comes after and writes anew.
        """
        ...

    def digests(self) -> Iterator[str]:
        """Every file there, in no order."""
        ...

    def collect(self, *, older_than_s: float) -> int:
        """Delete temporary files left by a crash; how many."""
        ...

    def free_bytes(self) -> int:
        """Free space of the file system."""
        ...


class Receipt(StrEnum):
    """What became of a received image."""

    NEW = "new"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


class DecidedAs(StrEnum):
    """Name of a decision in rows and JSON."""

    ACCEPT = "accept"
    IGNORE = "ignore"
    QUARANTINE = "quarantine"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ReceivedObject:
    """One object as a peer sent it. It has no ``repr``: the bytes are about a patient.

    Attributes:
        data: A whole DICOM file: file meta information written by this node from the request, then
            the data set's bytes exactly as they came.
        sop_class_uid: As the request said (Affected SOP Class UID).
        sop_instance_uid: As the request said (Affected SOP Instance UID).
        transfer_syntax_uid: Of the accepted presentation context.
        calling_ae_title: Who sent it.
    """

    data: bytes
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    calling_ae_title: str


class Receiver(Protocol):
    """Takes received objects into safety. Safe to call from many threads at a time."""

    def receive(self, received: ReceivedObject) -> Receipt:
        """Store it durably; on return it survives a power cut.

        Raises:
            NodeError: It is refused; the class says with which status.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class NewImage:
    """An image as it was received: identifiers as sent, the file already in the spool."""

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    transfer_syntax_uid: str
    calling_ae_title: str
    digest: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRow:
    """A decision as it is stored."""

    decided_as: DecidedAs
    route: str
    route_digest: str
    reason: str
    terms: tuple[Term, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRow:
    """A stored image. ``decision`` is None while it waits to be planned."""

    id: int
    image: NewImage
    received_at: float
    decision: DecisionRow | None
    state: ImageState = ImageState.WAITING


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job to insert unless its key is there already."""

    key: JobKey
    order: Order


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One synthesized instance, spooled, with its provenance as canonical JSON."""

    instance: DerivedInstance
    provenance_json: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRow:
    """A delivery with all its instances, for people to look at."""

    delivery: Delivery
    instances: int
    stored: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """A job with its deliveries, for people to look at."""

    job: Job
    deliveries: tuple[DeliveryRow, ...]
    events: tuple[tuple[float, str, str], ...] = ()
    """(unix seconds, event, detail) in order; filled in by ``job()``, empty in ``jobs()``."""


class Kind(StrEnum):
    """What may lie in quarantine."""

    IMAGES = "images"
    JOBS = "jobs"
    DELIVERIES = "deliveries"


class Deed(StrEnum):
    """What a person does about it."""

    RELEASE = "release"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What a person means: the one of this name, or all in quarantine that the rest describes.

    Attributes:
        name: SOP Instance UID of an image, key of a job, number of a delivery; empty for all.
        reason: Words their reason holds; empty for any.
        destination: Of deliveries; empty for any.
    """

    name: str = ""
    reason: str = ""
    destination: str = ""


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

    def judge(self, references: Sequence[Reference]) -> dict[str, int | None]:
        """SOP Instance UID -> None when we hold it durably, or the Failure Reason (0008,1197)."""
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


class NodeLedger(Ledger, CommitmentLedger, Protocol):
    """All rows of a node."""


class DemandReceiver(Protocol):
    """Takes demands of peers into safety. Safe to call from many threads at a time."""

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
            NodeError: It is refused.
        """
        ...


class CommitmentClient(Protocol):
    """Storage commitment over associations that we open."""

    def ask(
        self,
        destination: Destination,
        commitment: Commitment,
        on_report: Callable[[Report], Heard],
    ) -> None:
        """N-ACTION; reports that come on the same association, even before the response, go to
        ``on_report``.

        Raises:
            PeerError: It was not taken.
            RefusedError: The destination does not do storage commitment.
        """
        ...


class ReportClient(Protocol):
    """Reports to peers that asked us for storage commitment."""

    def report(self, demand: Demand, report: Report) -> None:
        """N-EVENT-REPORT on the association of the demand while it is open, else on a new one.

        Raises:
            PeerError: It was not taken.
        """
        ...


class Engine(Protocol):
    """Turns requests into views, somewhere else. Safe to call from one thread at a time."""

    def synthesize(
        self, model: str, request: SynthesisRequest, *, deadline_s: float
    ) -> SynthesisResult:
        """Run one request on a configured model.

        Raises:
            EngineDownError: It did so before it came to this request.
            EngineError: It crashed, ran out of memory or missed the deadline.
            EngineInputError: It answered that this request cannot be done.
        """
        ...

    def close(self) -> None:
        """Stop it."""
        ...


class StoreClient(Protocol):
    """C-STORE and C-ECHO towards destinations."""

    def send(
        self,
        destination: Destination,
        instances: Sequence[tuple[DerivedInstance, Path]],
        on_outcome: Callable[[DerivedInstance, Outcome, int], None],
    ) -> None:
        """Send in order over one association; report each answer (outcome, DIMSE status) as it
        comes. The association stays open for the next send, until `release`.

        Raises:
            UnreachableError: No association.
            PeerError: It broke; instances not reported were not confirmed.
            RefusedError: The destination does not take the SOP class.
        """
        ...

    def release(self, destination: Destination) -> None:
        """End the association to a destination, if one is open: nothing is to be sent now."""
        ...

    def echo(self, destination: Destination) -> float:
        """Seconds a C-ECHO took.

        Raises:
            PeerError: No answer.
        """
        ...
