"""The one way a state changes: the domain's table, a guarded UPDATE, an event.

Every function runs inside one transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from dicom_node.domain import deliveries as delivery_domain
from dicom_node.domain import images as image_domain
from dicom_node.domain import jobs as job_domain
from dicom_node.domain.deliveries import DeliveryEvent, DeliveryState
from dicom_node.domain.errors import LeaseLostError
from dicom_node.domain.images import ImageEvent, ImageState
from dicom_node.domain.jobs import JobEvent, JobState
from dicom_node.ports import DecidedAs
from dicom_node.store import schema

if TYPE_CHECKING:
    from dicom_node.domain.deliveries import Delivery
    from dicom_node.domain.jobs import Job

__all__ = [
    "change_delivery",
    "change_image",
    "change_job",
    "image_state",
    "leased_delivery",
    "leased_job",
]


_IMAGE_STATES: Final = {
    None: ImageState.WAITING,
    DecidedAs.ACCEPT.value: ImageState.ACCEPTED,
    DecidedAs.IGNORE.value: ImageState.IGNORED,
    DecidedAs.QUARANTINE.value: ImageState.QUARANTINED,
}


def leased_job(connection: sa.Connection, job: Job) -> sa.Row[Any]:
    """The row of a job, while the lease it came with still is its lease.

    Raises:
        LeaseLostError: Somebody else leased it since, or it is not running.
    """
    table = schema.jobs
    row = connection.execute(
        sa.select(table).where(table.c.key == job.key).with_for_update()
    ).one_or_none()
    if row is None or row.state != JobState.RUNNING.value or row.attempts != job.attempts:
        raise _lost(f"job {job.key[:12]}", job.attempts, row)
    return row


def leased_delivery(connection: sa.Connection, delivery: Delivery) -> sa.Row[Any]:
    """The row of a delivery, while the lease it came with still is its lease.

    Raises:
        LeaseLostError: Somebody else leased it since, or it is not being sent.
    """
    table = schema.deliveries
    row = connection.execute(
        sa.select(table).where(table.c.id == delivery.id).with_for_update()
    ).one_or_none()
    if row is None or row.state != DeliveryState.SENDING.value or row.attempts != delivery.attempts:
        raise _lost(f"delivery {delivery.id}", delivery.attempts, row)
    return row


def change_job(
    connection: sa.Connection,
    row: sa.Row[Any],
    event: JobEvent,
    now: float,
    *,
    detail: str = "",
    **values: Any,
) -> None:
    """Advance a job's row as it was read; ``values`` are further columns to set.

    Raises:
        IntegrityError: The table of states has no such change.
        LeaseLostError: The row changed since it was read.
    """
    table, before = schema.jobs, JobState(row.state)
    after = job_domain.advance(before, event)
    changed = connection.execute(
        sa.update(table)
        .where(
            table.c.id == row.id,
            table.c.state == before.value,
            table.c.attempts == row.attempts,
        )
        .values({"state": after.value, "updated_at": now, "lease_until": None} | values)
    )
    if changed.rowcount != 1:
        raise LeaseLostError(f"job {row.key[:12]} changed hands while it was {event}")
    connection.execute(
        sa.insert(schema.events).values(
            at=now,
            image_id=row.image_id,
            job_id=row.id,
            event=event.value,
            state_from=before.value,
            state_to=after.value,
            detail=detail,
        )
    )


def change_delivery(
    connection: sa.Connection,
    row: sa.Row[Any],
    event: DeliveryEvent,
    now: float,
    *,
    detail: str = "",
    **values: Any,
) -> None:
    """Advance a delivery's row as it was read; ``values`` are further columns to set.

    Raises:
        IntegrityError: The table of states has no such change.
        LeaseLostError: The row changed since it was read.
    """
    table, before = schema.deliveries, DeliveryState(row.state)
    after = delivery_domain.advance(before, event)
    changed = connection.execute(
        sa.update(table)
        .where(
            table.c.id == row.id,
            table.c.state == before.value,
            table.c.attempts == row.attempts,
        )
        .values({"state": after.value, "updated_at": now, "lease_until": None} | values)
    )
    if changed.rowcount != 1:
        raise LeaseLostError(f"delivery {row.id} changed hands while it was {event}")
    image_id = sa.select(schema.jobs.c.image_id).where(schema.jobs.c.id == row.job_id)
    connection.execute(
        sa.insert(schema.events).values(
            at=now,
            image_id=image_id.scalar_subquery(),
            job_id=row.job_id,
            delivery_id=row.id,
            event=event.value,
            state_from=before.value,
            state_to=after.value,
            detail=detail,
        )
    )


def image_state(row: sa.Row[Any]) -> ImageState:
    """The state that an image's columns stand for."""
    if row.cancelled_at is not None:
        return ImageState.CANCELLED
    if row.conflicting:
        return ImageState.CONFLICTING
    return _IMAGE_STATES[row.decided_as]


def change_image(
    connection: sa.Connection,
    row: sa.Row[Any],
    event: ImageEvent,
    now: float,
    *,
    detail: str = "",
    **values: Any,
) -> None:
    """Advance an image's row as it was read; ``values`` are the columns the new state stands in.

    Raises:
        IntegrityError: The table of states has no such change.
        LeaseLostError: The row changed since it was read.
    """
    table, before = schema.images, image_state(row)
    after = image_domain.advance(before, event)
    changed = connection.execute(
        sa.update(table)
        .where(
            table.c.id == row.id,
            table.c.decided_as.is_not_distinct_from(row.decided_as),
            table.c.cancelled_at.is_(None),
        )
        .values(values)
    )
    if changed.rowcount != 1:
        raise LeaseLostError(f"image {row.id} changed hands while it was {event}")
    connection.execute(
        sa.insert(schema.events).values(
            at=now,
            image_id=row.id,
            event=event.value,
            state_from=before.value,
            state_to=after.value,
            detail=detail,
        )
    )


def _lost(what: str, attempt: int, row: sa.Row[Any] | None) -> LeaseLostError:
    now_is = "gone" if row is None else f"{row.state} at attempt {row.attempts}"
    return LeaseLostError(f"{what} is {now_is}: the lease of attempt {attempt} is over")
