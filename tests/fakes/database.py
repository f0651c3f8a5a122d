"""Empty ledgers, migrated once for all tests, as migrating takes longer than most of them."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from dicom_node.store.ledger import SqlLedger, open_ledger
from dicom_node.store.schema import METADATA

if TYPE_CHECKING:
    from tests.fakes.postgresql import Cluster


@functools.cache
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        open_ledger(f"sqlite:///{path}").close()
        return path.read_bytes()


def fresh_ledger(folder: Path) -> SqlLedger:
    """An empty ledger in ``folder``."""
    path = folder / "ledger.db"
    path.write_bytes(_migrated())
    return open_ledger(f"sqlite:///{path}")


_CONTRACT: dict[int, str] = {}
"""Port of a server -> URL of its migrated database."""


def emptied_ledger(server: Cluster) -> SqlLedger:
    """An empty ledger on a server."""
    if server.port not in _CONTRACT:
        _CONTRACT[server.port] = server.fresh("contract")
        return open_ledger(_CONTRACT[server.port])
    engine = sa.create_engine(_CONTRACT[server.port])
    with engine.begin() as connection:
        # A tenth of the time that TRUNCATE takes, which makes every table's files anew.
        for table in reversed(METADATA.sorted_tables):
            connection.execute(table.delete())
        connection.execute(
            sa.text("SELECT setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S'")
        )
    engine.dispose()
    return open_ledger(_CONTRACT[server.port])
