"""What is backed up comes back, in either database, or says what is missing."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import stat
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from dicom_node.backup import loading, taking
from dicom_node.backup.manifest import sealed
from dicom_node.backup.snapshot import Snapshot, dump
from dicom_node.backup.targets import target_at
from dicom_node.domain.errors import ConfigurationError, IntegrityError
from dicom_node.store.belonging import sole_ledger
from dicom_node.store.database import Database
from dicom_node.store.ledger import open_ledger
from dicom_node.store.migrating import migrate
from dicom_node.store.spool import FileSpool
from dicom_node.supervisor.locking import sole_owner
from tests.backup.conftest import Store, everything, files, sql

ON_SQLITE = pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
"""Where it does not matter which database it is."""


@pytest.mark.parametrize("name", ["backup", "backup.tar"])
@pytest.mark.parametrize("into", ["sqlite", "postgresql"])
def test_every_row_and_every_file_comes_back_in_either_database(
    store: Store, new_store: Any, tmp_path: Path, name: str, into: str
) -> None:
    before = everything(store.url)
    taken = store.take(tmp_path / name)
    assert taken.manifest.files == len(files(store.root)) == 15
    target = new_store(into)
    restored = target.restore(tmp_path / name)
    assert restored.lost == ()
    assert files(target.root) == files(store.root)
    after = everything(target.url)
    assert {table: len(found) for table, found in after.items()} == {
        table: len(found) for table, found in before.items()
    }
    # True and 1 are equal, so the rows of both databases can be compared.
    assert after == before


@pytest.mark.parametrize("into", ["sqlite", "postgresql"])
def test_a_restored_ledger_goes_on_counting_where_it_was(
    store: Store, new_store: Any, tmp_path: Path, into: str
) -> None:
    store.take(tmp_path / "backup")
    target = new_store(into)
    target.restore(tmp_path / "backup")
    with contextlib.closing(open_ledger(target.url)) as ledger:
        target.fill(ledger, range(5, 7))
        assert len(ledger.jobs()) == 7


def test_a_restored_ledger_belongs_to_the_folder_it_was_restored_into(
    store: Store, new_store: Any, tmp_path: Path, kind: str
) -> None:
    """And the ledger it was backed up from still belongs to its own."""

    def start(url: str, folder: Path) -> None:
        with sole_ledger(url, folder, folder / "spool", stop=threading.Event()):
            pass

    start(store.url, store.folder)
    store.take(tmp_path / "backup")
    target = new_store(kind)
    target.restore(tmp_path / "backup")
    start(target.url, target.folder)
    start(store.url, store.folder)
    for url, folder in ((store.url, target.folder), (target.url, store.folder)):
        with pytest.raises(ConfigurationError, match="another data folder"):
            start(url, folder)


def test_a_ledger_that_belongs_to_a_folder_is_not_restored_into(
    store: Store, new_store: Any, tmp_path: Path, kind: str
) -> None:
    """Also when it has no images yet."""
    store.take(tmp_path / "backup")
    owned, target = new_store(kind), new_store(kind)
    owned.folder.mkdir()
    with sole_ledger(owned.url, owned.folder, owned.root, stop=threading.Event()):
        pass
    target.url = owned.url
    with pytest.raises(ConfigurationError, match="has rows"):
        target.restore(tmp_path / "backup")


@ON_SQLITE
def test_a_standard_tool_can_check_a_backup(store: Store, tmp_path: Path) -> None:
    store.take(tmp_path / "backup")
    check = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    done = subprocess.run(check, cwd=tmp_path / "backup", capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    listed = {line.split(":")[0] for line in done.stdout.splitlines()}
    assert listed == set(files(tmp_path / "backup")) - {"backup.json", "SHA256SUMS"}


@ON_SQLITE
def test_a_backup_is_for_nobody_else_to_read(store: Store, tmp_path: Path) -> None:
    store.take(tmp_path / "backup")
    store.take(tmp_path / "backup.tar")
    for path in (tmp_path / "backup", tmp_path / "backup.tar", *(tmp_path / "backup").rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) in (0o700, 0o600), path


@ON_SQLITE
def test_files_are_links_where_that_is_wanted_and_copies_where_not(
    store: Store, tmp_path: Path
) -> None:
    store.take(tmp_path / "linked")
    store.take(tmp_path / "copied", link=False)
    for name in files(store.root):
        ours = (store.root / name).stat().st_ino
        assert (tmp_path / "linked" / "spool" / name).stat().st_ino == ours
        assert (tmp_path / "copied" / "spool" / name).stat().st_ino != ours


@ON_SQLITE
def test_files_no_row_claims_are_left_out(store: Store, tmp_path: Path) -> None:
    orphan = FileSpool(store.root).put(b"received, its row not yet written")
    taken = store.take(tmp_path / "backup")
    assert taken.manifest.files == 15
    assert not any(orphan.digest in name for name in files(tmp_path / "backup"))


def test_a_damaged_file_is_named_and_everything_else_is_backed_up(
    store: Store, new_store: Any, tmp_path: Path, kind: str
) -> None:
    bad, gone = sorted(store.root.rglob("*.dcm"))[:2]
    bad.write_bytes(b"rot")
    gone.unlink()
    taken = store.take(tmp_path / "backup")
    assert sorted(taken.manifest.damaged) == sorted([bad.stem, gone.stem])
    assert taken.manifest.files == 13
    restored = new_store(kind).restore(tmp_path / "backup")
    assert sorted(restored.lost) == sorted([bad.stem, gone.stem])


def test_files_that_retention_lets_go_of_meanwhile_are_not_missed(
    store: Store, new_store: Any, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshots = []

    def dump_and_let_go(url: str, folder: Path) -> Snapshot:
        """The first snapshot still claims a file that goes right after it."""
        snapshot = dump(url, folder)
        if not snapshots:
            digest = next(iter(snapshot.claims))
            sql(url, f"UPDATE images SET file_removed_at = 1 WHERE digest = '{digest}'")
            assert FileSpool(store.root).remove(digest)
        snapshots.append(snapshot)
        return snapshot

    monkeypatch.setattr(taking, "dump", dump_and_let_go)
    taken = store.take(tmp_path / "backup")
    assert taken.manifest.damaged == ()
    assert taken.manifest.files == 14
    target = new_store(kind)
    assert target.restore(tmp_path / "backup").lost == ()
    assert everything(target.url) == everything(store.url)


@ON_SQLITE
def test_a_target_that_is_there_is_not_touched(store: Store, tmp_path: Path) -> None:
    (tmp_path / "backup").mkdir()
    (tmp_path / "backup" / "mine").write_text("mine")
    (tmp_path / "backup.tar").write_text("mine")
    for name in ("backup", "backup.tar"):
        with pytest.raises(ConfigurationError, match="is there already"):
            store.take(tmp_path / name)
    assert (tmp_path / "backup" / "mine").read_text() == "mine"
    assert (tmp_path / "backup.tar").read_text() == "mine"


def test_a_backup_that_fails_leaves_nothing(store: Store, tmp_path: Path) -> None:
    sql(store.url, "DROP TABLE commitment_items")
    for name in ("backup", "backup.tar"):
        with pytest.raises(Exception, match="commitment_items"):
            store.take(tmp_path / name)
    assert not list(tmp_path.glob("backup*"))


@ON_SQLITE
def test_a_backup_that_was_killed_is_no_backup_and_does_not_stand_in_the_way(
    store: Store, tmp_path: Path
) -> None:
    left = tmp_path / "backup.partial" / "spool"
    left.mkdir(parents=True)
    (left / "half").write_text("half")
    store.take(tmp_path / "backup")
    assert not (tmp_path / "backup.partial").exists()
    assert not (tmp_path / "backup" / "spool" / "half").exists()


@ON_SQLITE
def test_two_backups_to_one_place_do_not_mix(store: Store, tmp_path: Path) -> None:
    with (
        target_at(tmp_path / "backup", link=True),
        pytest.raises(ConfigurationError, match="another backup"),
    ):
        store.take(tmp_path / "backup")


@ON_SQLITE
@pytest.mark.parametrize("where", ["spool/backup", "nowhere/backup"])
def test_a_target_that_cannot_be_is_told(store: Store, where: str) -> None:
    with pytest.raises(ConfigurationError, match="--to: "):
        store.take(store.folder / where)


# --- Restoring ------------------------------------------------------------------------------------


@pytest.fixture
def backup(store: Store, tmp_path: Path) -> Path:
    return store.take(tmp_path / "backup").path


@ON_SQLITE
def test_a_folder_that_is_not_empty_is_not_restored_into(
    backup: Path, new_store: Any, kind: str
) -> None:
    target = new_store(kind)
    target.folder.mkdir()
    (target.folder / "mine").write_text("mine")
    with pytest.raises(ConfigurationError, match="is not empty"):
        target.restore(backup)
    assert {each.name for each in target.folder.iterdir()} == {"mine", "node.lock"}


def test_a_ledger_with_rows_is_not_restored_into(
    store: Store, backup: Path, tmp_path: Path
) -> None:
    elsewhere = dataclasses.replace(store, folder=tmp_path / "elsewhere")
    before = everything(store.url)
    with pytest.raises(ConfigurationError, match="has rows"):
        elsewhere.restore(backup)
    assert everything(store.url) == before
    assert [each.name for each in elsewhere.folder.iterdir()] == ["node.lock"]


@ON_SQLITE
def test_a_folder_of_a_running_node_is_not_restored_into(
    backup: Path, new_store: Any, kind: str
) -> None:
    target = new_store(kind)
    with sole_owner(target.folder), pytest.raises(ConfigurationError, match="is running"):
        target.restore(backup)


class Cut(Exception):
    """The power goes."""


@pytest.mark.parametrize("point", [0, 8, "before rows", "after rows"])
def test_a_restore_that_was_cut_goes_on_when_it_is_run_again_and_no_node_starts_before(
    store: Store,
    backup: Path,
    new_store: Any,
    kind: str,
    point: int | str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target, put, load = new_store(kind), FileSpool.put, loading.load
    written: list[bytes] = []

    def put_until(self: FileSpool, data: bytes) -> Any:
        if len(written) == point:
            raise Cut
        written.append(data)
        return put(self, data)

    def load_until(*arguments: Any) -> None:
        if point == "after rows":
            load(*arguments)
        raise Cut

    with monkeypatch.context() as patched:
        patched.setattr(FileSpool, "put", put_until)
        if isinstance(point, str):
            patched.setattr(loading, "load", load_until)
        with pytest.raises(Cut):
            target.restore(backup)
    with (
        pytest.raises(ConfigurationError, match=r"a restore into .* did not end"),
        sole_owner(target.folder),
    ):
        pass
    assert target.restore(backup).lost == ()
    assert files(target.root) == files(store.root)
    assert everything(target.url) == everything(store.url)
    with sole_owner(target.folder):
        pass


@ON_SQLITE
def test_a_restore_that_was_cut_does_not_go_on_with_another_backup(
    store: Store, backup: Path, new_store: Any, kind: str, tmp_path: Path
) -> None:
    target, other = new_store(kind), store.take(tmp_path / "other").path
    target.folder.mkdir()
    name = json.loads((other / "backup.json").read_text())["backup"]
    (target.folder / "restore-unfinished").write_text(f"{name}\n")
    with pytest.raises(ConfigurationError, match="restore of another backup"):
        target.restore(backup)
    assert target.restore(other).lost == ()


@ON_SQLITE
@pytest.mark.parametrize("name", ["ledger/images.jsonl", "SHA256SUMS", "backup.json"])
@pytest.mark.parametrize("deed", ["flip", "cut", "remove"])
def test_a_backup_whose_rows_are_broken_changes_nothing(
    backup: Path, new_store: Any, name: str, deed: str
) -> None:
    path = backup / name
    data = path.read_bytes()
    if deed == "remove":
        path.unlink()
    else:
        half = len(data) // 2
        path.write_bytes(data[:half] + (b"" if deed == "cut" else b"#" + data[half + 1 :]))
    target = new_store("sqlite")
    with pytest.raises((IntegrityError, ConfigurationError)):
        target.restore(backup)
    assert not target.folder.exists()


@ON_SQLITE
def test_files_that_are_broken_in_the_backup_are_named_and_all_others_restored(
    store: Store, new_store: Any, tmp_path: Path, kind: str
) -> None:
    backup = store.take(tmp_path / "backup", link=False).path
    bad, gone = sorted((backup / "spool").rglob("*.dcm"))[:2]
    bad.write_bytes(b"rot")
    gone.unlink()
    target = new_store(kind)
    assert sorted(target.restore(backup).lost) == sorted([bad.stem, gone.stem])
    assert len(files(target.root)) == 13


@ON_SQLITE
@pytest.mark.parametrize("share", [0.1, 0.5, 0.7])
def test_a_tar_file_that_was_cut_is_refused(
    store: Store, new_store: Any, tmp_path: Path, share: float
) -> None:
    path = store.take(tmp_path / "backup.tar").path
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    target = new_store("sqlite")
    with pytest.raises((IntegrityError, ConfigurationError)):
        target.restore(path)
    assert not target.folder.exists()


def test_what_is_no_backup_is_told(new_store: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("text")
    for name in ("nowhere", "empty", "text"):
        with pytest.raises((ConfigurationError, IntegrityError)):
            new_store("sqlite").restore(tmp_path / name)


def rewrite(backup: Path, **changes: Any) -> None:
    """Change the manifest; the sums and digests of the tables fit what lies there."""
    manifest = json.loads((backup / "backup.json").read_text()) | changes
    del manifest["seal"]
    kept = []
    for table in manifest["tables"]:
        path = backup / "ledger" / f"{table['name']}.jsonl"
        if path.exists():
            kept.append(table | {"digest": hashlib.sha256(path.read_bytes()).hexdigest()})
    manifest["tables"] = kept
    lines = [f"{table['digest']}  ledger/{table['name']}.jsonl" for table in kept]
    lines += [
        f"{path.stem}  {path.relative_to(backup)}" for path in (backup / "spool").rglob("*.dcm")
    ]
    sums = "".join(f"{line}\n" for line in lines)
    (backup / "SHA256SUMS").write_text(sums)
    manifest["sums"] = hashlib.sha256(sums.encode()).hexdigest()
    (backup / "backup.json").write_text(json.dumps(sealed(manifest)))


def take_back(backup: Path, revision: str, scratch: Path) -> None:
    """Leave of a backup what a node of an older revision would have written."""
    url = f"sqlite:///{scratch}"
    with contextlib.closing(Database(url)) as old:
        migrate(old, revision)
    with contextlib.closing(sa.create_engine(url).connect()) as connection:
        found = sa.inspect(connection)
        known = {
            name: {column["name"] for column in found.get_columns(name)}
            for name in found.get_table_names()
        }
    for path in (backup / "ledger").iterdir():
        if path.stem not in known:
            path.unlink()
            continue
        columns, *values = [json.loads(line) for line in path.read_text().splitlines()]
        at = [i for i, column in enumerate(columns) if column in known[path.stem]]
        kept = [[row[i] for i in at] for row in [columns, *values]]
        path.write_text("".join(json.dumps(row) + "\n" for row in kept))
    rewrite(backup, revision=revision)


@ON_SQLITE
@pytest.mark.parametrize("into", ["sqlite", "postgresql"])
@pytest.mark.parametrize("revision", ["0002", "0005"])
def test_a_backup_of_an_older_version_is_brought_up_to_date(
    backup: Path, store: Store, new_store: Any, tmp_path: Path, revision: str, into: str
) -> None:
    take_back(backup, revision, tmp_path / "old.db")
    target = new_store(into)
    assert target.restore(backup).lost == ()
    younger = {"fetches": []}  # no table of them in those days
    assert everything(target.url) == everything(store.url) | younger


@ON_SQLITE
def test_a_backup_of_a_newer_version_is_refused(backup: Path, new_store: Any) -> None:
    rewrite(backup, revision="9999", node_version="9.9")
    target = new_store("sqlite")
    with pytest.raises(ConfigurationError, match=r"version 9\.9 or a newer one"):
        target.restore(backup)
    assert not target.folder.exists()
    rewrite(backup, format_version=2)
    with pytest.raises(ConfigurationError, match="format 2"):
        target.restore(backup)
