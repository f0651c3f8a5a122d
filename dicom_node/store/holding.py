"""One node at a time on a ledger in PostgreSQL, whatever machines its copies are on.

A session of its own holds a lock of the server for as long as the process lives: it goes with the
process and with the machine, so no crash leaves it behind. When the server goes, so does the lock;
the node works on and takes it again as soon as the server is back. Only if another node was faster,
it has to end.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import threading
import time
import uuid
from typing import TYPE_CHECKING, Final, Self

import sqlalchemy as sa
import structlog

from dicom_node.domain.errors import CapacityError, ConfigurationError
from dicom_node.store.database import errors_mapped

if TYPE_CHECKING:
    from types import TracebackType

    from dicom_node.store.database import Database

__all__ = ["FREE_WITHIN_S", "LOOK_EVERY_S", "TAKEN_AFTER_S", "Hold"]

FREE_WITHIN_S: Final = 45.0
"""How long a start waits for the lock. Of a machine that lost power, or its network, the server
does not know before `_MISSED_AFTER` that it is gone."""

LOOK_EVERY_S: Final = 10.0
"""How often a running node looks whether the lock is still its own."""

TAKEN_AFTER_S: Final = 60.0
"""Another node that holds the lock for so long has taken the ledger over."""

_ASK_EVERY_S: Final = 0.2

_ENDS_WITHIN_S: Final = 1.0

_MISSED_AFTER: Final = (
    "SET tcp_keepalives_idle = 10",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 3",
)
"""Said to the server of this connection: after 25 s of silence it is over, not after two hours."""

_TAKE: Final = sa.text("SELECT pg_try_advisory_lock(:key)")
_LOOK: Final = sa.text("SELECT 1")
_HOLDER: Final = sa.text(
    "SELECT coalesce(a.application_name, ''), coalesce(host(a.client_addr), 'its own machine'), "
    "a.pid FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid "
    "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND a.datname = "
    "current_database() AND (l.classid::bigint << 32) | l.objid::bigint = :key"
)

_log = structlog.get_logger(__name__)


class Hold:
    """The lock of a server's database; for SQLite nothing, as the data folder has a lock.

    Args:
        database: Of the ledger.
        stop: Ends waiting for the lock, and is set when another node took the ledger over.
        look_every_s: How often a running node looks.
        taken_after_s: Another node that holds the lock for so long has taken over.
    """

    def __init__(
        self,
        database: Database,
        *,
        stop: threading.Event,
        look_every_s: float = LOOK_EVERY_S,
        taken_after_s: float = TAKEN_AFTER_S,
    ) -> None:
        self._database = database
        self._stop = stop
        self._look_every_s = look_every_s
        self._taken_after_s = taken_after_s
        # Names may be 63 bytes long. The last part keeps two of one machine apart.
        self._name = f"dicom-node {socket.gethostname()[:30]} {os.getpid()} {uuid.uuid4().hex[:8]}"
        self._key: int | None = None
        self._session: sa.Connection | None = None
        self._held = False  # by that session, which may be over meanwhile
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._look_after, name="holding", daemon=True)
        self._lost = False

    @property
    def lost(self) -> bool:
        """Whether another node took the ledger over."""
        return self._lost

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        if self._watch.is_alive():
            self._watch.join(_ENDS_WITHIN_S)
        if not self._watch.is_alive():
            self._let_go()
        # Else it waits for an answer of the server; the session ends with the process.

    def take(self, folder: str, *, within_s: float = FREE_WITHIN_S) -> None:
        """Take the lock of a data folder; nothing, if it was taken.

        Args:
            folder: Id of the folder, 32 hexadecimal digits or any other text.
            within_s: How long to wait for a node that may be gone.

        Raises:
            ConfigurationError: Another node is running on the ledger.
            CapacityError: The server does not answer.
        """
        if self._database.is_sqlite or self._key is not None:
            return
        key, until, told = _key_of(folder), time.monotonic() + within_s, False
        while not self._try(key):
            holder = self._holder(key)
            if time.monotonic() >= until or self._stop.is_set():
                raise ConfigurationError(
                    f"database_url: another node is running on {self._database.name} "
                    f"({holder}): stop it, or give this one a database and a data folder of its own"
                )
            if not told and holder:
                told = True
                _log.warning("another node holds the ledger: waiting for its end", holder=holder)
            self._stop.wait(_ASK_EVERY_S)
        self._key = key
        self._watch.start()

    def look(self) -> bool:
        """Whether the lock is ours; if it went with the server's end, it is taken again.

        Raises:
            CapacityError: The server does not answer.
        """
        if self._key is None:
            return True
        try:
            if self._held and self._session is not None:
                with errors_mapped():
                    self._session.execute(_LOOK)
                return True
        except CapacityError:
            self._let_go()
        return self._try(self._key)

    def _try(self, key: int) -> bool:
        try:
            with errors_mapped():
                if self._session is None:
                    self._session = self._database.session()
                    for setting in _MISSED_AFTER:
                        self._session.exec_driver_sql(setting)
                    self._session.execute(
                        sa.select(sa.func.set_config("application_name", self._name, False))
                    )
                self._held = bool(self._session.execute(_TAKE, {"key": key}).scalar())
                return self._held
        except CapacityError:
            self._let_go()
            raise

    def _holder(self, key: int) -> str:
        """Who has the lock, for people; empty when nobody has it any more."""
        with errors_mapped():
            assert self._session is not None
            row = self._session.execute(_HOLDER, {"key": key}).first()
        if row is None:
            return ""
        return f"{row[0] or 'a session'} from {row[1]}, process {row[2]} of the server"

    def _let_go(self) -> None:
        session, self._session, self._held = self._session, None, False
        if session is not None:
            with contextlib.suppress(sa.exc.SQLAlchemyError):
                session.invalidate()
            with contextlib.suppress(sa.exc.SQLAlchemyError):
                session.close()

    def _look_after(self) -> None:
        since: float | None = None
        while not self._ended.wait(self._look_every_s):
            try:
                if self.look():
                    since = None
                    continue
                holder = self._holder(self._key or 0)
            except CapacityError:  # others tell of it, and nobody else holds it either
                since = None
                continue
            if not holder or self._name in holder:  # an old session of ours, soon missed
                continue
            since = time.monotonic() if since is None else since
            if time.monotonic() - since >= self._taken_after_s:
                _log.error("another node took the ledger over: this one ends", holder=holder)
                self._lost = True
                self._stop.set()
                return


def _key_of(folder: str) -> int:
    """PostgreSQL's locks are named by 64 bits with a sign; a node has its own of the folder."""
    digest = hashlib.sha256(folder.encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
