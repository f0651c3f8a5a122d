"""Which files the rows claim; every function runs inside one snapshot."""

from __future__ import annotations

import sqlalchemy as sa

from dicom_node.store import schema

__all__ = ["claims"]


def claims(connection: sa.Connection) -> dict[str, int]:
    """Digest and size in bytes of every file that a row claims."""
    claimed: dict[str, int] = {}
    for table in (schema.images, schema.derived):
        rows = connection.execute(
            sa.select(table.c.digest, table.c.size_bytes).where(table.c.file_removed_at.is_(None))
        )
        claimed.update((row.digest, row.size_bytes) for row in rows)
    return claimed
