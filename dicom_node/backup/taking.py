"""Taking a backup, beside a node that may be running."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dicom_node import __version__
from dicom_node.backup.manifest import MANIFEST, SUMS, Manifest, spool_name, sums_line
from dicom_node.backup.snapshot import Snapshot, dump
from dicom_node.backup.targets import target_at
from dicom_node.domain.errors import ConfigurationError, IntegrityError
from dicom_node.store.schema import REVISION
from dicom_node.store.spool import FileSpool

if TYPE_CHECKING:
    from dicom_node.backup.targets import Target
    from dicom_node.ports import Clock

__all__ = ["Taken", "take"]

_ROUNDS: Final = 10
"""Snapshots at most. A new one is taken only when retention let go of files in between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of a backup.

    Attributes:
        manifest: What it says of itself; its ``damaged`` are files that it could not take.
        path: Where it is.
    """

    manifest: Manifest
    path: Path


def take(url: str, spool_root: Path, to: Path, *, link: bool, clock: Clock) -> Taken:
    """Back up the ledger at a URL and the files of the spool that its rows claim.

    Args:
        url: Of the ledger.
        spool_root: Folder of the spool.
        to: A folder, or a file when it ends in ``.tar``; it is there once it is whole.
        link: Take files as hard links where the file system lets us: no room and no time, but one
            disk.
        clock: Unix seconds.

    Raises:
        ConfigurationError: There is no ledger of this version, or something is at ``to``.
        CapacityError: The database does not answer or the disk is full.
        IntegrityError: A file changed hands too often to be taken.
    """
    if not spool_root.is_dir():
        raise ConfigurationError(f"node.data_dir: there is no spool at {spool_root}")
    if to.absolute().is_relative_to(spool_root.absolute()):
        raise ConfigurationError("--to: a backup must not lie inside the spool")
    if not to.absolute().parent.is_dir():
        raise ConfigurationError(f"--to: there is no folder {to.absolute().parent}")
    spool = FileSpool(spool_root)
    with target_at(to, link=link) as target:
        copied: dict[str, int] = {}
        for _ in range(_ROUNDS):
            taken_at = clock()
            snapshot = dump(url, target.work)
            missing = _take_files(spool, snapshot, copied, target)
            # Retention may have let go of a file since the snapshot; then a newer one is needed.
            still_claimed = _claims_now(url, target.work) if missing else {}
            if all(digest in still_claimed for digest in missing):
                break
        else:
            raise IntegrityError("files of the spool go faster than they can be backed up")
        for digest in copied.keys() - snapshot.claims.keys():
            target.drop(spool_name(digest))
        held = {digest: copied[digest] for digest in snapshot.claims if digest in copied}
        manifest = _describe(target, snapshot, held, damaged=missing, taken_at=taken_at)
        target.finish()
    return Taken(manifest=manifest, path=to.absolute())


def _take_files(
    spool: FileSpool, snapshot: Snapshot, copied: dict[str, int], target: Target
) -> tuple[str, ...]:
    """Take what is claimed and not there yet; digests of what is missing or not whole."""
    missing = []
    for digest, size_bytes in snapshot.claims.items():
        if digest in copied:
            continue
        try:
            data = spool.read(digest)
            if len(data) != size_bytes:
                raise IntegrityError(f"spooled file {digest[:12]} has another size than its row")
            target.add_spooled(spool_name(digest), spool.path(digest), data)
        except (IntegrityError, FileNotFoundError):
            missing.append(digest)
        else:
            copied[digest] = len(data)
    return tuple(missing)


def _claims_now(url: str, work: Path) -> dict[str, int]:
    folder = work / "again"
    folder.mkdir(mode=0o700)
    try:
        return dump(url, folder).claims
    finally:
        for left in folder.iterdir():
            left.unlink()
        folder.rmdir()


def _describe(
    target: Target,
    snapshot: Snapshot,
    held: dict[str, int],
    *,
    damaged: tuple[str, ...],
    taken_at: float,
) -> Manifest:
    """Add the ledger, the sums and, last of all, the manifest."""
    lines = [sums_line(table.digest, table.file) for table in snapshot.tables]
    lines += [sums_line(digest, spool_name(digest)) for digest in sorted(held)]
    sums = "".join(lines).encode("ascii")
    manifest = Manifest(
        backup=uuid.uuid4().hex,
        taken_at=taken_at,
        node_version=__version__,
        revision=REVISION,
        tables=snapshot.tables,
        files=len(held),
        files_bytes=sum(held.values()),
        damaged=damaged,
        sums=hashlib.sha256(sums).hexdigest(),
    )
    for table in snapshot.tables:
        target.add(table.file, target.work / f"{table.name}.jsonl")
    for name, data in ((SUMS, sums), (MANIFEST, manifest.to_json())):
        path = target.work / f"{name}.new"
        path.write_bytes(data)
        target.add(name, path)
    return manifest
