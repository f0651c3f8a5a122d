"""Every kind of mismatch between rows and files is found, and nothing is changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dicom_node.store.ledger import open_ledger
from dicom_node.store.spool import FileSpool
from dicom_node.verifying import Kind, Report, verify
from tests.backup.conftest import Store, everything, files
from tests.fakes.database import fresh_ledger


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "sqlite":
        made, ledger = (
            Store(tmp_path, f"sqlite:///{tmp_path / 'ledger.db'}"),
            fresh_ledger(tmp_path),
        )
    else:
        url = request.getfixturevalue("postgresql").fresh("verifying")
        made, ledger = Store(tmp_path, url), open_ledger(url)
    with closing(ledger):
        made.fill(ledger, range(4))
    yield made


def look(store: Store, **options: Any) -> Report:
    return verify(store.url, store.root, running=False, **options)


def plant(store: Store, *statements: str) -> None:
    """Change rows in a way the ledger would refuse."""
    if store.url.startswith("sqlite"):
        with closing(sqlite3.connect(store.folder / "ledger.db", isolation_level=None)) as it:
            for statement in statements:
                it.execute(statement)
        return
    import psycopg

    with psycopg.connect(store.url.replace("+psycopg", ""), autocommit=True) as it:
        it.execute("SET session_replication_role = replica")  # foreign keys are not looked at
        for statement in statements:
            it.execute(statement)


def first(store: Store) -> Path:
    return sorted(store.root.rglob("*.dcm"))[0]


def found(report: Report) -> set[tuple[Kind, str]]:
    return {(each.kind, each.where) for each in report.findings}


def test_a_store_that_is_whole_has_no_finding(store: Store) -> None:
    report = look(store)
    assert report.findings == ()
    assert report.files == 12
    assert report.files_bytes == sum(len(data) for data in files(store.root).values())
    tables = everything(store.url)
    del tables["alembic_version"]
    assert report.rows == sum(map(len, tables.values()))


def name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def test_a_missing_file_is_found(store: Store) -> None:
    path = first(store)
    path.unlink()
    assert found(look(store)) == {(Kind.MISSING_FILE, name(path))}


@pytest.mark.parametrize(
    "where",
    [
        f"ab/ab{'0' * 62}.dcm",
        f"cd/ab{'0' * 62}.dcm",
        "notes.txt",
        f"ab/{'0' * 32}.tmp",
        "ab/.hidden",
    ],
)
def test_an_extra_file_is_found_wherever_it_lies(store: Store, where: str) -> None:
    (store.root / where).parent.mkdir(exist_ok=True)
    (store.root / where).write_text("extra")
    assert found(look(store)) == {(Kind.EXTRA_FILE, where)}


def test_a_link_is_no_file(store: Store, tmp_path: Path) -> None:
    path = first(store)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert (Kind.EXTRA_FILE, name(path)) in found(look(store))


def test_a_flipped_bit_is_found(store: Store) -> None:
    path = first(store)
    data = bytearray(path.read_bytes())
    data[3] ^= 1
    path.write_bytes(data)
    assert found(look(store)) == {(Kind.WRONG_DIGEST, name(path))}


def test_a_file_that_was_cut_has_the_wrong_size_and_digest(store: Store) -> None:
    path = first(store)
    path.write_bytes(path.read_bytes()[:-1])
    assert found(look(store)) == {(Kind.WRONG_DIGEST, name(path)), (Kind.WRONG_SIZE, name(path))}


def test_a_row_with_the_wrong_size_is_found(store: Store) -> None:
    plant(store, "UPDATE images SET size_bytes = 7 WHERE id = 2")
    assert {kind for kind, _ in found(look(store))} == {Kind.WRONG_SIZE}


def test_a_file_whose_row_says_it_was_let_go_is_extra(store: Store) -> None:
    plant(store, "UPDATE images SET file_removed_at = 1 WHERE id = 2")
    assert {kind for kind, _ in found(look(store))} == {Kind.EXTRA_FILE}


BROKEN = {
    "an image its job needs": ("DELETE FROM images WHERE id = 2", "jobs/2"),
    "a job": ("DELETE FROM jobs WHERE id = 2", "deliveries/2"),
    "a job of derived rows": ("DELETE FROM jobs WHERE id = 2", "derived/3"),
    "a view that is to be sent": ("DELETE FROM derived WHERE id = 3", "sends/2/3"),
    "a delivery": ("DELETE FROM deliveries WHERE id = 2", "sends/2/3"),
    "a view of another job": (
        "UPDATE sends SET derived_id = 1 WHERE delivery_id = 2 AND derived_id = 3",
        "sends/2/1",
    ),
    "an event of another image": ("UPDATE events SET image_id = 1 WHERE job_id = 2", "events/"),
    "a job that is not done with views": (
        "UPDATE jobs SET state = 'queued' WHERE id = 2",
        "jobs/2",
    ),
    "a commitment of no delivery": (
        "INSERT INTO commitments (id, transaction_uid, delivery_id, asked_at, answer_by) "
        "VALUES (9, '1.2', 77, 1, 2)",
        "commitments/9",
    ),
    "a commitment item of no view": (
        "INSERT INTO commitment_items (commitment_id, derived_id) VALUES (9, 1)",
        "commitment_items/9/1",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_reference_is_found(store: Store, case: str) -> None:
    statement, where = BROKEN[case]
    plant(store, statement)
    broken = [place for kind, place in found(look(store)) if kind is Kind.BROKEN_REFERENCE]
    assert any(place.startswith(where) for place in broken), broken


INCOMPLETE = {
    "jobs/2": "DELETE FROM derived WHERE job_id = 2",
    "deliveries/2": "DELETE FROM sends WHERE delivery_id = 2 AND derived_id = 4",
    "deliveries/3": "DELETE FROM sends WHERE delivery_id = 3",
}


@pytest.mark.parametrize("where", INCOMPLETE)
def test_rows_that_lack_what_belongs_to_them_are_found(store: Store, where: str) -> None:
    plant(store, INCOMPLETE[where])
    assert (Kind.INCOMPLETE, where) in found(look(store))


def test_a_view_whose_file_went_before_it_was_sent_is_found(store: Store) -> None:
    plant(store, "UPDATE derived SET file_removed_at = 1 WHERE id = 3")
    assert (Kind.REMOVED_TOO_EARLY, "derived/3") in found(look(store))


def test_a_source_whose_file_went_before_its_job_was_done_is_found(store: Store) -> None:
    plant(
        store,
        "UPDATE images SET file_removed_at = 1 WHERE id = 3",
        "UPDATE jobs SET state = 'queued' WHERE id = 3",
    )
    assert (Kind.REMOVED_TOO_EARLY, "images/3") in found(look(store))


def test_a_damaged_database_is_found(tmp_path: Path) -> None:
    store = Store(tmp_path, f"sqlite:///{tmp_path / 'ledger.db'}")
    with closing(fresh_ledger(tmp_path)) as ledger:
        store.fill(ledger, range(4))
    path = tmp_path / "ledger.db"
    with closing(sqlite3.connect(path)) as it:
        it.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = it.execute("SELECT rootpage FROM sqlite_master WHERE name='images'").fetchone()
        (size,) = it.execute("PRAGMA page_size").fetchone()
    data = bytearray(path.read_bytes())
    data[(root - 1) * size : (root - 1) * size + 64] = b"\xff" * 64
    path.write_bytes(data)
    assert Kind.DAMAGED_LEDGER in {kind for kind, _ in found(look(store))}


def test_nothing_is_changed_by_looking(store: Store) -> None:
    first(store).unlink()
    (store.root / "notes.txt").write_text("extra")
    plant(store, "DELETE FROM sends WHERE delivery_id = 3")
    before = everything(store.url), _stamps(store.root)
    assert len(look(store).findings) >= 3
    assert (everything(store.url), _stamps(store.root)) == before


def _stamps(root: Path) -> dict[str, tuple[int, int, bytes]]:
    return {
        str(path): (path.stat().st_mtime_ns, path.stat().st_ino, path.read_bytes())
        for path in root.rglob("*")
        if path.is_file()
    }


class Time:
    """A clock that goes on when somebody sleeps, and then something may happen."""

    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        self.now, self._then = 0.0, then

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self._then()


def test_a_file_whose_row_comes_while_a_node_runs_is_no_finding(store: Store) -> None:
    spool = FileSpool(store.root)
    spool.remove(next(each for each in spool.digests() if b"image 1" in spool.read(each)))
    plant(store, "UPDATE images SET file_removed_at = 1 WHERE id = 2")
    new = spool.put(b"received just now")
    values = f"digest = '{new.digest}', size_bytes = {new.size_bytes}, file_removed_at = NULL"
    insert = f"UPDATE images SET {values} WHERE id = 2"
    time = Time(then=lambda: plant(store, insert))
    report = verify(store.url, store.root, running=True, clock=time, sleep=time.sleep)
    assert report.findings == ()
    assert 0 < time.now < 2


def test_a_file_whose_row_never_comes_is_extra_while_a_node_runs_too(store: Store) -> None:
    FileSpool(store.root).put(b"nobody's")
    time = Time()
    report = verify(store.url, store.root, running=True, clock=time, sleep=time.sleep)
    assert {kind for kind, _ in found(report)} == {Kind.EXTRA_FILE}
    assert time.now >= 30
