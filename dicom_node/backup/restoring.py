"""Restoring a backup into an empty data folder, in steps that can be cut and gone on with.

Files first, then all rows in one transaction, then the mark goes that keeps a node from starting on
a part of them.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dicom_node.backup import loading
from dicom_node.backup.manifest import Manifest, spool_name
from dicom_node.backup.sources import Source, source_at
from dicom_node.domain.errors import ConfigurationError, IntegrityError
from dicom_node.store.database import Database, parse_url
from dicom_node.store.spool import FileSpool
from dicom_node.supervisor.locking import LOCK_FILE, RESTORE_MARK, sole_owner

if TYPE_CHECKING:
    from dicom_node.ports import Clock

__all__ = ["Restored", "restore"]

_OF_OTHERS: Final = frozenset({LOCK_FILE, RESTORE_MARK, "lost+found"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What became of a restore.

    Attributes:
        manifest: Of the backup.
        lost: Digests of files that rows claim and that the backup does not hold whole.
    """

    manifest: Manifest
    lost: tuple[str, ...]


def restore(
    backup: Path, *, data_dir: Path, url: str, spool_root: Path, min_free_bytes: int, clock: Clock
) -> Restored:
    """Bring a backup back. One that was cut goes on where it stopped when it is run again.

    Args:
        backup: A folder or a tar file.
        data_dir: Of the node, empty or not there.
        url: Of the ledger, which has no rows.
        spool_root: Folder of the spool.
        min_free_bytes: Free space that must be left.
        clock: Unix seconds.

    Raises:
        ConfigurationError: There is no such backup, its version is newer, or what it would go into
            is not empty.
        IntegrityError: Its rows are broken; nothing was changed.
        CapacityError: The disk is full or the database does not answer.
    """
    with source_at(backup) as source:
        loading.require_known(source)
        for table in source.manifest.tables:
            source.check(table.file)
        with sole_owner(data_dir, restoring=True):
            mark = data_dir / RESTORE_MARK
            _require_empty(data_dir, mark, source)
            _require_vacant(url, source)
            _write(mark, source.manifest.backup)
            spool = FileSpool(spool_root, min_free_bytes=min_free_bytes, clock=clock)
            lost = _files(source, spool)
            with contextlib.closing(Database(url)) as database:
                loading.load(database, source)
                mark.unlink()
                _sync(data_dir)
                loading.forget(database)
        return Restored(manifest=source.manifest, lost=lost)


def _files(source: Source, spool: FileSpool) -> tuple[str, ...]:
    lost = list(source.manifest.damaged)
    for name, digest in source.sums.items():
        if name != spool_name(digest):
            continue
        try:
            spool.put(source.read(name))
        except IntegrityError:
            lost.append(digest)
    return tuple(lost)


def _require_empty(data_dir: Path, mark: Path, source: Source) -> None:
    if mark.exists():
        if mark.read_text(encoding="ascii").strip() != source.manifest.backup:
            raise ConfigurationError(
                f"node.data_dir: the restore of another backup into {data_dir} did not end: "
                "go on with that one, or empty the folder"
            )
        return
    if any(each.name not in _OF_OTHERS for each in data_dir.iterdir()):
        raise ConfigurationError(
            f"node.data_dir: {data_dir} is not empty: a backup is restored into an empty folder"
        )


def _require_vacant(url: str, source: Source) -> None:
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").is_file():
        return
    with contextlib.closing(Database(url, read_only=True)) as database:
        loading.require_vacant(database, source.manifest.backup)


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="ascii") as file:  # noqa: PTH123 - a descriptor has no path
        file.write(f"{text}\n")
        file.flush()
        os.fsync(descriptor)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
