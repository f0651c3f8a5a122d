"""Work that waits: lost leases, destinations that left, and when something is due next.

Every function runs inside one transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from dicom_node.domain.deliveries import DeliveryEvent, DeliveryState, stray_reason
from dicom_node.domain.jobs import JobEvent, JobState, rest_s
from dicom_node.store import schema
from dicom_node.store.transitions import change_delivery, change_job

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = [
    "count",
    "is_due",
    "next_due",
    "of_the_future",
    "put_back",
    "quarantine_strays",
    "untried",
]

_jobs, _deliveries = schema.jobs, schema.deliveries


CLOCK_WENT_BACK_S: Final = 60.0
"""A row that was changed so far in the future was changed before the clock was set back."""


def untried(now: float) -> dict[str, Any]:
    """Columns of new work: due at once, and tried by nobody."""
    return {
        "attempts": 0,
        "failures": 0,
        "lost_leases": 0,
        "not_before": now,
        "last_error": "",
        "created_at": now,
        "updated_at": now,
    }


def is_due(table: sa.Table, now: float) -> sa.ColumnElement[bool]:
    """Whether a waiting row may be leased: its time has come, or it was set by a clock that has
    been set back since, and nobody knows how long it would wait.
    """
    return sa.or_(table.c.not_before <= now, of_the_future(table.c.updated_at, now))


def of_the_future(moment: sa.Column[Any], now: float) -> sa.ColumnElement[bool]:
    """Whether a clock that has been set back since wrote a time."""
    return moment > now + CLOCK_WENT_BACK_S


def put_back(connection: sa.Connection, now: float, *, expired_by: float | None) -> int:
    """Leased rows back to waiting: those whose lease ran out by a time, or all of them (None)."""
    detail = "the node stopped" if expired_by is None else "the lease ran out"
    leased_jobs = _leased(connection, _jobs, JobState.RUNNING.value, expired_by)
    for row in leased_jobs:
        lost = row.lost_leases + 1
        change_job(
            connection,
            row,
            JobEvent.LEASE_EXPIRED,
            now,
            detail=detail,
            lost_leases=lost,
            not_before=now + rest_s(lost),
        )
    leased_deliveries = _leased(connection, _deliveries, DeliveryState.SENDING.value, expired_by)
    for row in leased_deliveries:
        change_delivery(
            connection,
            row,
            DeliveryEvent.LEASE_EXPIRED,
            now,
            detail=detail,
            lost_leases=row.lost_leases + 1,
            not_before=now,
        )
    return len(leased_jobs) + len(leased_deliveries)


def quarantine_strays(
    connection: sa.Connection, destinations: Collection[str], now: float
) -> tuple[str, ...]:
    """See `ports.Ledger.quarantine_strays`."""
    rows = connection.execute(
        sa.select(_deliveries)
        .where(
            _deliveries.c.state.in_([DeliveryState.PENDING.value, DeliveryState.STORED.value]),
            _deliveries.c.destination.not_in(list(destinations)),
        )
        .order_by(_deliveries.c.id)
        .with_for_update(skip_locked=True)
    ).all()
    for row in rows:
        reason = stray_reason(row.destination)
        change_delivery(
            connection, row, DeliveryEvent.GAVE_UP, now, detail=reason, last_error=reason
        )
    return tuple(row.destination for row in rows)


def count(connection: sa.Connection) -> int:
    """See `ports.Ledger.waiting`."""
    images = sa.select(sa.func.count()).where(schema.images.c.decided_as.is_(None))
    open_states = (JobState.QUEUED.value, JobState.RUNNING.value)
    jobs = sa.select(sa.func.count()).where(_jobs.c.state.in_(open_states))
    found: int = connection.execute(
        sa.select(images.scalar_subquery() + jobs.scalar_subquery())
    ).scalar_one()
    return found


def next_due(connection: sa.Connection) -> float | None:
    """See `ports.Ledger.next_due`."""
    waiting = sa.union_all(
        sa.select(_jobs.c.not_before).where(_jobs.c.state == JobState.QUEUED.value),
        sa.select(_deliveries.c.not_before).where(
            _deliveries.c.state == DeliveryState.PENDING.value
        ),
    ).subquery()
    due: float | None = connection.execute(sa.select(sa.func.min(waiting.c.not_before))).scalar()
    return due


def _leased(
    connection: sa.Connection, table: sa.Table, state: str, expired_by: float | None
) -> list[sa.Row[Any]]:
    query = sa.select(table).where(table.c.state == state).order_by(table.c.id)
    if expired_by is not None:
        query = query.where(table.c.lease_until <= expired_by)
    # A row that its worker is changing this moment is not lost.
    rows = connection.execute(query.with_for_update(skip_locked=expired_by is not None))
    return list(rows.all())
