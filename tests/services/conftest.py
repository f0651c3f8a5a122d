"""Services are tried over ports in memory and over the real ledger and spool alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dicom_node.store.ledger import open_ledger
from dicom_node.store.spool import FileSpool
from tests.fakes.clock import ManualClock
from tests.fakes.ledger import MemoryLedger
from tests.fakes.spool import MemorySpool
from tests.services.node import Node

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["memory", "real"])
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Node]:
    clock = ManualClock()
    if request.param == "memory":
        yield Node(ledger=MemoryLedger(), spool=MemorySpool(clock=clock), clock=clock)
        return
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield Node(ledger=ledger, spool=FileSpool(tmp_path / "spool", clock=clock), clock=clock)
    ledger.close()
