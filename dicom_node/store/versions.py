"""Rows of the configuration's versions; every function runs inside one transaction."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from dicom_node.ports import NewVersion, Version
from dicom_node.store import schema

__all__ = ["find", "newest", "record"]

_t = schema.versions


def record(connection: sa.Connection, version: NewVersion, now: float) -> Version:
    """See `ports.VersionLedger.record_version`."""
    before = newest(connection, 1)
    if before and before[0].version.digest == version.digest:
        return before[0]
    parent = before[0].number if before else None
    number = connection.execute(
        sa.insert(_t)
        .values(
            digest=version.digest,
            yaml=version.text,
            author=version.author,
            comment=version.comment,
            at=now,
            parent_id=parent,
        )
        .returning(_t.c.id)
    ).scalar_one()
    return Version(number=number, version=version, at=now, parent=parent)


def newest(connection: sa.Connection, limit: int) -> tuple[Version, ...]:
    """See `ports.VersionLedger.versions`."""
    rows = connection.execute(sa.select(_t).order_by(_t.c.id.desc()).limit(limit))
    return tuple(_version(row) for row in rows)


def find(connection: sa.Connection, number: int) -> Version | None:
    """See `ports.VersionLedger.version`."""
    row = connection.execute(sa.select(_t).where(_t.c.id == number)).one_or_none()
    return None if row is None else _version(row)


def _version(row: sa.Row[Any]) -> Version:
    return Version(
        number=row.id,
        version=NewVersion(
            digest=row.digest, text=row.yaml, author=row.author, comment=row.comment
        ),
        at=row.at,
        parent=row.parent_id,
    )
