"""A migrated SQLite file, made once and copied for every test: migrating takes longer than most."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from dicom_node.store.ledger import SqlLedger, open_ledger


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
