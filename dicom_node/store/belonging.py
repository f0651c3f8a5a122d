"""Which data folder a ledger belongs to, so that no two nodes mix their rows and files.

The folder has an id in a file, which goes wherever the folder goes; the ledger has it in a row that
is in no backup: what is restored belongs to the folder whose node is started on it first.
"""

from __future__ import annotations

import contextlib
import os
import socket
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from dicom_node.domain.errors import CapacityError, ConfigurationError
from dicom_node.store.database import Database, insert_new, parse_url
from dicom_node.store.holding import Hold
from dicom_node.store.migrating import migrate, one_at_a_time
from dicom_node.store.schema import data_folder, images
from dicom_node.store.spool import sync_folder

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

__all__ = ["FOLDER_FILE", "require_own", "sole_ledger"]

FOLDER_FILE: Final = "folder.id"
"""In data_dir: the id of the folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Owner:
    """Of a ledger.

    Attributes:
        folder: Id of a data folder.
        place: Where that was when a node was last started on it.
    """

    folder: str
    place: str


@contextlib.contextmanager
def sole_ledger(
    url: str, data_dir: Path, spool_root: Path, *, stop: threading.Event
) -> Iterator[Hold]:
    """Own the ledger at a URL while inside: for the node that owns the data folder.

    Its tables are brought up to date, once it is known to be ours.

    Args:
        url: Of the ledger, which is made when it is not there.
        data_dir: The data folder, owned by this process.
        spool_root: Folder of the spool.
        stop: Ends the waiting for a node that may be gone. It is set when another one took the
            ledger over, while this one could not reach it.

    Raises:
        ConfigurationError: The ledger belongs to another data folder or is of a newer version,
            another node is running on it, or it is empty and the data folder is not.
        CapacityError: The database does not answer, or the disk is full.
    """
    with contextlib.closing(Database(url)) as database, Hold(database, stop=stop) as hold:
        ours = _read(data_dir / FOLDER_FILE)
        with one_at_a_time(database):
            owner = _owner(database)
        if owner is not None:
            _require_ours(database, owner, ours, data_dir)
            hold.take(ours)
        migrate(database)
        if owner is None and ours:
            _require_no_loss(database, data_dir, spool_root)
        ours = ours or _name(data_dir)
        us = _Owner(folder=ours, place=_place(data_dir))
        if owner != us:
            _require_ours(database, _bind(database, us), ours, data_dir)
        hold.take(ours)
        yield hold


def require_own(url: str, data_dir: Path) -> None:
    """Nothing, when the ledger at a URL belongs to the data folder, or to none, or is not there.

    For commands that look at both, beside a node that may be running.

    Raises:
        ConfigurationError: It belongs to another one.
        CapacityError: The database does not answer.
    """
    where = parse_url(url)
    if where.get_backend_name() == "sqlite" and not Path(where.database or "").is_file():
        return
    with contextlib.closing(Database(url, read_only=True)) as database:
        owner = _owner(database)
        if owner is not None:
            _require_ours(database, owner, _read(data_dir / FOLDER_FILE), data_dir)


def _owner(database: Database) -> _Owner | None:
    with database.read() as connection:
        if not sa.inspect(connection).has_table(data_folder.name):
            return None
        return _found(connection)


def _found(connection: sa.Connection) -> _Owner | None:
    row = connection.execute(sa.select(data_folder.c.folder, data_folder.c.place)).first()
    return None if row is None else _Owner(folder=row.folder, place=row.place)


def _bind(database: Database, us: _Owner) -> _Owner:
    """Who owns the ledger: we, if nobody does."""
    with database.write() as connection:
        row = {"one": 1, "folder": us.folder, "place": us.place}
        connection.execute(insert_new(connection, data_folder).values(row))
        connection.execute(
            sa.update(data_folder)
            .where(data_folder.c.folder == us.folder, data_folder.c.place != us.place)
            .values(place=us.place)
        )
        return _found(connection) or us


def _require_ours(database: Database, owner: _Owner, ours: str, data_dir: Path) -> None:
    if owner.folder == ours:
        return
    raise ConfigurationError(
        f"database_url: {database.name} is the ledger of another data folder, {owner.place}: two "
        f"nodes on one ledger would mix their files. Give the node of {data_dir} a database of its "
        "own, or start it on the folder that belongs to this ledger; if that folder is gone, "
        "restore a backup into an empty folder and an empty database. If this is that folder and "
        f"only its file {FOLDER_FILE} is not, write {owner.folder} into it"
    )


def _require_no_loss(database: Database, data_dir: Path, spool_root: Path) -> None:
    """A folder that had a ledger has none now. Its files would be removed as nobody's."""
    if not any(spool_root.glob("[0-9a-f][0-9a-f]/*.dcm")):
        return
    with database.read() as connection:
        if connection.execute(sa.select(images.c.id).limit(1)).first() is not None:
            return
    raise ConfigurationError(
        f"database_url: {database.name} is an empty ledger, but {spool_root} holds images of "
        f"another one, which nobody would know any more. Give the node of {data_dir} the database "
        "it had, or restore a backup into an empty folder and an empty database; to begin anew all "
        "the same, move that folder away"
    )


def _place(data_dir: Path) -> str:
    return f"{data_dir.absolute()} on {socket.gethostname()}"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise ConfigurationError(
            f"node.data_dir: {path} cannot be read: {error.strerror}"
        ) from error


def _name(data_dir: Path) -> str:
    """Give the folder an id. It is on disk before the ledger knows it."""
    folder = uuid.uuid4().hex
    path = data_dir / FOLDER_FILE
    temporary = path.with_suffix(".new")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{folder}\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(data_dir)
    except OSError as error:
        raise CapacityError(
            f"node.data_dir: {data_dir} cannot be written: {error.strerror}"
        ) from error
    return folder
