"""A job's page."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from dicom_node.console.jobs.pictures import Key, known
from dicom_node.console.masking import may_see_patients
from dicom_node.console.pages import page
from dicom_node.console.registry import Section
from dicom_node.console.security.guard import Somebody
from dicom_node.domain.deliveries import DeliveryState
from dicom_node.domain.errors import NodeError
from dicom_node.domain.images import ImageState
from dicom_node.domain.jobs import JobState
from dicom_node.iod.person import person

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi.responses import HTMLResponse

    from dicom_node.console.parts import Parts
    from dicom_node.domain.accounts import Identity
    from dicom_node.ports.console import JobRecord

__all__ = ["SECTION", "Frame", "frames_of", "person_of"]

router = APIRouter()

Seen = Annotated[str, Query(pattern="^[0-9a-f]{0,16}$")]
Views = Annotated[int, Query(ge=0, le=100_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One picture of the filmstrip.

    Attributes:
        which: In the address of its picture.
        label: The view in words.
        angle_deg: About the patient's long axis, seen from the source; None where it is not
            known.
        is_source: It was exposed.
        facts: (name, value) of what is known of its quality.
        said: Its provenance.
    """

    which: str
    label: str
    angle_deg: float | None
    is_source: bool
    facts: tuple[tuple[str, str], ...] = ()
    said: Mapping[str, Any] = field(default_factory=dict)


def frames_of(record: JobRecord) -> tuple[Frame, ...]:
    """Source and views in order of angle: what a turn of the patient would show."""
    frames = [Frame(which="source", label="source", angle_deg=0.0, is_source=True)]
    for which, index, said in _views(record):
        view = record.row.job.order.views.views[index]
        source_deg = float(said.get("source_view", {}).get("primary_deg", 0.0))
        frames.append(
            Frame(
                which=which,
                label=view.label,
                angle_deg=_turn(view.primary_deg - source_deg),
                is_source=False,
                facts=_quality(said),
                said=said,
            )
        )
    return tuple(sorted(frames, key=lambda frame: (frame.angle_deg, not frame.is_source)))


def _views(record: JobRecord) -> list[tuple[str, int, dict[str, Any]]]:
    """(picture, number of the view, provenance) of every view once, as it was written first."""
    images = [
        (number, product)
        for number, product in enumerate(record.products)
        if product.instance.document is None
    ]
    if not images:
        return []
    # One object a view where there is such a series: its pictures need no cutting.
    writings = [product.instance.writing for _, product in images]
    shown = next((each for each in writings if not each.form.holds_all_views), writings[0])
    found: list[tuple[str, int, dict[str, Any]]] = []
    for number, product in images:
        said = json.loads(product.provenance_json)
        if product.instance.writing != shown:
            continue
        if shown.form.holds_all_views:
            found += [(f"{number}-{index}", index, each) for index, each in enumerate(said)]
        else:
            found.append((str(number), product.instance.index, said))
    return found


@router.get("/jobs/{key}")
def job(request: Request, who: Somebody, key: Key) -> HTMLResponse:
    """The page."""
    record = known(request, key)
    return _page(request, who, record, "job.html", live=False, whole=True)


@router.get("/jobs/{key}/live")
def live_job(
    request: Request, who: Somebody, key: Key, seen: Seen = "", views: Views = 0
) -> Response:
    """What changed since the page was made; nothing when nothing did."""
    record = known(request, key)
    parts: Parts = request.app.state.parts
    if seen == _mark(record, parts.clock()):
        return Response(status_code=204)
    whole = len(frames_of(record)) != views
    return _page(request, who, record, "_job.html", live=True, whole=whole)


def _page(
    request: Request, who: Identity, record: JobRecord, template: str, *, live: bool, whole: bool
) -> HTMLResponse:
    """The page, or where it is ``live`` its parts; the pictures go along where it is ``whole``."""
    parts: Parts = request.app.state.parts
    row, now = record.row, parts.clock()
    states = {each.delivery.state for each in row.deliveries}
    there = {each.delivery.destination for each in row.deliveries}
    frames = frames_of(record)
    patients = may_see_patients(who, parts.access)
    return page(
        request,
        template,
        title=f"Job {row.job.key[:12]}",
        live=live,
        whole=whole,
        seen=_mark(record, now),
        record=record,
        job=row.job,
        frames=frames,
        start=next(n for n, frame in enumerate(frames) if frame.is_source),
        terms=() if record.image.decision is None else record.image.decision.terms,
        person=person_of(parts, row.job.source_digest) if patients else None,
        patients=patients,
        provenance=_pretty(record.products[0].provenance_json) if record.products else "",
        others=[each.name for each in parts.facts.destinations if each.name not in there],
        view_sets=[each.name for each in parts.facts.view_sets],
        can={
            "release": row.job.state is JobState.QUARANTINED or DeliveryState.QUARANTINED in states,
            "cancel": row.job.state not in (JobState.DONE, JobState.CANCELLED),
            "retry": (row.job.state is JobState.QUEUED and row.job.not_before > now)
            or DeliveryState.PENDING in states,
            "send": row.job.state is JobState.DONE and record.files_kept,
            "again": record.files_kept and record.image.state is ImageState.ACCEPTED,
        },
    )


def _mark(record: JobRecord, now: float) -> str:
    """Another one is another page."""
    row = record.row
    waits = [row.job.not_before, *(each.delivery.not_before for each in row.deliveries)]
    said = (
        (row.job.state, row.job.attempts, row.job.last_error, record.files_kept),
        [
            (each.delivery.state, each.delivery.attempts, each.delivery.last_error, each.stored)
            for each in row.deliveries
        ],
        len(row.events),
        len(record.products),
        # How long something still waits is told in seconds.
        int(now) if any(each > now for each in waits) else 0,
    )
    return hashlib.sha256(repr(said).encode()).hexdigest()[:16]


def _quality(said: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    facts = []
    if said.get("consistency") is not None:
        facts.append(("consistency with the source", f"{said['consistency']:.3f}"))
    if said.get("consistency_percentile") is not None:
        facts.append(
            ("pairs of two patients that agree less", f"{said['consistency_percentile']:.0f} %")
        )
    if said.get("spread") is not None:
        facts.append((f"spread over {said.get('samples')} samples", f"{said['spread']:.1f}"))
    if said.get("ineligible"):
        facts.append(("allowed although", str(said["ineligible"])))
    return tuple(facts)


def _turn(angle_deg: float) -> float:
    return (angle_deg + 180.0) % 360.0 - 180.0


def _pretty(provenance: str) -> str:
    return json.dumps(json.loads(provenance), indent=2, sort_keys=True)


def person_of(parts: Parts, digest: str) -> tuple[tuple[str, str], ...]:
    """Whom a file is of, for those who may know; nothing when it is not kept any more."""
    try:
        return person(parts.spool.read(digest))
    except (NodeError, OSError):
        return ()


SECTION: Final = Section(name="job", router=router)
