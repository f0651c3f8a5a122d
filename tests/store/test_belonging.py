"""A ledger belongs to one data folder, and one node at a time runs on it."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from dicom_node.domain.errors import CapacityError, ConfigurationError
from dicom_node.store import belonging
from dicom_node.store.belonging import FOLDER_FILE, sole_ledger
from dicom_node.store.database import Database
from dicom_node.store.holding import Hold
from dicom_node.store.ledger import open_ledger
from dicom_node.store.spool import FileSpool
from tests.fakes import rows
from tests.fakes.postgresql import PASSWORD
from tests.store.test_migrations import first_release

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fakes.postgresql import Cluster

FOLDER = "0123456789abcdef" * 2


def start(url: str, folder: Path) -> None:
    """As a node starts on a data folder, and ends."""
    folder.mkdir(exist_ok=True)
    with sole_ledger(url, folder, folder / "spool", stop=threading.Event()):
        pass


def owner(url: str) -> list[tuple[str, str]]:
    with contextlib.closing(Database(url)) as database, database.read() as connection:
        found = connection.exec_driver_sql("SELECT folder, place FROM data_folder")
        return [(row.folder, row.place) for row in found]


def test_a_node_starts_on_its_own_ledger_again_and_again(url: str, tmp_path: Path) -> None:
    for _ in range(3):
        start(url, tmp_path / "a")
    ((folder, place),) = owner(url)
    assert (tmp_path / "a" / FOLDER_FILE).read_text() == f"{folder}\n"
    assert place.startswith(f"{tmp_path / 'a'} on ")


def test_two_data_folders_on_one_ledger_are_refused(url: str, tmp_path: Path) -> None:
    start(url, tmp_path / "a")
    before = owner(url)
    for _ in range(2):
        with pytest.raises(ConfigurationError) as told:
            start(url, tmp_path / "b")
        message = str(told.value)
        assert message.startswith("database_url: ")
        assert str(tmp_path / "a") in message
        assert str(tmp_path / "b") in message
        assert "a database of its own" in message
        assert PASSWORD not in message
    assert owner(url) == before
    start(url, tmp_path / "a")


def test_of_two_new_nodes_that_start_at_once_on_one_ledger_one_gets_it(
    url: str, tmp_path: Path
) -> None:
    def try_to_start(name: str) -> bool:
        try:
            start(url, tmp_path / name)
        except ConfigurationError:
            return False
        return True

    names = [f"node{number}" for number in range(6)]
    with ThreadPoolExecutor(len(names)) as pool:
        started = list(pool.map(try_to_start, names))
    assert started.count(True) == 1
    start(url, tmp_path / names[started.index(True)])


def test_a_folder_that_was_moved_keeps_its_ledger(url: str, tmp_path: Path) -> None:
    start(url, tmp_path / "a")
    moved = (tmp_path / "a").rename(tmp_path / "elsewhere")
    start(url, moved)
    ((_, place),) = owner(url)
    assert place.startswith(f"{moved} on ")


def test_a_folder_that_was_put_together_anew_gets_its_ledger_by_the_id(
    url: str, tmp_path: Path
) -> None:
    start(url, tmp_path / "a")
    (tmp_path / "a" / FOLDER_FILE).unlink()
    with pytest.raises(ConfigurationError, match=r"write [0-9a-f]{32} into") as told:
        start(url, tmp_path / "a")
    ((folder, _),) = owner(url)
    assert folder in str(told.value)
    (tmp_path / "a" / FOLDER_FILE).write_text(f"{folder}\n")
    start(url, tmp_path / "a")


def test_a_ledger_of_the_first_release_belongs_to_the_folder_of_its_node(
    url: str, tmp_path: Path
) -> None:
    first_release(url)
    FileSpool(tmp_path / "a" / "spool").put(b"an image of that ledger")
    start(url, tmp_path / "a")
    with contextlib.closing(open_ledger(url)) as ledger:
        assert len(ledger.images()) == 3
    with pytest.raises(ConfigurationError, match="another data folder"):
        start(url, tmp_path / "b")


@pytest.mark.parametrize("release", ["none", "first"])
def test_a_crash_between_the_id_of_the_folder_and_the_row_is_made_good(
    url: str, tmp_path: Path, release: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if release == "first":
        first_release(url)
        FileSpool(tmp_path / "a" / "spool").put(b"an image of that ledger")

    def crash(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(belonging, "_bind", crash)
        with pytest.raises(KeyboardInterrupt):
            start(url, tmp_path / "a")
    assert owner(url) == []
    name = (tmp_path / "a" / FOLDER_FILE).read_text()
    start(url, tmp_path / "a")
    assert [folder for folder, _ in owner(url)] == [name.strip()]


def test_an_empty_ledger_does_not_take_a_folder_that_had_another_one(
    url: str, tmp_path: Path
) -> None:
    """After an hour every image in it would be collected as nobody's."""
    folder = tmp_path / "a"
    start(f"sqlite:///{tmp_path / 'the right one.db'}", folder)
    digest = FileSpool(folder / "spool").put(b"an image of that ledger").digest
    with pytest.raises(ConfigurationError, match=r"is an empty ledger, but .*spool holds"):
        start(url, folder)
    assert FileSpool(folder / "spool").path(digest).exists()
    start(f"sqlite:///{tmp_path / 'the right one.db'}", folder)
    (folder / "spool").rename(folder / "spool of before")
    start(url, folder)


def test_a_folder_whose_spool_is_empty_may_get_another_ledger(url: str, tmp_path: Path) -> None:
    start(f"sqlite:///{tmp_path / 'a first try.db'}", tmp_path / "a")
    start(url, tmp_path / "a")


def test_an_older_backup_of_the_database_goes_on_with_its_folder(url: str, tmp_path: Path) -> None:
    """One that was taken before the folder was written down, by the database's own means."""
    start(url, tmp_path / "a")
    FileSpool(tmp_path / "a" / "spool").put(b"an image")
    with contextlib.closing(open_ledger(url)) as ledger:
        ledger.record_image(rows.image(1), 10.0)
    with contextlib.closing(Database(url)) as database, database.write() as connection:
        connection.exec_driver_sql("DELETE FROM data_folder")
    start(url, tmp_path / "a")
    assert len(owner(url)) == 1


def test_a_disk_that_is_full_is_told_of_and_the_next_start_works(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(belonging, "sync_folder", full)
        with pytest.raises(CapacityError, match="No space left"):
            start(url, tmp_path / "a")
    start(url, tmp_path / "a")


# What follows is PostgreSQL's alone: a ledger in SQLite lies on the machine of its node, whose data
# folder has a lock.


@pytest.fixture
def server_url(postgresql: Cluster) -> str:
    return postgresql.fresh("held")


@contextlib.contextmanager
def held(
    url: str, *, stop: threading.Event | None = None, within_s: float = 5.0, **more: float
) -> Iterator[Hold]:
    with (
        contextlib.closing(Database(url)) as database,
        Hold(database, stop=stop or threading.Event(), **more) as hold,
    ):
        hold.take(FOLDER, within_s=within_s)
        yield hold


def cut_holder(url: str) -> int:
    """What a server does to a session it has lost; how many there were."""
    cut = sa.text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted) "
        "AND datname = current_database()"
    )
    with contextlib.closing(Database(url)) as database, database.read() as connection:
        return len(connection.execute(cut).all())


def eventually(what: object, within_s: float = 10.0) -> None:
    assert callable(what)
    until = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_copy_of_the_data_folder_does_not_run_beside_the_original(server_url: str) -> None:
    with (
        held(server_url),
        pytest.raises(ConfigurationError, match="another node is running on the database held"),
        held(server_url, within_s=0.5),
    ):
        pass
    with held(server_url, within_s=0.5):
        pass


def test_two_ledgers_in_one_database_do_not_meet(server_url: str) -> None:
    """As those of two schemas."""
    with contextlib.closing(Database(server_url)) as database, held(server_url):
        other = Hold(database, stop=threading.Event())
        with other:
            other.take("f" * 32, within_s=0.5)


HOLDER = """
import sys, threading, time
from dicom_node.store.database import Database
from dicom_node.store.holding import Hold
Hold(Database(sys.argv[1]), stop=threading.Event()).take(sys.argv[2])
print("held", flush=True)
time.sleep(60)
"""


def test_a_node_that_was_killed_holds_nothing(server_url: str) -> None:
    command = [sys.executable, "-c", HOLDER, server_url, FOLDER]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        process.send_signal(signal.SIGKILL)
        began = time.monotonic()
        with held(server_url):
            assert time.monotonic() - began < 3


def test_a_start_waits_for_a_node_that_the_server_has_not_missed_yet(server_url: str) -> None:
    """Its machine lost power: the session is there until the server has had no answer for a while.
    The server is told to have a short one.
    """
    with held(server_url):
        threading.Timer(1.0, cut_holder, (server_url,)).start()
        with held(server_url, within_s=10.0):
            pass


def test_the_server_is_told_to_miss_a_silent_machine_within_half_a_minute(server_url: str) -> None:
    with held(server_url) as hold:
        assert hold._session is not None
        told = {
            name: int(hold._session.exec_driver_sql(f"SHOW tcp_keepalives_{name}").scalar() or 0)
            for name in ("idle", "interval", "count")
        }
    assert told["idle"] + told["interval"] * told["count"] <= 30


def test_a_stop_while_a_start_waits_ends_it(server_url: str) -> None:
    stop = threading.Event()
    with held(server_url):
        threading.Timer(0.3, stop.set).start()
        began = time.monotonic()
        with pytest.raises(ConfigurationError), held(server_url, stop=stop, within_s=60.0):
            pass
        assert time.monotonic() - began < 5


def test_a_server_that_restarts_or_drops_the_session_does_not_end_the_node(
    postgresql: Cluster, server_url: str
) -> None:
    stop = threading.Event()
    with held(server_url, stop=stop, look_every_s=0.05, taken_after_s=0.2) as hold:
        assert cut_holder(server_url) == 1
        eventually(lambda: cut_holder(server_url) == 1)
        postgresql.stop()
        time.sleep(0.5)
        postgresql.start()

        def taken_again() -> bool:
            with contextlib.suppress(ConfigurationError), held(server_url, within_s=0.0):
                return False
            return True

        eventually(taken_again)
        assert not stop.is_set()
        assert not hold.lost


def test_a_node_that_finds_its_ledger_taken_over_ends(server_url: str) -> None:
    stop = threading.Event()
    with held(server_url, stop=stop, look_every_s=2.0, taken_after_s=0.5) as first:
        # Away for so long that another one could start, on a copy of the folder.
        threading.Timer(0.5, cut_holder, (server_url,)).start()
        with held(server_url, within_s=10.0, look_every_s=60.0) as second:
            assert stop.wait(10)
            assert first.lost
            assert not second.lost
            assert second.look()


def test_an_old_session_of_its_own_does_not_end_a_node(server_url: str) -> None:
    """The network ate the end of a session, so that the server still has it."""
    stop = threading.Event()
    with held(server_url, stop=stop, look_every_s=0.1, taken_after_s=0.3) as hold:
        old, hold._session = hold._session, None
        time.sleep(1.0)
        assert not stop.is_set()
        assert old is not None
        old.invalidate()
        old.close()
        eventually(hold.look)
    assert not hold.lost
