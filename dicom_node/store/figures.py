"""How much waits. Every function runs inside one transaction, over indices of what is open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from dicom_node.domain.deliveries import DeliveryState
from dicom_node.domain.jobs import JobState
from dicom_node.ports import DecidedAs, Queues
from dicom_node.store import schema

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["queues", "rewrite_a_row"]

_images, _jobs, _deliveries = schema.images, schema.jobs, schema.deliveries

_OPEN_JOBS: Final = (JobState.QUEUED, JobState.RUNNING, JobState.QUARANTINED)
_OPEN_DELIVERIES: Final = (
    DeliveryState.PENDING,
    DeliveryState.SENDING,
    DeliveryState.STORED,
    DeliveryState.COMMIT_REQUESTED,
    DeliveryState.QUARANTINED,
)


def queues(connection: sa.Connection) -> Queues:
    """See `ports.FigureLedger.queues`."""
    waiting = connection.execute(
        sa.select(sa.func.count(), sa.func.min(_images.c.id)).where(_images.c.decided_as.is_(None))
    ).one()
    quarantined: int = connection.execute(
        sa.select(sa.func.count()).where(
            _images.c.decided_as == DecidedAs.QUARANTINE.value, _images.c.cancelled_at.is_(None)
        )
    ).scalar_one()
    jobs = connection.execute(
        sa.select(_jobs.c.state, sa.func.count(), sa.func.min(_jobs.c.id))
        .where(_jobs.c.state.in_([state.value for state in _OPEN_JOBS]))
        .group_by(_jobs.c.state)
    ).all()
    deliveries = connection.execute(
        sa.select(
            _deliveries.c.state,
            _deliveries.c.destination,
            sa.func.count(),
            sa.func.min(_deliveries.c.id),
        )
        .where(_deliveries.c.state.in_([state.value for state in _OPEN_DELIVERIES]))
        .group_by(_deliveries.c.state, _deliveries.c.destination)
    ).all()
    pending = {row[3]: row[1] for row in deliveries if row[0] == DeliveryState.PENDING.value}
    queued = [row[2] for row in jobs if row[0] == JobState.QUEUED.value]
    image_times = _times(connection, _images, _images.c.received_at, [waiting[1]])
    job_times = _times(connection, _jobs, _jobs.c.created_at, queued)
    delivery_times = _times(connection, _deliveries, _deliveries.c.created_at, pending)
    return Queues(
        images_waiting=waiting[0],
        oldest_image_at=next(iter(image_times.values()), None),
        images_quarantined=quarantined,
        jobs={JobState(state): count for state, count, _ in jobs},
        oldest_job_at=next(iter(job_times.values()), None),
        deliveries={(name, DeliveryState(state)): count for state, name, count, _ in deliveries},
        oldest_delivery_at={pending[number]: at for number, at in delivery_times.items()},
    )


def rewrite_a_row(connection: sa.Connection) -> None:
    """See `ports.FigureLedger.try_write`."""
    connection.execute(sa.text("UPDATE alembic_version SET version_num = version_num"))


def _times(
    connection: sa.Connection, table: sa.Table, column: sa.Column[Any], ids: Iterable[int | None]
) -> dict[int, float]:
    wanted = [number for number in ids if number is not None]
    if not wanted:
        return {}
    rows = connection.execute(sa.select(table.c.id, column).where(table.c.id.in_(wanted)))
    return {row[0]: row[1] for row in rows}
