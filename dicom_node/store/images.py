"""Rows of received images and their decisions; every function runs inside one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from dicom_node.domain.errors import IntegrityError
from dicom_node.domain.images import ImageEvent
from dicom_node.domain.jobs import JobState
from dicom_node.ports import DecidedAs, DecisionRow, ImageRow, NewImage, Receipt
from dicom_node.store import schema
from dicom_node.store.database import insert_new
from dicom_node.store.orders import order_to_json, terms_from_json, terms_to_json
from dicom_node.store.transitions import change_image, image_state
from dicom_node.store.waiting import untried

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dicom_node.ports import NewJob

__all__ = ["CONFLICT_REASON", "add_job", "decide", "from_row", "newest", "record", "unplanned"]

CONFLICT_REASON: Final = (
    "another image with this SOP Instance UID was received before and its content differs; "
    "the first one stands"
)

_DECIDED: Final = {
    DecidedAs.ACCEPT: ImageEvent.ACCEPTED,
    DecidedAs.IGNORE: ImageEvent.IGNORED,
    DecidedAs.QUARANTINE: ImageEvent.QUARANTINED,
}

_t = schema.images


def record(connection: sa.Connection, image: NewImage, now: float) -> Receipt:
    """See `ports.Ledger.record_image`."""
    values: dict[str, Any] = {
        "sop_class_uid": image.sop_class_uid,
        "sop_instance_uid": image.sop_instance_uid,
        "study_instance_uid": image.study_instance_uid,
        "transfer_syntax_uid": image.transfer_syntax_uid,
        "calling_ae_title": image.calling_ae_title,
        "accession_number": image.accession_number,
        "digest": image.digest,
        "size_bytes": image.size_bytes,
        "received_at": now,
        "conflicting": False,
    }
    if _insert(connection, values, now, "received"):
        return Receipt.NEW
    believed = connection.execute(
        sa.select(_t.c.digest).where(
            _t.c.sop_instance_uid == image.sop_instance_uid, sa.not_(_t.c.conflicting)
        )
    ).scalar_one()
    if believed == image.digest:
        return Receipt.DUPLICATE
    values |= {
        "conflicting": True,
        "decided_as": DecidedAs.QUARANTINE.value,
        "decided_at": now,
        "reason": CONFLICT_REASON,
    }
    _insert(connection, values, now, "conflict")
    return Receipt.CONFLICT


def unplanned(connection: sa.Connection, limit: int) -> tuple[ImageRow, ...]:
    """See `ports.Ledger.unplanned`."""
    rows = connection.execute(
        sa.select(_t).where(_t.c.decided_as.is_(None)).order_by(_t.c.id).limit(limit)
    )
    return tuple(from_row(row) for row in rows)


def newest(connection: sa.Connection, limit: int) -> tuple[ImageRow, ...]:
    """See `ports.Ledger.images`."""
    rows = connection.execute(sa.select(_t).order_by(_t.c.id.desc()).limit(limit))
    return tuple(from_row(row) for row in rows)


def decide(
    connection: sa.Connection,
    image_id: int,
    decision: DecisionRow,
    new_jobs: Sequence[NewJob],
    now: float,
) -> None:
    """See `ports.Ledger.record_decision`."""
    if new_jobs and decision.decided_as is not DecidedAs.ACCEPT:
        raise IntegrityError(f"an image decided as {decision.decided_as} can have no job")
    row = connection.execute(
        sa.select(_t).where(_t.c.id == image_id).with_for_update()
    ).one_or_none()
    if row is None:
        raise IntegrityError(f"image {image_id} is not there")
    change_image(
        connection,
        row,
        _DECIDED[decision.decided_as],
        now,
        detail=decision.reason,
        decided_as=decision.decided_as.value,
        decided_at=now,
        route=decision.route,
        route_digest=decision.route_digest,
        reason=decision.reason,
        terms=terms_to_json(decision.terms),
        version_id=decision.version,
    )
    for new_job in new_jobs:
        add_job(connection, image_id, new_job, now)


def _insert(connection: sa.Connection, values: dict[str, Any], now: float, event: str) -> bool:
    inserted = connection.execute(
        insert_new(connection, _t).values(values).returning(_t.c.id)
    ).scalar_one_or_none()
    if inserted is None:
        return False
    _note(connection, inserted, now, event, values.get("decided_as", ""))
    return True


def add_job(
    connection: sa.Connection, image_id: int, new_job: NewJob, now: float, *, detail: str = ""
) -> bool:
    """Queue a job; False when there is one of this key already."""
    inserted = connection.execute(
        insert_new(connection, schema.jobs)
        .values(
            key=new_job.key,
            image_id=image_id,
            state=JobState.QUEUED.value,
            order_json=order_to_json(new_job.order),
            priority=new_job.order.priority,
            **untried(now),
        )
        .returning(schema.jobs.c.id)
    ).scalar_one_or_none()
    if inserted is not None:
        connection.execute(
            sa.insert(schema.events).values(
                at=now,
                image_id=image_id,
                job_id=inserted,
                event="queued",
                state_from="",
                state_to=JobState.QUEUED.value,
                detail=detail,
            )
        )
    return inserted is not None


def _note(connection: sa.Connection, image_id: int, now: float, event: str, state: str) -> None:
    connection.execute(
        sa.insert(schema.events).values(
            at=now, image_id=image_id, event=event, state_from="", state_to=state, detail=""
        )
    )


def from_row(row: sa.Row[Any]) -> ImageRow:
    """A row as a value."""
    decision = None
    if row.decided_as is not None:
        decision = DecisionRow(
            decided_as=DecidedAs(row.decided_as),
            route=row.route,
            route_digest=row.route_digest,
            reason=row.reason,
            terms=terms_from_json(row.terms),
            version=row.version_id,
        )
    return ImageRow(
        id=row.id,
        image=NewImage(
            sop_class_uid=row.sop_class_uid,
            sop_instance_uid=row.sop_instance_uid,
            study_instance_uid=row.study_instance_uid,
            transfer_syntax_uid=row.transfer_syntax_uid,
            calling_ae_title=row.calling_ae_title,
            digest=row.digest,
            size_bytes=row.size_bytes,
            accession_number=row.accession_number,
        ),
        received_at=row.received_at,
        decision=decision,
        state=image_state(row),
    )
