"""How the ledger's database is reached: connections, transactions and what their errors mean.

SQLite and PostgreSQL are both meant. What differs between them is here and nowhere else.
"""

from __future__ import annotations

import contextlib
import math
import os
import sqlite3
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import ConnectionPoolEntry

from dicom_node.domain.errors import CapacityError, ConfigurationError, IntegrityError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.sql.dml import Insert

__all__ = ["BUSY_S", "Database", "errors_mapped", "insert_new", "parse_url"]

BUSY_S: Final = 30.0
"""How long a writer waits for the writer of another process before it gives up."""

CONNECT_S: Final = 5
"""How long a server may take to answer a connection."""

TURN_S: Final = 20.0
"""How long a writer waits for the other writers of this process."""

ANSWER_S: Final = 40.0
"""How long a server may take to answer a statement. Longer than that may wait for a lock; and who
sends to us must hear that it was in vain before giving up, as DCMTK does after a minute."""

_WRITES: Final = "ledger_writes"
"""Execution option of connections whose transactions take the write lock as they begin."""


def parse_url(url: str) -> URL:
    """A database URL this node can use.

    Raises:
        ConfigurationError: It is neither SQLite in a file nor PostgreSQL.
    """
    try:
        parsed = make_url(url)
    except sa.exc.ArgumentError:
        # The text may hold a password, so it is not quoted.
        raise ConfigurationError("database_url: is no URL; give sqlite:///FILE") from None
    backend = parsed.get_backend_name()
    if backend == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise ConfigurationError("database_url: a ledger in memory is lost; give sqlite:///FILE")
    if backend == "postgresql" and parsed.drivername != "postgresql+psycopg":
        parsed = parsed.set(drivername="postgresql+psycopg")
    if backend not in ("sqlite", "postgresql"):
        raise ConfigurationError(f"database_url: {backend} is not known; use sqlite or postgresql")
    return parsed


class Database:
    """A pool of connections, with one way to read and one way to write.

    Args:
        url: As `parse_url` takes it.
        read_only: Never write, never make the file.
        answer_s: How long a server may take to answer a statement.

    Raises:
        ConfigurationError: The URL is not usable, its driver is not installed, or there is no
            such file to read.
    """

    def __init__(self, url: str, *, read_only: bool = False, answer_s: float = ANSWER_S) -> None:
        self.url = parse_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        # SQLite has one writer at a time. Threads that queue here wake in turn; SQLite's own
        # waiting sleeps and may starve one of them.
        self._turn = threading.Lock() if self.is_sqlite else None
        self._engine = (
            _sqlite_engine(self.url, read_only=read_only)
            if self.is_sqlite
            else _server_engine(self.url, read_only=read_only, answer_s=answer_s)
        )
        self._writing = self._engine.execution_options(**{_WRITES: True})

    @property
    def path(self) -> Path | None:
        """SQLite's file; None for a server."""
        return Path(self.url.database or "") if self.is_sqlite else None

    @property
    def name(self) -> str:
        """For people: SQLite's file, or a server's database and where it is. No password."""
        if self.is_sqlite:
            return str(self.path)
        where = self.url.host or self.url.query.get("host") or "this machine"
        port = f":{self.url.port}" if self.url.port else ""
        return f"the database {self.url.database} at {where}{port}"

    def session(self) -> sa.Connection:
        """A connection to keep; each of its statements stands for itself.

        Raises:
            CapacityError: The database does not answer.
        """
        with errors_mapped():
            return self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """One snapshot of the rows.

        Raises:
            CapacityError: The database does not answer.
        """
        with errors_mapped(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[sa.Connection]:
        """All rows as of one moment, however many statements read them and however long.

        Raises:
            CapacityError: The database does not answer.
        """
        engine = self._engine
        if not self.is_sqlite:
            engine = engine.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
        with (
            errors_mapped(),
            engine.connect() as connection,
            connection.begin(),
            _unhurried(connection),
        ):
            yield connection

    @contextlib.contextmanager
    def write(self, *, unhurried: bool = False) -> Iterator[sa.Connection]:
        """One transaction, on disk when this returns; nothing of it is there when it raises.

        Args:
            unhurried: Its statements may take as long as they take.

        Raises:
            CapacityError: The database has no room or does not answer.
            IntegrityError: A constraint was broken.
        """
        with (
            self._my_turn(),
            errors_mapped(),
            self._writing.begin() as connection,
            _unhurried(connection) if unhurried else contextlib.nullcontext(),
        ):
            yield connection

    def close(self) -> None:
        """Release the connections."""
        self._engine.dispose()

    @contextlib.contextmanager
    def _my_turn(self) -> Iterator[None]:
        if self._turn is None:
            yield
            return
        # Each of those before may wait for the writer of another process.
        if not self._turn.acquire(timeout=TURN_S):
            raise CapacityError("the ledger does not answer: too many wait to write")
        try:
            yield
        finally:
            self._turn.release()


def insert_new(connection: sa.Connection, table: sa.Table) -> Insert:
    """An INSERT that leaves the row out when it would break a unique constraint."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as postgresql_insert

        return postgresql_insert(table).on_conflict_do_nothing()
    from sqlalchemy.dialects.sqlite import insert as sqlite_insert

    return sqlite_insert(table).on_conflict_do_nothing()


_OUT_OF_REACH: Final = (
    sa.exc.OperationalError,
    sa.exc.InterfaceError,
    sa.exc.InternalError,
    sa.exc.TimeoutError,
)
"""What drivers raise for a server that is away, a full disk, or a database opened for looking."""


@contextlib.contextmanager
def errors_mapped() -> Iterator[None]:
    """Raise what the drivers raise inside as errors of the node.

    Raises:
        CapacityError: The database has no room or does not answer.
        IntegrityError: A constraint was broken.
    """
    try:
        yield
    except sa.exc.IntegrityError as error:
        # The first line names the constraint; the lines after it would quote the row.
        broken = str(error.orig).partition("\n")[0]
        raise IntegrityError(f"the ledger refuses: {broken}") from error
    except _OUT_OF_REACH as error:
        reason = str(getattr(error, "orig", None) or "no connection is free").partition("\n")[0]
        raise CapacityError(f"the ledger does not answer: {reason}") from error


@contextlib.contextmanager
def _unhurried(connection: sa.Connection) -> Iterator[None]:
    """A transaction of which a statement may go over every row."""
    raw: Any = connection.connection.dbapi_connection
    if connection.dialect.name != "postgresql":
        yield
        return
    answer_s, raw.patience_s = raw.patience_s, math.inf
    try:
        yield
    finally:
        raw.patience_s = answer_s


def _server_engine(url: URL, *, read_only: bool, answer_s: float) -> sa.Engine:
    try:
        engine = sa.create_engine(
            url,
            pool_pre_ping=True,
            pool_size=8,
            max_overflow=64,
            pool_timeout=BUSY_S,
            hide_parameters=True,
            connect_args={
                "connect_timeout": CONNECT_S,
                # A server that vanishes without a word must not hold a worker for ever.
                "keepalives_idle": 10,
                "keepalives_interval": 5,
                "keepalives_count": 3,
                "tcp_user_timeout": 25_000,
                "options": f"-c lock_timeout={int(BUSY_S * 1000)}",
            },
        )
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"database_url: the driver {error.name} is not installed; "
            "install dicom-node[postgresql]"
        ) from error
    from dicom_node.store.patience import PatientConnection

    @event.listens_for(engine, "do_connect")
    def _connect(_dialect: Any, _record: Any, args: Any, kwargs: Any) -> PatientConnection:
        made = PatientConnection.connect(*args, **kwargs)
        made.patience_s = answer_s
        return made

    return engine.execution_options(postgresql_readonly=True) if read_only else engine


def _sqlite_engine(url: URL, *, read_only: bool) -> sa.Engine:
    path = Path(url.database or "").absolute()
    if read_only and not path.is_file():
        raise ConfigurationError(f"database_url: there is no ledger at {path}; start the node once")
    # A path may hold any character; in SQLite's URI form those with a meaning are escaped.
    uri = f"file:{quote(str(path))}?mode={'ro' if read_only else 'rw'}"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(uri, uri=True, timeout=BUSY_S, check_same_thread=False)

    if not read_only:
        _create_file(path)
    engine = sa.create_engine(
        "sqlite://",
        creator=connect,
        poolclass=sa.QueuePool,
        pool_size=8,
        max_overflow=64,
        pool_timeout=BUSY_S,
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _entry: ConnectionPoolEntry) -> None:
        # Transactions are begun by `_on_begin`, not by the driver's guesses.
        connection.isolation_level = None
        if not read_only:
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: sa.Connection) -> None:
        # IMMEDIATE: a transaction that read first and then cannot get the lock would have to fail.
        writes = connection.get_execution_options().get(_WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _create_file(path: Path) -> None:
    """Make the database's file for the owner alone; SQLite gives its side files the same mode."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
