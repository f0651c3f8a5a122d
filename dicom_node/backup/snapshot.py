"""All rows of the ledger as of one moment, in files that no database is needed to read.

SQLite's online backup copies the file while the node writes on, and the copy is read; in PostgreSQL
one repeatable-read transaction reads everything.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import sqlalchemy as sa

from dicom_node.backup.manifest import DumpedTable
from dicom_node.domain.errors import CapacityError
from dicom_node.store import schema
from dicom_node.store.claims import claims
from dicom_node.store.database import BUSY_S, Database
from dicom_node.store.migrating import require_current

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Snapshot", "dump"]

_AT_ONCE: Final = 2000
"""Rows in memory at one time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The ledger at one moment.

    Attributes:
        tables: Their files, in an order in which they can be filled.
        claims: Digest and size in bytes of every file that a row claims.
    """

    tables: tuple[DumpedTable, ...]
    claims: dict[str, int]


def dump(url: str, folder: Path) -> Snapshot:
    """Write every table of the ledger at a URL into ``folder``, as of one moment.

    Raises:
        ConfigurationError: There is no ledger of this version.
        CapacityError: The database does not answer.
    """
    with _frozen(url, folder) as connection:
        tables = tuple(
            _write(connection, table, folder / f"{table.name}.jsonl")
            for table in schema.METADATA.sorted_tables
            # What is restored belongs to another folder.
            if table is not schema.data_folder
        )
        return Snapshot(tables=tables, claims=claims(connection))


@contextlib.contextmanager
def _frozen(url: str, folder: Path) -> Iterator[sa.Connection]:
    with contextlib.closing(Database(url, read_only=True)) as live:
        require_current(live)
        if live.path is None:
            with live.snapshot() as connection:
                yield connection
            return
        copy = folder / "ledger.db"
        copy.unlink(missing_ok=True)
        _copy(live.path, copy)
    try:
        with (
            contextlib.closing(Database(f"sqlite:///{copy}", read_only=True)) as frozen,
            frozen.snapshot() as connection,
        ):
            yield connection
    finally:
        for left in folder.glob("ledger.db*"):
            left.unlink()


def _copy(source: Path, copy: Path) -> None:
    """All pages in one step: in steps, every write of the running node would begin it anew."""
    copy.touch(mode=0o600)
    try:
        with (
            contextlib.closing(
                sqlite3.connect(f"file:{quote(str(source))}?mode=ro", uri=True, timeout=BUSY_S)
            ) as live,
            contextlib.closing(sqlite3.connect(copy)) as target,
        ):
            live.backup(target, pages=-1)
    except sqlite3.Error as error:
        raise CapacityError(f"the ledger cannot be copied: {error}") from error


def _write(connection: sa.Connection, table: sa.Table, path: Path) -> DumpedTable:
    ordered = sa.select(table).order_by(*table.primary_key.columns)
    digest, rows = hashlib.sha256(), -1  # the first line is not a row
    with path.open("wb") as file:
        for values in _lines(connection, table, ordered):
            text = json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            line = f"{text}\n".encode()
            digest.update(line)
            file.write(line)
            rows += 1
    return DumpedTable(name=table.name, rows=rows, digest=digest.hexdigest())


def _lines(
    connection: sa.Connection, table: sa.Table, ordered: sa.Select[tuple[object, ...]]
) -> Iterator[list[object]]:
    yield [column.name for column in table.columns]
    for row in connection.execute(ordered.execution_options(yield_per=_AT_ONCE)):
        yield list(row)
