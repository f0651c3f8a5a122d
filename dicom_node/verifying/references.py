"""Mismatches among the rows themselves; every function runs inside one snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from dicom_node.domain.deliveries import DeliveryState
from dicom_node.domain.jobs import JobState
from dicom_node.store import schema
from dicom_node.verifying.findings import Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["damage", "mismatches"]

_images, _jobs, _derived, _deliveries, _sends, _events = (
    schema.images,
    schema.jobs,
    schema.derived,
    schema.deliveries,
    schema.sends,
    schema.events,
)

_NEEDS_SOURCE: Final = [
    each.value for each in JobState if each not in (JobState.DONE, JobState.CANCELLED)
]
_NEEDS_FILES: Final = [
    each.value
    for each in DeliveryState
    if each not in (DeliveryState.CLOSED, DeliveryState.COMMITTED, DeliveryState.CANCELLED)
]


def mismatches(connection: sa.Connection) -> Iterator[Finding]:
    """Everything that is wrong among the rows."""
    yield from _dangling(connection)
    yield from _incomplete(connection)
    yield from _of_something_else(connection)
    yield from _removed_too_early(connection)


def damage(connection: sa.Connection) -> Iterator[Finding]:
    """What the database says of its own file; PostgreSQL has no such question."""
    if connection.dialect.name != "sqlite":
        return
    for (said,) in connection.exec_driver_sql("PRAGMA integrity_check"):
        if said != "ok":
            # It may quote values; its first words say what is broken.
            words = str(said).splitlines()[0][:80]
            yield Finding(kind=Kind.DAMAGED_LEDGER, where="ledger", detail=words)


def _dangling(connection: sa.Connection) -> Iterator[Finding]:
    """Rows that refer to none."""
    for table in schema.METADATA.sorted_tables:
        for key in sorted(table.foreign_keys, key=lambda each: each.parent.name):
            parent = key.column.table.alias()
            column = parent.c[key.column.name]
            rows = connection.execute(
                sa.select(*table.primary_key.columns, key.parent.label("refers_to"))
                .outerjoin_from(table, parent, column == key.parent)
                .where(key.parent.is_not(None), column.is_(None))
                .order_by(*table.primary_key.columns)
            )
            for row in rows:
                yield Finding(
                    kind=Kind.BROKEN_REFERENCE,
                    where=f"{table.name}/{'/'.join(str(value) for value in row[:-1])}",
                    detail=f"{key.parent.name} is {row.refers_to}, and there is no such row in "
                    f"{key.column.table.name}",
                )


def _incomplete(connection: sa.Connection) -> Iterator[Finding]:
    made = sa.exists().where(_derived.c.job_id == _jobs.c.id)
    for number in connection.execute(
        sa.select(_jobs.c.id).where(_jobs.c.state == JobState.DONE.value, ~made)
    ).scalars():
        yield Finding(
            kind=Kind.INCOMPLETE, where=f"jobs/{number}", detail="is done and has no derived rows"
        )
    for number in connection.execute(
        sa.select(_jobs.c.id).where(_jobs.c.state != JobState.DONE.value, made)
    ).scalars():
        yield Finding(
            kind=Kind.BROKEN_REFERENCE,
            where=f"jobs/{number}",
            detail="is not done and has derived rows",
        )
    brings = sa.exists().where(_sends.c.delivery_id == _deliveries.c.id)
    for number in connection.execute(sa.select(_deliveries.c.id).where(~brings)).scalars():
        yield Finding(
            kind=Kind.INCOMPLETE, where=f"deliveries/{number}", detail="has nothing to bring"
        )
    # A delivery brings every image of its job that is written its way and every document that it
    # has to bring, none left out.
    left_out = (
        sa.select(_deliveries.c.id, _derived.c.id.label("derived_id"))
        .join_from(
            _deliveries,
            _derived,
            sa.and_(
                _derived.c.job_id == _deliveries.c.job_id,
                _derived.c.form == _deliveries.c.form,
                _derived.c.banner == _deliveries.c.banner,
                _derived.c.matrix == _deliveries.c.matrix,
                sa.or_(
                    _derived.c.document.is_(None),
                    _deliveries.c.documents.contains(_derived.c.document),
                ),
            ),
        )
        .where(
            brings,
            ~sa.exists().where(
                _sends.c.delivery_id == _deliveries.c.id, _sends.c.derived_id == _derived.c.id
            ),
        )
    )
    for row in connection.execute(left_out):
        yield Finding(
            kind=Kind.INCOMPLETE,
            where=f"deliveries/{row.id}",
            detail=f"leaves out derived/{row.derived_id} of its job",
        )


def _of_something_else(connection: sa.Connection) -> Iterator[Finding]:
    foreign_sends = (
        sa.select(_sends.c.delivery_id, _sends.c.derived_id)
        .join(_deliveries, _deliveries.c.id == _sends.c.delivery_id)
        .join(_derived, _derived.c.id == _sends.c.derived_id)
        .where(
            sa.or_(
                _derived.c.job_id != _deliveries.c.job_id,
                _derived.c.form != _deliveries.c.form,
                _derived.c.banner != _deliveries.c.banner,
                _derived.c.matrix != _deliveries.c.matrix,
            )
        )
    )
    for send in connection.execute(foreign_sends):
        yield Finding(
            kind=Kind.BROKEN_REFERENCE,
            where=f"sends/{send.delivery_id}/{send.derived_id}",
            detail="brings an instance of another job or form than its delivery",
        )
    foreign_events = (
        sa.select(_events.c.id)
        .outerjoin(_jobs, _jobs.c.id == _events.c.job_id)
        .outerjoin(_deliveries, _deliveries.c.id == _events.c.delivery_id)
        .where(
            sa.or_(
                _jobs.c.image_id != _events.c.image_id,
                _deliveries.c.job_id != _events.c.job_id,
            )
        )
    )
    for number in connection.execute(foreign_events).scalars():
        yield Finding(
            kind=Kind.BROKEN_REFERENCE,
            where=f"events/{number}",
            detail="tells of a job or delivery that is not of its image",
        )


def _removed_too_early(connection: sa.Connection) -> Iterator[Finding]:
    sources = (
        sa.select(_images.c.id, _jobs.c.id.label("job_id"))
        .join(_jobs, _jobs.c.image_id == _images.c.id)
        .where(_images.c.file_removed_at.is_not(None), _jobs.c.state.in_(_NEEDS_SOURCE))
    )
    for image in connection.execute(sources):
        yield Finding(
            kind=Kind.REMOVED_TOO_EARLY,
            where=f"images/{image.id}",
            detail=f"its file was let go, and jobs/{image.job_id} needs it",
        )
    views = (
        sa.select(_derived.c.id, _deliveries.c.id.label("delivery_id"))
        .join(_sends, _sends.c.derived_id == _derived.c.id)
        .join(_deliveries, _deliveries.c.id == _sends.c.delivery_id)
        .where(_derived.c.file_removed_at.is_not(None), _deliveries.c.state.in_(_NEEDS_FILES))
    )
    for view in connection.execute(views):
        yield Finding(
            kind=Kind.REMOVED_TOO_EARLY,
            where=f"derived/{view.id}",
            detail=f"its file was let go, and deliveries/{view.delivery_id} needs it",
        )
