"""The ledgers and spools that every contract is tried on.

PostgreSQL joins in where it is installed: the tests start a server of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dicom_node.store.spool import FileSpool
from tests.fakes.clock import ManualClock
from tests.fakes.database import emptied_ledger, fresh_ledger
from tests.fakes.ledger import MemoryLedger
from tests.fakes.spool import MemorySpool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dicom_node.ports import Ledger, Spool
    from tests.fakes.postgresql import Cluster

DATABASES = ["sqlite", "postgresql"]


def database_url(kind: str, request: pytest.FixtureRequest, folder: Path) -> str:
    if kind == "sqlite":
        return f"sqlite:///{folder / 'ledger.db'}"
    server: Cluster = request.getfixturevalue("postgresql")
    return server.fresh("ledger")


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return database_url(request.param, request, tmp_path)


@pytest.fixture(params=["memory", *DATABASES])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    if request.param == "memory":
        yield MemoryLedger()
        return
    real = (
        fresh_ledger(tmp_path)
        if request.param == "sqlite"
        else emptied_ledger(request.getfixturevalue("postgresql"))
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
    return FileSpool(tmp_path / "spool", clock=clock, steady=clock)
