"""What the console asks of the ledger: found rows, page by page, and figures over time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from dicom_node.domain.identifiers import JobKey
from dicom_node.domain.images import ImageState
from dicom_node.domain.jobs import JobState, Target
from dicom_node.ports.rows import ImageRow, JobRow, Kind, NewJob, Product

__all__ = [
    "Activity",
    "Bulk",
    "ConsoleLedger",
    "Failing",
    "ImageLine",
    "JobLine",
    "JobRecord",
    "LastSend",
    "Orders",
    "Reason",
    "Search",
    "Untaken",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What is looked for; empty means any.

    Attributes:
        state: Of a job or an image.
        route: Name.
        peer: AE title that sent the image.
        accession: Accession Number, whole.
        study: Study Instance UID, whole.
        text: A key of a job or its beginning, or a SOP Instance UID.
        destination: Jobs with a delivery to it.
        since: Unix seconds; None: from the first.
        until: Unix seconds; None: to the last.
    """

    state: str = ""
    route: str = ""
    peer: str = ""
    accession: str = ""
    study: str = ""
    text: str = ""
    destination: str = ""
    since: float | None = None
    until: float | None = None


class Bulk(StrEnum):
    """What can be done to all that is found.

    Attributes:
        CANCEL_QUEUED: Jobs that wait for the engine are cancelled.
        DECIDE_ANEW: Images that were ignored, and whose file is kept, are decided by the routes of
            now.
    """

    CANCEL_QUEUED = "cancel_queued"
    DECIDE_ANEW = "decide_anew"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLine:
    """A job in a list; ``id`` is where the next page goes on."""

    id: int
    key: JobKey
    state: JobState
    route: str
    peer: str
    study: str
    accession: str
    created_at: float
    updated_at: float
    attempts: int
    last_error: str
    deliveries: tuple[tuple[str, str], ...]
    """(destination, state)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLine:
    """An image in a list."""

    id: int
    state: ImageState
    sop_instance_uid: str
    study: str
    accession: str
    peer: str
    route: str
    reason: str
    received_at: float
    job_key: str
    """Of its newest job; empty without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """All about a job."""

    row: JobRow
    image: ImageRow
    accession: str
    products: tuple[Product, ...]
    files_kept: bool
    """Whether the files of source and views are still in the spool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why so many of a kind are in quarantine."""

    kind: Kind
    words: str
    count: int
    destination: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """What was done in one step of time.

    Attributes:
        at: Unix seconds at which the step begins.
        received: Images.
        finished: Jobs.
        latency_s: Mean time from the job's making to its end; None without any.
    """

    at: float
    received: int = 0
    finished: int = 0
    latency_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LastSend:
    """How the last try to send to a destination ended."""

    at: float
    event: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failing:
    """A job that is open and failed before."""

    key: JobKey
    route: str
    failures: int
    last_error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Untaken:
    """What became of images since the newest version of the configuration.

    Attributes:
        version: Its number.
        author: Who made it.
        at: When, in Unix seconds.
        images: That came since, none of which any route took; some of those before were taken.
    """

    version: int
    author: str
    at: float
    images: int


class ConsoleLedger(Protocol):
    """The rows as the console shows them. Every method is one transaction."""

    def find_jobs(
        self, search: Search, *, before: int | None = None, limit: int = 50
    ) -> tuple[JobLine, ...]:
        """Jobs, the newest first, older than the number ``before``."""
        ...

    def find_images(
        self, search: Search, *, before: int | None = None, limit: int = 50
    ) -> tuple[ImageLine, ...]:
        """Images, the newest first, older than the number ``before``."""
        ...

    def record_of(self, key_prefix: str) -> JobRecord | None:
        """All about the one job whose key begins so."""
        ...

    def image(self, number: int) -> tuple[ImageRow, str] | None:
        """An image and its Accession Number."""
        ...

    def reasons(self, limit: int = 12) -> tuple[Reason, ...]:
        """Why things are in quarantine, the commonest first."""
        ...

    def activity(self, since: float, step_s: float, now: float) -> tuple[Activity, ...]:
        """What was done, step by step, from a time to now."""
        ...

    def last_sends(self) -> Mapping[str, LastSend]:
        """By destination."""
        ...

    def failing(self) -> Failing | None:
        """The job that is open and failed most often; None when none failed."""
        ...

    def untaken(self) -> Untaken | None:
        """What a changed rule takes no more, as far as the newest images tell; None when some are
        taken as before.
        """
        ...

    def count_chosen(self, bulk: Bulk, search: Search) -> int:
        """How many there are to be settled of those that are looked for, in whatever state."""
        ...

    def settle_chosen(self, bulk: Bulk, search: Search, now: float) -> int:
        """Settle them; how many."""
        ...

    def hurry(self, kind: Kind, name: str, now: float) -> int:
        """What waits for a later time is due now: a job by key, a delivery by number, or all
        deliveries to a destination; how many.
        """
        ...

    def send_also(self, key: JobKey, target: Target, now: float) -> int:
        """A new delivery of a job that is done, to another destination; its number.

        Raises:
            IntegrityError: It is not done, was sent there already, or was not made in this form.
        """
        ...

    def add_job(self, image_id: int, new_job: NewJob, detail: str, now: float) -> bool:
        """Queue one more job for an image that has one; False when there is the same already."""
        ...


class Orders(Protocol):
    """Work that a person orders beside the rules."""

    def send_to(self, record: JobRecord, destination: str) -> int:
        """Send a job's views to one more destination; number of the delivery.

        Raises:
            IntegrityError: It cannot be done, and why.
        """
        ...

    def synthesize_again(self, record: JobRecord, view_set: str, who: str) -> JobKey:
        """Queue a job with other views of the same source; its key.

        Raises:
            IntegrityError: It cannot be done, and why.
        """
        ...
