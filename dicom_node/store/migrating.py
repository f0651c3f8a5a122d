"""Bringing the ledger's tables up to the schema this code speaks."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
import structlog

from dicom_node.domain.errors import ConfigurationError
from dicom_node.store.schema import REVISION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dicom_node.store.database import Database

__all__ = ["current_revision", "known_revisions", "migrate", "one_at_a_time", "require_current"]

_log = structlog.get_logger(__name__)

_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_ADVISORY_LOCK: Final = 0x0D1C0_51D
"""Any number, the same in every node: PostgreSQL lets one session at a time hold it."""


def current_revision(connection: sa.Connection) -> str | None:
    """The revision the tables are at; None when there are none yet."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()


def known_revisions() -> frozenset[str]:
    """Every revision this version can bring up to date."""
    from alembic.script import ScriptDirectory

    return frozenset(each.revision for each in ScriptDirectory(_MIGRATIONS).walk_revisions())


def require_current(database: Database) -> None:
    """Nothing, when the tables are those this code speaks.

    Raises:
        ConfigurationError: They are older, newer or not there.
    """
    with database.read() as connection:
        found = current_revision(connection)
    if found != REVISION:
        raise ConfigurationError(
            f"database_url: the ledger is at revision {found or 'none'}, not {REVISION}; "
            "start the node of this version once to bring it up to date"
        )


def migrate(database: Database, revision: str = REVISION) -> None:
    """Bring the tables up to date. Of several nodes that start at once, one does the work.

    Args:
        database: With the tables, or empty.
        revision: Where to go from an older one; left out, the newest.

    Raises:
        ConfigurationError: The tables are those of a newer version of the node.
    """
    with one_at_a_time(database):
        with database.read() as connection:
            found = current_revision(connection)
        # Alembic is slow to import and almost never needed.
        if found != revision:
            _upgrade(database, revision)


def _upgrade(database: Database, revision: str) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    with database.write(unhurried=True) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
        found = current_revision(connection)
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, revision)
        except CommandError as error:
            raise ConfigurationError(
                f"database_url: the ledger is at revision {found}, which this version does not "
                "know; start the newer version of the node"
            ) from error
        _log.info(
            "the ledger's tables are up to date", revision=revision, revision_before=found or ""
        )


@contextlib.contextmanager
def one_at_a_time(database: Database) -> Iterator[None]:
    """Hold a lock file beside SQLite's file; a server needs none.

    Switching a new file to WAL suffers no neighbour.
    """
    if database.path is None:
        yield
        return
    lock = database.path.with_name(f"{database.path.name}.lock")
    lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
