from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dicom_node.backup import Restored, Taken, restore, take
from dicom_node.store.ledger import SqlLedger, open_ledger
from dicom_node.store.spool import FileSpool
from tests.fakes import rows
from tests.fakes.database import fresh_ledger

NOW = 1_750_000_000.0


@dataclasses.dataclass
class Store:
    """A ledger with rows whose files lie in a spool."""

    folder: Path
    url: str

    @property
    def root(self) -> Path:
        return self.folder / "spool"

    def fill(self, ledger: SqlLedger, numbers: range) -> None:
        """Images, each with a finished job, its views and a delivery."""
        spool = FileSpool(self.root)
        for number in numbers:
            data = f"image {number}".encode() * 10
            spooled = spool.put(data)
            image = dataclasses.replace(
                rows.image(number), digest=spooled.digest, size_bytes=spooled.size_bytes
            )
            ledger.record_image(image, NOW + number)
            row = next(r for r in ledger.unplanned(1000) if r.image == image)
            ledger.record_decision(row.id, rows.decision(), [rows.job_of(number)], NOW + number)
            job = ledger.lease_job(NOW + number, 60.0)
            assert job is not None
            made = []
            for product in rows.products(job):
                view = spool.put(f"view {product.instance.sop_instance_uid}".encode())
                instance = dataclasses.replace(
                    product.instance, digest=view.digest, size_bytes=view.size_bytes
                )
                made.append(dataclasses.replace(product, instance=instance))
            ledger.finish_job(job, made, NOW + number)

    def take(self, to: Path, *, link: bool = True, clock: Any = lambda: NOW + 99) -> Taken:
        return take(self.url, self.root, to, link=link, clock=clock)

    def restore(self, backup: Path) -> Restored:
        return restore(
            backup,
            data_dir=self.folder,
            url=self.url,
            spool_root=self.root,
            min_free_bytes=0,
            clock=lambda: NOW,
        )


def _connect(url: str) -> Any:
    """By the databases' own drivers."""
    if url.startswith("sqlite"):
        return contextlib.closing(
            sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        )
    import psycopg

    return contextlib.closing(psycopg.connect(url.replace("+psycopg", ""), autocommit=True))


def sql(url: str, *statements: str) -> None:
    """Do something to the rows behind the ledger's back."""
    with _connect(url) as connection:
        for statement in statements:
            connection.execute(statement)


def everything(url: str) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all tables."""
    tables = (
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        if url.startswith("sqlite")
        else "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    )
    found = {}
    with _connect(url) as connection:
        for (name,) in connection.execute(tables).fetchall():
            cursor = connection.execute(f"SELECT * FROM {name}")
            order = sorted(range(len(cursor.description)), key=lambda i: cursor.description[i][0])
            found[name] = [tuple(row[i] for i in order) for row in cursor.fetchall()]
            found[name].sort(key=lambda row: [(str(type(v) is str), str(v)) for v in row])
    return found


def files(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Makes stores without a ledger, of a kind of database."""
    count = 0

    def make(kind: str) -> Store:
        nonlocal count
        count += 1
        folder = tmp_path / f"store{count}"
        if kind == "sqlite":
            return Store(folder, f"sqlite:///{folder / 'ledger.db'}")
        return Store(folder, request.getfixturevalue("postgresql").fresh(f"backup{count}"))

    return make


@pytest.fixture
def store(new_store: Any, kind: str) -> Iterator[Store]:
    """Five images and what was made of them, and a study that is to be fetched."""
    made: Store = new_store(kind)
    made.folder.mkdir()
    ledger = fresh_ledger(made.folder) if kind == "sqlite" else open_ledger(made.url)
    with contextlib.closing(ledger):
        made.fill(ledger, range(5))
        ledger.ask_fetch("pacs", "1.2.3", "otto", at_most=9, keep=9, now=NOW)
        yield made
