"""The whole look, beside a node that may be running.

A running node writes files before their rows and takes rows back before their files, so what seems
wrong is looked at again until the node can no longer be in between.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from dicom_node.domain.errors import ConfigurationError
from dicom_node.store import schema
from dicom_node.store.claims import claims as claims_of
from dicom_node.store.database import Database
from dicom_node.store.migrating import require_current
from dicom_node.verifying import files, references
from dicom_node.verifying.findings import Finding, Kind, Report

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["SETTLED_AFTER_S", "verify"]

SETTLED_AFTER_S: Final = 30.0
"""A file that no row claims after this time is extra. Between the file and the row of an instance
lie the other instances of its job."""

_LOOK_AGAIN_S: Final = 0.5


def verify(
    url: str,
    spool_root: Path,
    *,
    running: bool,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Report:
    """Compare all rows and all files. Every file is read.

    Args:
        url: Of the ledger.
        spool_root: Folder of the spool.
        running: A node may be writing: give what is new time to find its row.
        clock: Seconds.
        sleep: Waits so many seconds.

    Raises:
        ConfigurationError: There is no ledger of this version, or no spool.
        CapacityError: The database does not answer.
    """
    if not spool_root.is_dir():
        raise ConfigurationError(f"node.data_dir: there is no spool at {spool_root}")
    with contextlib.closing(Database(url, read_only=True)) as database:
        try:
            require_current(database)
            return _verify(database, spool_root, running=running, clock=clock, sleep=sleep)
        except sa.exc.DatabaseError as error:
            words = str(error.orig).splitlines()[0][:80]
            damaged = Finding(kind=Kind.DAMAGED_LEDGER, where="ledger", detail=words)
            return Report(rows=0, files=0, files_bytes=0, findings=(damaged,))


def _verify(
    database: Database,
    root: Path,
    *,
    running: bool,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> Report:
    walked = files.walk(root)
    with database.snapshot() as connection:
        claims = claims_of(connection)
        rows = sum(
            connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for table in schema.METADATA.sorted_tables
        )
        found = [*references.damage(connection), *references.mismatches(connection)]
    found += files.check(root, walked, claims)
    missing = set(claims) - set(walked.files)
    extra = {f"{digest[:2]}/{digest}.dcm" for digest in set(walked.files) - set(claims)}
    extra |= walked.temporary
    until = clock() + (SETTLED_AFTER_S if running else 0.0)
    while True:
        with database.snapshot() as connection:
            claims_now = claims_of(connection)
        missing = {d for d in missing & set(claims_now) if not _there(root, f"{d[:2]}/{d}.dcm")}
        extra = {name for name in extra if _there(root, name) and _digest(name) not in claims_now}
        if not extra or clock() >= until:
            break
        sleep(_LOOK_AGAIN_S)
    found += [
        Finding(
            kind=Kind.MISSING_FILE,
            where=f"{digest[:2]}/{digest}.dcm",
            detail="is claimed by a row and is not there",
        )
        for digest in missing
    ]
    found += [
        Finding(kind=Kind.EXTRA_FILE, where=name, detail="is claimed by no row") for name in extra
    ]
    found += [
        Finding(kind=Kind.EXTRA_FILE, where=name, detail=what) for name, what in walked.odd.items()
    ]
    return Report(
        rows=rows,
        files=len(walked.files),
        files_bytes=sum(walked.files.values()),
        findings=tuple(sorted(found, key=lambda each: (each.kind, each.where, each.detail))),
    )


def _there(root: Path, name: str) -> bool:
    return (root / name).exists()


def _digest(name: str) -> str:
    return name.rpartition("/")[2].partition(".")[0]
