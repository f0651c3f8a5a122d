"""Which files the rows still need; every function runs inside one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from dicom_node.domain.deliveries import DeliveryState
from dicom_node.domain.jobs import JobState
from dicom_node.ports import DecidedAs
from dicom_node.store import schema

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["forget", "known", "removable"]

_images, _jobs, _derived, _deliveries = (
    schema.images,
    schema.jobs,
    schema.derived,
    schema.deliveries,
)

_CLOSED_JOB: Final = (JobState.DONE.value, JobState.CANCELLED.value)
_CLOSED_DELIVERY: Final = (
    DeliveryState.CLOSED.value,
    DeliveryState.COMMITTED.value,
    DeliveryState.CANCELLED.value,
)
_AT_ONCE: Final = 500
"""Digests in one statement: databases limit how many values it may carry."""


def removable(connection: sa.Connection, before: float, limit: int) -> tuple[str, ...]:
    """See `ports.Ledger.removable`."""
    rows = connection.execute(_unneeded(before).limit(limit))
    return tuple(rows.scalars())


def forget(
    connection: sa.Connection, digests: Sequence[str], before: float, now: float
) -> tuple[str, ...]:
    """See `ports.Ledger.forget_files`."""
    forgotten: list[str] = []
    for start in range(0, len(digests), _AT_ONCE):
        part = list(digests[start : start + _AT_ONCE])
        free = list(connection.execute(_unneeded(before, among=part)).scalars())
        for table in (_images, _derived):
            connection.execute(
                sa.update(table)
                .where(table.c.digest.in_(free), table.c.file_removed_at.is_(None))
                .values(file_removed_at=now)
            )
        forgotten += free
    return tuple(forgotten)


def known(connection: sa.Connection) -> frozenset[str]:
    """See `ports.Ledger.known_digests`."""
    claimed = sa.union(
        *(
            sa.select(table.c.digest).where(table.c.file_removed_at.is_(None))
            for table in (_images, _derived)
        )
    )
    return frozenset(connection.execute(claimed).scalars())


def _unneeded(before: float, among: Sequence[str] | None = None) -> sa.Select[Any]:
    """Digests every claim on which is closed since before a time, in a fixed order."""
    open_delivery = sa.exists().where(
        _deliveries.c.job_id == _jobs.c.id,
        sa.or_(
            _deliveries.c.state.not_in(_CLOSED_DELIVERY),
            _deliveries.c.updated_at >= before,
        ),
    )
    open_job = sa.or_(
        _jobs.c.state.not_in(_CLOSED_JOB), _jobs.c.updated_at >= before, open_delivery
    )
    # An image in quarantine waits for a person, however long.
    image_open = sa.or_(
        _images.c.decided_as.is_(None),
        sa.and_(
            _images.c.decided_as == DecidedAs.QUARANTINE.value, _images.c.cancelled_at.is_(None)
        ),
        _images.c.cancelled_at >= before,
        _images.c.decided_at >= before,
        sa.exists().where(_jobs.c.image_id == _images.c.id, open_job),
    )
    derived_open = sa.exists().where(_jobs.c.id == _derived.c.job_id, open_job)
    claims = sa.union_all(
        *(
            sa.select(table.c.digest, sa.case((is_open, 1), else_=0).label("open"))
            .where(table.c.file_removed_at.is_(None))
            .where(sa.true() if among is None else table.c.digest.in_(among))
            for table, is_open in ((_images, image_open), (_derived, derived_open))
        )
    ).subquery()
    return (
        sa.select(claims.c.digest)
        .group_by(claims.c.digest)
        .having(sa.func.max(claims.c.open) == 0)
        .order_by(claims.c.digest)
    )
