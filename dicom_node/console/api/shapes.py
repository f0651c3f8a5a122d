"""The JSON of the API, as types that its OpenAPI description is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from dicom_node.console.filters import iso
from dicom_node.console.jobs.details import frames_of
from dicom_node.console.shapes import Shape
from dicom_node.domain.deliveries import DeliveryState
from dicom_node.domain.fetches import FetchState
from dicom_node.domain.images import ImageState
from dicom_node.domain.jobs import JobState
from dicom_node.ports import Deed, Kind

if TYPE_CHECKING:
    from dicom_node.console.jobs.details import Frame
    from dicom_node.domain.fetches import Fetch
    from dicom_node.ports import DecisionRow, DeliveryRow, ImageRow
    from dicom_node.ports.console import ImageLine, JobLine, JobRecord, Reason

__all__ = [
    "Again",
    "Bulk",
    "Count",
    "Done",
    "Event",
    "FetchDetails",
    "FetchIn",
    "FetchOut",
    "FetchesOut",
    "ImageDetails",
    "ImageOut",
    "Images",
    "JobDetails",
    "JobOut",
    "Jobs",
    "PictureOut",
    "ReasonOut",
    "Reasons",
    "Send",
    "Standing",
    "Term",
    "TroubleOut",
]


class JobOut(Shape):
    """A job."""

    key: str
    state: JobState
    route: str
    peer: str
    study_instance_uid: str
    accession_number: str | None
    created_at: str
    updated_at: str
    attempts: int
    last_error: str
    deliveries: dict[str, DeliveryState]


class Jobs(Shape):
    """Some jobs; ``next`` goes into ``before`` for those after them."""

    jobs: list[JobOut]
    next: int | None


class Event(Shape):
    """Something that happened."""

    at: str
    event: str
    detail: str


class Term(Shape):
    """A term of a rule as it was judged."""

    route: str
    path: str
    text: str
    actual: str
    holds: bool


class DeliveryOut(Shape):
    """A delivery."""

    number: int
    destination: str
    form: str
    state: DeliveryState
    instances: int
    stored: int
    attempts: int
    next_at: str | None
    last_error: str


class PictureOut(Shape):
    """The source or a view, in the order of a turn; ``which`` is in the address of its files."""

    which: str
    label: str
    is_source: bool
    turned_deg: float | None
    consistency: float | None
    consistency_percentile: float | None
    spread: float | None
    provenance: dict[str, Any]


class JobDetails(Shape):
    """All about a job."""

    key: str
    state: JobState
    route: str
    model: str
    views: list[str]
    image: int
    attempts: int
    last_error: str
    deliveries: list[DeliveryOut]
    events: list[Event]
    reason: str
    terms: list[Term]
    pictures: list[PictureOut]


class ImageOut(Shape):
    """A received image."""

    number: int
    state: ImageState
    sop_instance_uid: str
    study_instance_uid: str
    accession_number: str | None
    peer: str
    route: str
    reason: str
    received_at: str
    job: str | None


class Images(Shape):
    """Some images."""

    images: list[ImageOut]
    next: int | None


class ImageDetails(Shape):
    """All about a received image."""

    number: int
    state: ImageState
    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    accession_number: str | None
    peer: str
    received_at: str
    size_bytes: int
    route: str
    reason: str
    terms: list[Term]


class ReasonOut(Shape):
    """Why so many of a kind are in quarantine."""

    kind: Kind
    reason: str
    destination: str
    count: int


class Reasons(Shape):
    """What is in quarantine, the commonest reason first."""

    reasons: list[ReasonOut]


class TroubleOut(Shape):
    """One thing that is wrong, and what to do."""

    grave: bool
    problem: str
    todo: str


class Standing(Shape):
    """How the node is."""

    well: bool
    troubles: list[TroubleOut]
    images_waiting: int
    jobs_queued: int
    jobs_running: int
    deliveries_open: int
    quarantined: int
    free_bytes: int


class Done(Shape):
    """What was done."""

    done: str


class Count(Shape):
    """To how many it was done."""

    count: int


class Send(Shape):
    """One more destination."""

    destination: str


class Again(Shape):
    """Other views."""

    view_set: str


class FetchIn(Shape):
    """A study that is wanted, and the destination that is asked for it."""

    study_instance_uid: str = Field(max_length=64)
    source: str = Field(max_length=64)


class FetchOut(Shape):
    """A study that is, or was, fetched."""

    number: int
    source: str
    study_instance_uid: str
    who: str
    asked_at: str
    state: FetchState
    series: int | None
    series_passed_over: int
    instances_arrived: int
    instances_failed: int
    problem: str
    todo: str


class FetchesOut(Shape):
    """The last of them."""

    fetches: list[FetchOut]


class FetchDetails(Shape):
    """One of them, with the images of its study that are in the node."""

    fetch: FetchOut
    images: list[ImageOut]


class Bulk(Shape):
    """What is done to all in quarantine whose reason holds these words."""

    kind: Kind
    deed: Deed
    reason: str = ""
    destination: str = ""


def job_out(line: JobLine, *, patients: bool) -> JobOut:
    """A line as JSON."""
    return JobOut(
        key=line.key,
        state=line.state,
        route=line.route,
        peer=line.peer,
        study_instance_uid=line.study,
        accession_number=line.accession if patients else None,
        created_at=iso(line.created_at),
        updated_at=iso(line.updated_at),
        attempts=line.attempts,
        last_error=line.last_error,
        deliveries={name: DeliveryState(state) for name, state in line.deliveries},
    )


def image_out(line: ImageLine, *, patients: bool) -> ImageOut:
    """A line as JSON."""
    return ImageOut(
        number=line.id,
        state=line.state,
        sop_instance_uid=line.sop_instance_uid,
        study_instance_uid=line.study,
        accession_number=line.accession if patients else None,
        peer=line.peer,
        route=line.route,
        reason=line.reason,
        received_at=iso(line.received_at),
        job=line.job_key or None,
    )


def fetch_out(fetch: Fetch) -> FetchOut:
    """A fetch as JSON."""
    return FetchOut(
        number=fetch.number,
        source=fetch.source,
        study_instance_uid=fetch.study_uid,
        who=fetch.who,
        asked_at=iso(fetch.asked_at),
        state=fetch.state,
        series=fetch.series,
        series_passed_over=fetch.passed_over,
        instances_arrived=fetch.completed,
        instances_failed=fetch.failed,
        problem=fetch.problem,
        todo=fetch.todo,
    )


def job_details(record: JobRecord) -> JobDetails:
    """A record as JSON."""
    job, decision = record.row.job, record.image.decision
    return JobDetails(
        key=job.key,
        state=job.state,
        route=job.order.route,
        model=job.order.model,
        views=[view.label for view in job.order.views],
        image=record.image.id,
        attempts=job.attempts,
        last_error=job.last_error,
        deliveries=[_delivery(each) for each in record.row.deliveries],
        events=[
            Event(at=iso(at), event=event, detail=detail) for at, event, detail in record.row.events
        ],
        reason="" if decision is None else decision.reason,
        terms=_terms(decision),
        pictures=[_picture(each) for each in frames_of(record)],
    )


def image_details(row: ImageRow, accession: str, *, patients: bool) -> ImageDetails:
    """An image and the terms that decided about it, as JSON."""
    image, decision = row.image, row.decision
    return ImageDetails(
        number=row.id,
        state=row.state,
        sop_class_uid=image.sop_class_uid,
        sop_instance_uid=image.sop_instance_uid,
        study_instance_uid=image.study_instance_uid,
        accession_number=accession if patients else None,
        peer=image.calling_ae_title,
        received_at=iso(row.received_at),
        size_bytes=image.size_bytes,
        route="" if decision is None else decision.route,
        reason="" if decision is None else decision.reason,
        terms=_terms(decision),
    )


def reason_out(reason: Reason) -> ReasonOut:
    """A reason as JSON."""
    return ReasonOut(
        kind=reason.kind,
        reason=reason.words,
        destination=reason.destination,
        count=reason.count,
    )


def _terms(decision: DecisionRow | None) -> list[Term]:
    return [
        Term(
            route=term.route,
            path=term.path,
            text=term.text,
            actual=term.actual,
            holds=term.holds,
        )
        for term in (() if decision is None else decision.terms)
    ]


def _picture(frame: Frame) -> PictureOut:
    said = frame.said
    return PictureOut(
        which=frame.which,
        label=frame.label,
        is_source=frame.is_source,
        turned_deg=frame.angle_deg,
        consistency=said.get("consistency"),
        consistency_percentile=said.get("consistency_percentile"),
        spread=said.get("spread"),
        provenance=dict(said),
    )


def _delivery(row: DeliveryRow) -> DeliveryOut:
    delivery = row.delivery
    waits = delivery.state is DeliveryState.PENDING
    return DeliveryOut(
        number=delivery.id,
        destination=delivery.destination,
        form=delivery.form.value,
        state=delivery.state,
        instances=row.instances,
        stored=row.stored,
        attempts=delivery.attempts,
        next_at=iso(delivery.not_before) if waits else None,
        last_error=delivery.last_error,
    )
