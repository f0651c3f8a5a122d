"""What people decide about work in quarantine; every function runs inside one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from dicom_node.domain.deliveries import DeliveryEvent, DeliveryState
from dicom_node.domain.images import ImageEvent
from dicom_node.domain.jobs import JobEvent, JobState
from dicom_node.ports import DecidedAs, Deed, Kind
from dicom_node.store import schema
from dicom_node.store.transitions import change_delivery, change_image, change_job

if TYPE_CHECKING:
    from dicom_node.domain.identifiers import JobKey
    from dicom_node.ports import Chosen

__all__ = ["decide_anew", "release_job", "settle"]

_images, _jobs, _deliveries = schema.images, schema.jobs, schema.deliveries


def settle(connection: sa.Connection, kind: Kind, deed: Deed, chosen: Chosen, now: float) -> int:
    """See `ports.Ledger.settle`."""
    match kind:
        case Kind.IMAGES:
            return _settle_images(connection, deed, chosen, now)
        case Kind.JOBS:
            return _settle_jobs(connection, deed, chosen, now)
        case Kind.DELIVERIES:
            return _settle_deliveries(connection, deed, chosen, now)


def release_job(connection: sa.Connection, key: JobKey, now: float) -> int:
    """See `ports.Ledger.release`."""
    row = connection.execute(
        sa.select(_jobs).where(_jobs.c.key == key).with_for_update()
    ).one_or_none()
    if row is None:
        return 0
    released = 0
    if row.state == JobState.QUARANTINED.value:
        change_job(connection, row, JobEvent.RELEASED, now, **_fresh(now))
        released = 1
    rows = _quarantined_deliveries(connection, _deliveries.c.job_id == row.id)
    for each in rows:
        change_delivery(connection, each, DeliveryEvent.RELEASED, now, **_fresh(now))
    return released + len(rows)


def _settle_images(connection: sa.Connection, deed: Deed, chosen: Chosen, now: float) -> int:
    query = sa.select(_images).where(
        _images.c.decided_as == DecidedAs.QUARANTINE.value, _images.c.cancelled_at.is_(None)
    )
    query = query.where(
        _images.c.sop_instance_uid == chosen.name
        if chosen.name
        else _because(_images.c.reason, chosen)
    )
    rows = connection.execute(query.order_by(_images.c.id).with_for_update()).all()
    if deed is Deed.RELEASE and (not chosen.name or not all(row.conflicting for row in rows)):
        # A second content under one UID never becomes an image of its own.
        rows = [row for row in rows if not row.conflicting]
    for row in rows:
        if deed is Deed.CANCEL:
            change_image(
                connection, row, ImageEvent.CANCELLED, now, detail=row.reason, cancelled_at=now
            )
        else:
            decide_anew(connection, row, now)
    return len(rows)


def decide_anew(connection: sa.Connection, row: sa.Row[Any], now: float) -> None:
    """Let an image wait for its decision again, as if it had just come."""
    change_image(
        connection,
        row,
        ImageEvent.RELEASED,
        now,
        detail=row.reason,
        decided_as=None,
        decided_at=None,
        route="",
        route_digest="",
        version_id=None,
        reason="",
        terms="[]",
    )


def _settle_jobs(connection: sa.Connection, deed: Deed, chosen: Chosen, now: float) -> int:
    if chosen.name:
        where: sa.ColumnElement[bool] = _jobs.c.key == chosen.name
    else:
        where = sa.and_(
            _jobs.c.state == JobState.QUARANTINED.value, _because(_jobs.c.last_error, chosen)
        )
    rows = connection.execute(
        sa.select(_jobs).where(where).order_by(_jobs.c.id).with_for_update()
    ).all()
    for row in rows:
        if deed is Deed.CANCEL:
            change_job(connection, row, JobEvent.CANCELLED, now, detail=row.last_error)
        else:
            change_job(
                connection, row, JobEvent.RELEASED, now, detail=row.last_error, **_fresh(now)
            )
    return len(rows)


def _settle_deliveries(connection: sa.Connection, deed: Deed, chosen: Chosen, now: float) -> int:
    if chosen.name:
        where: sa.ColumnElement[bool] = _deliveries.c.id == int(chosen.name)
    else:
        where = sa.and_(
            _deliveries.c.state == DeliveryState.QUARANTINED.value,
            _because(_deliveries.c.last_error, chosen),
            _deliveries.c.destination == chosen.destination if chosen.destination else sa.true(),
        )
    rows = connection.execute(
        sa.select(_deliveries).where(where).order_by(_deliveries.c.id).with_for_update()
    ).all()
    for row in rows:
        if deed is Deed.CANCEL:
            change_delivery(connection, row, DeliveryEvent.CANCELLED, now, detail=row.last_error)
        else:
            change_delivery(
                connection, row, DeliveryEvent.RELEASED, now, detail=row.last_error, **_fresh(now)
            )
    return len(rows)


def _quarantined_deliveries(
    connection: sa.Connection, where: sa.ColumnElement[bool]
) -> list[sa.Row[Any]]:
    rows = connection.execute(
        sa.select(_deliveries)
        .where(where, _deliveries.c.state == DeliveryState.QUARANTINED.value)
        .order_by(_deliveries.c.id)
        .with_for_update()
    )
    return list(rows.all())


def _because(column: sa.Column[Any], chosen: Chosen) -> sa.ColumnElement[bool]:
    """Rows whose reason holds the words, upper and lower case alike."""
    return sa.func.lower(column).contains(chosen.reason.lower(), autoescape=True)


def _fresh(now: float) -> dict[str, Any]:
    return {"not_before": now, "failures": 0, "lost_leases": 0}
