"""The ledgers and spools that every contract is tried on.

PostgreSQL joins in when ``DICOM_NODE_TEST_POSTGRESQL`` holds the URL of an empty database to use.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from dicom_node.store.ledger import open_ledger
from dicom_node.store.spool import FileSpool
from tests.fakes.clock import ManualClock
from tests.fakes.database import fresh_ledger
from tests.fakes.ledger import MemoryLedger
from tests.fakes.spool import MemorySpool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dicom_node.ports import Ledger, Spool

POSTGRESQL = os.environ.get("DICOM_NODE_TEST_POSTGRESQL", "")
DATABASES = ["sqlite", *(["postgresql"] if POSTGRESQL else [])]


def database_url(kind: str, folder: Path) -> str:
    if kind == "sqlite":
        return f"sqlite:///{folder / 'ledger.db'}"
    engine = sa.create_engine(POSTGRESQL)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        connection.execute(sa.text("CREATE SCHEMA public"))
    engine.dispose()
    return POSTGRESQL


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return database_url(request.param, tmp_path)


@pytest.fixture(params=["memory", *DATABASES])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    if request.param == "memory":
        yield MemoryLedger()
        return
    real = (
        fresh_ledger(tmp_path)
        if request.param == "sqlite"
        else open_ledger(database_url(request.param, tmp_path))
    )
    yield real
    real.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["memory", "files"])
def spool(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Spool:
    if request.param == "memory":
        return MemorySpool(clock=clock)
    return FileSpool(tmp_path / "spool", clock=clock)
