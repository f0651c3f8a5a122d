"""Jobs with their deliveries, for people to look at; every function runs inside one snapshot."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from dicom_node.domain.deliveries import Outcome
from dicom_node.ports import DeliveryRow, JobRow
from dicom_node.store import deliveries as delivery_rows
from dicom_node.store import jobs, schema

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dicom_node.domain.deliveries import DeliveryState
    from dicom_node.domain.jobs import JobState

__all__ = ["deliveries", "find", "newest"]


def newest(connection: sa.Connection, *, state: JobState | None, limit: int) -> tuple[JobRow, ...]:
    """See `ports.Ledger.jobs`."""
    query = jobs.selected().order_by(schema.jobs.c.id.desc()).limit(limit)
    if state is not None:
        query = query.where(schema.jobs.c.state == state.value)
    rows = connection.execute(query).all()
    by_job = _deliveries(connection, rows)
    return tuple(
        JobRow(job=jobs.from_row(row), deliveries=tuple(by_job.get(row.id, ()))) for row in rows
    )


def find(connection: sa.Connection, key_prefix: str) -> JobRow | None:
    """See `ports.Ledger.job`."""
    if not re.fullmatch(r"[0-9a-f]{1,64}", key_prefix):
        return None
    rows = connection.execute(
        jobs.selected().where(schema.jobs.c.key.startswith(key_prefix)).limit(2)
    ).all()
    if len(rows) != 1:
        return None
    row = rows[0]
    found = _deliveries(connection, rows).get(row.id, [])
    return JobRow(
        job=jobs.from_row(row), deliveries=tuple(found), events=_events(connection, row.id)
    )


def deliveries(
    connection: sa.Connection, *, state: DeliveryState | None, destination: str, limit: int
) -> tuple[DeliveryRow, ...]:
    """See `ports.Ledger.deliveries`."""
    table = schema.deliveries
    query = (
        _counted()
        .add_columns(schema.jobs.c.key.label("job_key"))
        .join(schema.jobs, schema.jobs.c.id == table.c.job_id)
        .order_by(table.c.id.desc())
        .limit(limit)
    )
    if state is not None:
        query = query.where(table.c.state == state.value)
    if destination:
        query = query.where(table.c.destination == destination)
    rows = connection.execute(query).all()
    return tuple(_delivery(connection, row, row.job_key) for row in rows)


def _deliveries(
    connection: sa.Connection, job_rows: Sequence[sa.Row[Any]]
) -> dict[int, list[DeliveryRow]]:
    keys = {row.id: row.key for row in job_rows}
    found: dict[int, list[DeliveryRow]] = {}
    query = _counted().where(schema.deliveries.c.job_id.in_(list(keys)))
    for row in connection.execute(query.order_by(schema.deliveries.c.id)) if keys else ():
        found.setdefault(row.job_id, []).append(_delivery(connection, row, keys[row.job_id]))
    return found


def _delivery(connection: sa.Connection, row: sa.Row[Any], job_key: str) -> DeliveryRow:
    whole = row.stored == row.instances
    instances = () if whole else delivery_rows.outstanding(connection, row.id)
    return DeliveryRow(
        delivery=delivery_rows.from_row(row, job_key, instances),
        instances=row.instances,
        stored=row.stored,
    )


def _counted() -> sa.Select[Any]:
    sends = schema.sends
    is_stored = sa.case((sends.c.outcome == Outcome.STORED.value, 1), else_=0)
    counts = (
        sa.select(
            sends.c.delivery_id,
            sa.func.count().label("instances"),
            sa.func.sum(is_stored).label("stored"),
        )
        .group_by(sends.c.delivery_id)
        .subquery()
    )
    table = schema.deliveries
    return sa.select(table, counts.c.instances, counts.c.stored).join(
        counts, counts.c.delivery_id == table.c.id
    )


def _events(connection: sa.Connection, job_id: int) -> tuple[tuple[float, str, str], ...]:
    table = schema.events
    rows = connection.execute(
        sa.select(table, schema.deliveries.c.destination)
        .outerjoin(schema.deliveries, schema.deliveries.c.id == table.c.delivery_id)
        .where(table.c.job_id == job_id)
        .order_by(table.c.id)
    )
    return tuple(
        (
            row.at,
            row.event if row.destination is None else f"{row.destination}: {row.event}",
            row.detail,
        )
        for row in rows
    )
