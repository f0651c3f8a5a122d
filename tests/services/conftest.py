"""Services are tried over ports in memory and over the real ledger and spool alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dicom_node.store.spool import FileSpool
from tests.fakes.clock import ManualClock
from tests.fakes.database import emptied_ledger, fresh_ledger
from tests.fakes.ledger import MemoryLedger
from tests.fakes.spool import MemorySpool
from tests.services.node import Node

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["memory", "real", "postgresql"])
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Node]:
    clock = ManualClock()
    if request.param == "memory":
        yield Node(ledger=MemoryLedger(), spool=MemorySpool(clock=clock), clock=clock)
        return
    ledger = (
        fresh_ledger(tmp_path)
        if request.param == "real"
        else emptied_ledger(request.getfixturevalue("postgresql"))
    )
    spool = FileSpool(tmp_path / "spool", clock=clock, steady=clock)
    yield Node(ledger=ledger, spool=spool, clock=clock)
    ledger.close()
