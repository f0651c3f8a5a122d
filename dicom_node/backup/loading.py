"""Filling the tables of an empty ledger, in one transaction, whichever database it is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from dicom_node.domain.errors import ConfigurationError, IntegrityError
from dicom_node.store.migrating import known_revisions, migrate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dicom_node.backup.sources import Source
    from dicom_node.store.database import Database

__all__ = ["forget", "load", "require_known", "require_vacant"]

_MARK: Final = sa.Table("restored_from", sa.MetaData(), sa.Column("backup", sa.Text))
"""Made in the transaction that fills the tables: a restore that was cut knows whether it did."""

_AT_ONCE: Final = 1000


def require_known(source: Source) -> None:
    """Nothing, when this version knows the tables of the backup.

    Raises:
        ConfigurationError: They are of a newer version.
    """
    if source.manifest.revision not in known_revisions():
        raise ConfigurationError(
            f"the backup has the ledger at revision {source.manifest.revision}, which this version "
            f"does not know; restore it with version {source.manifest.node_version} or a newer one"
        )


def require_vacant(database: Database, backup: str) -> None:
    """Nothing, when the database has no rows, or those of this very backup.

    Raises:
        ConfigurationError: It has others.
    """
    with database.read() as connection:
        if _loaded(connection, backup):
            return
        tables = _tables(connection)
        if any(connection.execute(sa.select(table).limit(1)).first() for table in tables):
            raise ConfigurationError(
                "database_url: the ledger there has rows: restore into an empty database"
            )


def load(database: Database, source: Source) -> None:
    """Bring the rows of a checked backup into an empty database, and its tables up to date.

    Done before, it is not done again.

    Raises:
        IntegrityError: The rows are not those of the backup's revision.
    """
    with database.read() as connection:
        done = _loaded(connection, source.manifest.backup)
    if not done:
        migrate(database, source.manifest.revision)
        with database.write() as connection:
            tables = {table.name: table for table in _tables(connection)}
            for dumped in source.manifest.tables:
                _fill(connection, tables.get(dumped.name), source.lines(dumped.file), dumped.rows)
            _MARK.create(connection)
            connection.execute(sa.insert(_MARK).values(backup=source.manifest.backup))
    migrate(database)


def forget(database: Database) -> None:
    """Take away what says that a restore is under way."""
    with database.write() as connection:
        _MARK.drop(connection, checkfirst=True)


def _loaded(connection: sa.Connection, backup: str) -> bool:
    if not sa.inspect(connection).has_table(_MARK.name):
        return False
    return connection.execute(sa.select(_MARK.c.backup)).scalar() == backup


def _tables(connection: sa.Connection) -> list[sa.Table]:
    """As they are in the database: those of an older revision differ from ours."""
    found = sa.MetaData()
    found.reflect(connection)
    ours = [table for table in found.sorted_tables if table.name != "alembic_version"]
    return [table for table in ours if table.name != _MARK.name]


def _fill(
    connection: sa.Connection, table: sa.Table | None, text: Iterator[bytes], rows: int
) -> None:
    lines: Iterator[list[Any]] = map(json.loads, text)
    columns = next(lines, None)
    if table is None or columns is None or set(columns) != set(table.columns.keys()):
        raise IntegrityError("the tables of the backup are not those of its revision")
    filled, batch = 0, []
    for values in lines:
        batch.append(dict(zip(columns, values, strict=True)))
        if len(batch) == _AT_ONCE:
            connection.execute(sa.insert(table), batch)
            filled, batch = filled + len(batch), []
    if batch:
        connection.execute(sa.insert(table), batch)
    if filled + len(batch) != rows:
        raise IntegrityError("a table of the backup has not the rows its manifest tells of")
    if connection.dialect.name == "postgresql" and rows and "id" in columns:
        # The next row gets the next number; SQLite sees to it by itself.
        connection.execute(
            sa.select(
                sa.func.setval(
                    sa.func.pg_get_serial_sequence(table.name, "id"),
                    sa.select(sa.func.max(table.c.id)).scalar_subquery(),
                )
            )
        )
