"""What only a real database can show: durability, migrations, two processes, many threads."""

from __future__ import annotations

import re
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import dicom_node.store.migrations
from dicom_node.domain.errors import CapacityError, ConfigurationError, IntegrityError
from dicom_node.domain.jobs import JobState
from dicom_node.ports import Receipt
from dicom_node.store import schema
from dicom_node.store.database import Database, parse_url
from dicom_node.store.ledger import SqlLedger, open_ledger, read_ledger
from dicom_node.store.migrating import migrate
from tests.fakes import rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fakes.postgresql import Cluster


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def sqlite_url(path: Path) -> str:
    return f"sqlite:///{path}"


def in_threads(count: int, work: Callable[[int], object]) -> list[object]:
    """Run work(0..count-1) in threads that start together; their results."""
    barrier = threading.Barrier(count)

    def run(index: int) -> object:
        barrier.wait()
        return work(index)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def test_of_many_threads_that_bring_one_image_one_is_told_it_is_new(url: str) -> None:
    ledger = open_ledger(url)
    for number in range(5):
        receipts = in_threads(8, lambda _, n=number: ledger.record_image(rows.image(n), 1.0))
        assert Counter(receipts) == {Receipt.NEW: 1, Receipt.DUPLICATE: 7}
    assert len(ledger.images()) == 5
    ledger.close()


def test_of_many_contents_under_one_uid_one_is_believed(url: str) -> None:
    ledger = open_ledger(url)
    receipts = in_threads(8, lambda i: ledger.record_image(rows.image(1, content=str(i)), 1.0))
    assert Counter(receipts) == {Receipt.NEW: 1, Receipt.CONFLICT: 7}
    assert len(ledger.unplanned(100)) == 1
    assert len(ledger.images()) == 8
    ledger.close()


def test_every_job_is_leased_exactly_once_however_many_workers_ask(url: str) -> None:
    ledger, other = open_ledger(url), open_ledger(url)
    for number in range(40):
        rows.queue(ledger, number, 1.0)

    def work(index: int) -> list[str]:
        mine = ledger if index % 2 else other  # two nodes on one ledger, four threads each
        taken = []
        while (job := mine.lease_job(2.0, 60.0)) is not None:
            taken.append(job.key)
        return taken

    taken = Counter(key for keys in in_threads(8, work) for key in keys)  # type: ignore[attr-defined]
    assert len(taken) == 40
    assert set(taken.values()) == {1}
    ledger.close()
    other.close()


def test_every_delivery_is_leased_exactly_once_however_many_senders_ask(url: str) -> None:
    ledger = open_ledger(url)
    for number in range(20):
        rows.queue(ledger, number, 1.0)
        rows.finish(ledger, 1.0)

    def work(_: int) -> list[int]:
        taken = []
        while (delivery := ledger.lease_delivery("pacs", 2.0, 60.0)) is not None:
            taken.append(delivery.id)
        return taken

    taken = [number for numbers in in_threads(8, work) for number in numbers]  # type: ignore[attr-defined]
    assert len(taken) == len(set(taken)) == 20
    ledger.close()


def test_one_finish_of_many_at_once_publishes(url: str) -> None:
    ledger = open_ledger(url)
    rows.queue(ledger, 1, 1.0)
    job = ledger.lease_job(2.0, 60.0)
    assert job is not None

    def work(index: int) -> bool:
        try:
            ledger.finish_job(job, rows.products(job, str(index)), 3.0)
        except IntegrityError:
            return False
        return True

    assert sum(map(bool, in_threads(8, work))) == 1
    (row,) = ledger.jobs()
    assert len(row.deliveries) == 1
    assert row.deliveries[0].instances == 2
    ledger.close()


def test_sixty_four_associations_may_write_at_once(sqlite_url: str) -> None:
    ledger = open_ledger(sqlite_url)
    in_threads(64, lambda i: ledger.record_image(rows.image(i), 1.0))
    assert len(ledger.images()) == 64
    ledger.close()


def test_the_tables_the_migrations_make_are_the_tables_the_code_speaks_of(url: str) -> None:
    open_ledger(url).close()
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.METADATA) == []
    engine.dispose()


def definitions(sql: str) -> list[str]:
    """What stands between the commas of a CREATE statement, those in brackets left alone."""
    _, _, body = sql.partition("(")
    found, depth = [""], 0
    for letter in body.rstrip().removesuffix(")"):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            found.append("")
        else:
            found[-1] += letter
    parts = [" ".join(each.split()) for each in found]
    return [each for part in parts for each in _told_apart(part)]


def _told_apart(part: str) -> list[str]:
    """A column that was added with its foreign key, as two: so are those of new tables."""
    added = re.fullmatch(r"(\w+) (\w+) CONSTRAINT (\w+) REFERENCES (\w+) \((\w+)\)", part)
    if added is None:
        return [part]
    name, kind, key, table, column = added.groups()
    reference = f"CONSTRAINT {key} FOREIGN KEY({name}) REFERENCES {table} ({column})"
    return [f"{name} {kind}", reference]


def test_the_migrations_make_every_constraint_of_the_code(path: Path, sqlite_url: str) -> None:
    """Alembic's comparison passes over CHECK constraints, so the text of the tables is compared."""
    open_ledger(sqlite_url).close()
    direct = path.with_name("direct.db")
    schema.METADATA.create_all(sa.create_engine(f"sqlite:///{direct}"))

    def tables(file: Path) -> dict[str, list[str]]:
        connection = sqlite3.connect(file)
        found = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
        # The order of columns and constraints is free.
        return {
            name: sorted(definitions(sql))
            for name, sql in found
            if not name.startswith(("alembic", "sqlite"))
        }

    assert tables(path) == tables(direct)


def test_the_code_speaks_the_newest_migration() -> None:
    config = Config()
    folder = Path(dicom_node.store.migrations.__file__).parent
    config.set_main_option("script_location", str(folder))
    assert ScriptDirectory.from_config(config).get_heads() == [schema.REVISION]


def test_several_nodes_that_start_at_once_make_one_set_of_tables(url: str) -> None:
    ledgers = in_threads(6, lambda _: open_ledger(url))
    for ledger in ledgers:
        assert isinstance(ledger, SqlLedger)
        ledger.close()
    ledger = open_ledger(url)
    assert ledger.record_image(rows.image(1), 1.0) is Receipt.NEW
    ledger.close()


def test_several_processes_that_start_at_once_make_one_set_of_tables(sqlite_url: str) -> None:
    code = "import sys; from dicom_node.store.ledger import open_ledger; open_ledger(sys.argv[1])"
    started = [
        subprocess.Popen([sys.executable, "-c", code, sqlite_url], stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    for process in started:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors.decode()


def test_tables_that_are_up_to_date_need_no_alembic(sqlite_url: str) -> None:
    open_ledger(sqlite_url).close()
    code = (
        "import sys; from dicom_node.store.ledger import open_ledger; open_ledger(sys.argv[1]);"
        "sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, sqlite_url], check=False).returncode == 0


def test_a_ledger_of_a_newer_version_is_refused_and_left_alone(path: Path, sqlite_url: str) -> None:
    open_ledger(sqlite_url).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    for attempt in (open_ledger, read_ledger):
        with pytest.raises(ConfigurationError, match="9999"):
            attempt(sqlite_url)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("9999",)


def test_a_migration_that_fails_leaves_nothing(
    path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alembic import op

    real, made = op.create_table, []

    def fail_on_third(name: str, *args: object, **kwargs: object) -> object:
        made.append(name)
        if len(made) == 3:
            raise RuntimeError("power")
        return real(name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(op, "create_table", fail_on_third)
    with pytest.raises(RuntimeError):
        open_ledger(sqlite_url)
    monkeypatch.undo()
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    open_ledger(sqlite_url).close()


def test_a_looker_makes_no_ledger_where_there_is_none(path: Path, sqlite_url: str) -> None:
    with pytest.raises(ConfigurationError, match="start the node once"):
        read_ledger(sqlite_url)
    assert list(path.parent.iterdir()) == []


def test_a_looker_makes_no_tables_in_a_file_without_them(path: Path, sqlite_url: str) -> None:
    path.touch()
    with pytest.raises(ConfigurationError, match="revision none"):
        read_ledger(sqlite_url)
    assert path.stat().st_size == 0


def test_a_looker_sees_what_the_running_node_wrote_and_cannot_write(url: str) -> None:
    node = open_ledger(url)
    rows.queue(node, 1, 1.0)
    looker = read_ledger(url)
    rows.queue(node, 2, 2.0)
    assert looker.jobs() == node.jobs()
    assert looker.images() == node.images()
    key = node.jobs()[0].job.key
    assert looker.job(key) == node.job(key)
    with pytest.raises(CapacityError):
        looker.record_image(rows.image(3), 3.0)
    assert len(node.images()) == 2
    looker.close()
    node.close()


def test_a_looker_sees_the_ledger_of_a_node_that_stopped(path: Path, sqlite_url: str) -> None:
    node = open_ledger(sqlite_url)
    rows.queue(node, 1, 1.0)
    expected = node.jobs()
    node.close()
    looker = read_ledger(sqlite_url)
    assert looker.jobs() == expected
    looker.close()


def test_a_path_may_hold_any_character(tmp_path: Path) -> None:
    odd = tmp_path / "a b?c#d%41é"
    odd.mkdir()
    database = Database(sa.URL.create("sqlite", database=str(odd / "l.db")).render_as_string())
    migrate(database)
    database.close()
    assert (odd / "l.db").stat().st_size > 0


def test_the_database_is_for_the_owner_alone(path: Path, sqlite_url: str) -> None:
    ledger = open_ledger(sqlite_url)
    ledger.record_image(rows.image(1), 1.0)
    files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert files.keys() >= {"ledger.db", "ledger.db-wal", "ledger.db-shm"}
    assert set(files.values()) == {0o600}
    ledger.close()


def test_every_connection_writes_ahead_syncs_fully_and_checks_references(sqlite_url: str) -> None:
    open_ledger(sqlite_url).close()
    database = Database(sqlite_url)
    for access in (database.read, database.write):
        with access() as connection:
            found = [
                connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys")
            ]
        # https://www.sqlite.org/pragma.html: synchronous 2 is FULL.
        assert found == ["wal", 2, 1]
    database.close()


def test_a_transaction_that_raises_leaves_nothing(url: str) -> None:
    ledger = open_ledger(url)
    database = Database(url)
    with pytest.raises(RuntimeError), database.write() as connection:
        connection.execute(sa.insert(schema.events).values(**event(image_id=insert(connection))))
        raise RuntimeError
    assert ledger.images() == ()
    database.close()
    ledger.close()


def insert(connection: sa.Connection, **values: object) -> int:
    """A received image's row."""
    base = {
        "sop_class_uid": "1",
        "sop_instance_uid": "1",
        "study_instance_uid": "1",
        "transfer_syntax_uid": "1",
        "calling_ae_title": "A",
        "digest": "d",
        "size_bytes": 1,
        "received_at": 1.0,
        "conflicting": False,
    }
    statement = sa.insert(schema.images).values(base | values).returning(schema.images.c.id)
    return int(connection.execute(statement).scalar_one())


def event(**values: object) -> dict[str, object]:
    base = {"at": 1.0, "event": "e", "state_from": "", "state_to": "", "detail": ""}
    return base | values


def job(**values: object) -> dict[str, object]:
    base = {
        "key": "k",
        "state": "queued",
        "order_json": "{}",
        "priority": 0,
        "attempts": 0,
        "failures": 0,
        "lost_leases": 0,
        "not_before": 0.0,
        "last_error": "",
        "created_at": 0.0,
        "updated_at": 0.0,
    }
    return base | values


@pytest.mark.parametrize(
    "values",
    [
        {"decided_as": "maybe", "decided_at": 1.0},
        {"decided_as": "accept"},
        {"decided_at": 1.0},
        {"conflicting": True},
        {"conflicting": True, "decided_as": "accept", "decided_at": 1.0},
        {"file_removed_at": 1.0},
    ],
)
def test_the_database_itself_refuses_an_image_that_cannot_be(
    url: str, values: dict[str, object]
) -> None:
    open_ledger(url).close()
    database = Database(url)
    with pytest.raises(IntegrityError), database.write() as connection:
        insert(connection, **values)
    with database.write() as connection:
        insert(connection)
    database.close()


@pytest.mark.parametrize(
    "values",
    [
        {"state": "lost"},
        {"state": "running"},
        {"state": "queued", "lease_until": 1.0},
        {"attempts": -1},
        {"image_id": 999},
    ],
)
def test_the_database_itself_refuses_a_job_that_cannot_be(
    url: str, values: dict[str, object]
) -> None:
    open_ledger(url).close()
    database = Database(url)
    with database.write() as connection:
        image_id = insert(connection)
        connection.execute(sa.insert(schema.jobs).values(job(image_id=image_id, key="good")))
    with pytest.raises(IntegrityError), database.write() as connection:
        connection.execute(sa.insert(schema.jobs).values(job(image_id=image_id) | values))
    with pytest.raises(IntegrityError), database.write() as connection:
        connection.execute(sa.insert(schema.jobs).values(job(image_id=image_id, key="good")))
    database.close()


def test_the_database_itself_refuses_a_second_believed_image_of_a_uid(url: str) -> None:
    open_ledger(url).close()
    database = Database(url)
    with database.write() as connection:
        insert(connection)
    broken = pytest.raises(IntegrityError, match=r"images\.sop_instance_uid|uq_images_believed")
    with broken, database.write() as connection:
        insert(connection, digest="other")
    database.close()


def test_a_refusal_quotes_no_value_of_the_row(url: str) -> None:
    open_ledger(url).close()
    database = Database(url)
    with database.write() as connection:
        insert(connection, calling_ae_title="SECRET", sop_instance_uid="9.8.7")
    with pytest.raises(IntegrityError) as refused, database.write() as connection:
        insert(connection, calling_ae_title="SECRET", sop_instance_uid="9.8.7")
    for told in (str(refused.value), str(refused.value.__cause__).partition("DETAIL")[0]):
        assert "SECRET" not in told
        assert "9.8.7" not in told
    database.close()


def test_a_full_disk_is_a_capacity_error_and_the_ledger_goes_on_afterwards(
    sqlite_url: str,
) -> None:
    ledger = open_ledger(sqlite_url)
    database = ledger._database

    def limit(pages: int) -> None:
        # SQLite's own stand-in for a disk that is full.
        with database.read() as connection:
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    limit(1)  # the least it takes is the present size
    with pytest.raises(CapacityError, match="full"):
        for number in range(2000):
            ledger.record_image(rows.image(number), 1.0)
    kept = len(ledger.images(limit=5000))
    limit(1_000_000)
    assert ledger.record_image(rows.image(9999), 1.0) is Receipt.NEW
    assert len(ledger.images(limit=5000)) == kept + 1
    ledger.close()


def test_a_server_that_hangs_is_given_up_and_asked_again_when_it_goes_on(
    postgresql: Cluster,
) -> None:
    database = Database(postgresql.fresh("hanging"), answer_s=1.0)
    with database.write() as connection:
        connection.exec_driver_sql("CREATE TABLE numbers (number int)")
    with (
        pytest.raises(CapacityError, match="no answer within 1 s"),
        database.write() as late,
        postgresql.hanging(),
    ):
        late.exec_driver_sql("INSERT INTO numbers VALUES (1)")
    with postgresql.hanging():
        began = time.monotonic()
        with pytest.raises(CapacityError), database.write():
            pass
        assert time.monotonic() - began < 20
    with database.write() as connection:
        connection.exec_driver_sql("INSERT INTO numbers VALUES (2)")
    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT number FROM numbers").scalars().all() == [2]
    database.close()


def test_a_server_may_take_its_time_with_what_goes_over_every_row(postgresql: Cluster) -> None:
    database = Database(postgresql.fresh("slow"), answer_s=0.5)
    with database.write(unhurried=True) as connection:
        connection.exec_driver_sql("SELECT pg_sleep(1)")
    with database.snapshot() as connection:
        connection.exec_driver_sql("SELECT pg_sleep(1)")
    with pytest.raises(CapacityError), database.read() as connection:
        connection.exec_driver_sql("SELECT pg_sleep(2)")
    database.close()


def test_writers_behind_another_process_that_writes_are_not_kept_waiting_one_after_the_other(
    path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicom_node.store.database.BUSY_S", 1.0)
    monkeypatch.setattr("dicom_node.store.database.TURN_S", 1.0)
    ledger = open_ledger(sqlite_url)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    def work(index: int) -> bool:
        try:
            ledger.record_image(rows.image(index), 1.0)
        except CapacityError:
            return False
        return True

    began = time.monotonic()
    assert in_threads(8, work) == [False] * 8
    assert time.monotonic() - began < 4  # and not eight times one
    other.execute("COMMIT")
    assert work(1)
    ledger.close()


def test_a_disk_that_fails_on_the_ledger_is_a_capacity_error(path: Path, sqlite_url: str) -> None:
    ledger = open_ledger(sqlite_url)
    ledger.close()
    path.unlink()
    with pytest.raises(CapacityError):
        ledger.record_image(rows.image(1), 1.0)
    assert not path.exists()


@pytest.mark.parametrize(
    "url",
    ["sqlite://", "sqlite:///:memory:", "mysql://x/y", "no url at all", "postgresql"],
)
def test_a_url_that_cannot_hold_a_ledger_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError, match="database_url"):
        parse_url(url)


def test_a_driver_that_is_not_installed_is_a_configuration_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigurationError, match=r"dicom-node\[postgresql\]"):
        Database("postgresql://localhost/ledger")


def test_a_ledger_is_as_it_was_after_it_is_opened_again(url: str) -> None:
    ledger = open_ledger(url)
    rows.queue(ledger, 1, 1.0)
    rows.queue(ledger, 2, 1.0)
    rows.finish(ledger, 2.0)
    before = (ledger.jobs(), ledger.images(), ledger.known_digests())
    ledger.close()
    again = open_ledger(url)
    assert (again.jobs(), again.images(), again.known_digests()) == before
    assert {row.job.state for row in again.jobs()} == {JobState.DONE, JobState.QUEUED}
    again.close()
