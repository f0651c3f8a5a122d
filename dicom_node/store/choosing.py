"""What people decide about many at once, by what they look for; every function runs inside one
transaction.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from dicom_node.domain.images import ImageState
from dicom_node.domain.jobs import JobEvent, JobState
from dicom_node.ports.console import Bulk
from dicom_node.store import schema, searching, settling
from dicom_node.store.transitions import change_job

if TYPE_CHECKING:
    from dicom_node.ports.console import Search

__all__ = ["count", "settle"]

_images, _jobs = schema.images, schema.jobs


def count(connection: sa.Connection, bulk: Bulk, search: Search) -> int:
    """See `ports.ConsoleLedger.count_chosen`."""
    chosen = _chosen(bulk, search).subquery()
    return connection.execute(sa.select(sa.func.count()).select_from(chosen)).scalar_one()


def settle(connection: sa.Connection, bulk: Bulk, search: Search, now: float) -> int:
    """See `ports.ConsoleLedger.settle_chosen`."""
    table = _jobs if bulk is Bulk.CANCEL_QUEUED else _images
    query = _chosen(bulk, search).order_by(table.c.id).with_for_update(of=table)
    rows = connection.execute(query).all()
    for row in rows:
        match bulk:
            case Bulk.CANCEL_QUEUED:
                change_job(connection, row, JobEvent.CANCELLED, now, detail=row.last_error)
            case Bulk.DECIDE_ANEW:
                settling.decide_anew(connection, row, now)
    return len(rows)


def _chosen(bulk: Bulk, search: Search) -> sa.Select[Any]:
    match bulk:
        case Bulk.CANCEL_QUEUED:
            wanted = searching.jobs(replace(search, state=JobState.QUEUED.value))
            return sa.select(_jobs).join(_images, _images.c.id == _jobs.c.image_id).where(*wanted)
        case Bulk.DECIDE_ANEW:
            wanted = searching.images(replace(search, state=ImageState.IGNORED.value))
            return sa.select(_images).where(*wanted, _images.c.file_removed_at.is_(None))
