"""backup, restore and verify-store at the command line."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from dicom_node.settings import load
from dicom_node.store.belonging import FOLDER_FILE, sole_ledger
from dicom_node.store.ledger import open_ledger
from tests.backup.conftest import Store


@pytest.fixture
def store(config: Path) -> Store:
    made = Store(config.parent / "data", load(config).database_url())
    with closing(open_ledger(made.url)) as ledger:
        made.fill(ledger, range(2))
    return made


def test_a_store_goes_out_and_comes_back(
    run: Any, config: Path, store: Store, tmp_path: Path
) -> None:
    made = run("backup", "--config", config, "--to", tmp_path / "backup.tar")
    assert made.status == 0, made.err
    assert "6 files" in made.out
    assert run("restore", "--config", config, tmp_path / "backup.tar").status == 2
    store.folder.rename(tmp_path / "old")
    restored = run("restore", "--config", config, tmp_path / "backup.tar")
    assert restored.status == 0, restored.err
    assert "6 files" in restored.out
    verified = run("verify-store", "--config", config)
    assert verified.status == 0, verified.out
    assert "no mismatch" in verified.out


def test_damage_is_told_by_the_exit_status_and_by_name(
    run: Any, config: Path, store: Store, tmp_path: Path
) -> None:
    bad = sorted(store.root.rglob("*.dcm"))[0]
    bad.write_bytes(b"rot")
    made = run("backup", "--config", config, "--to", tmp_path / "backup")
    assert made.status == 1
    assert bad.stem in made.out
    verified = run("verify-store", "--config", config, "--json")
    assert verified.status == 1
    assert verified.json["ok"] is False
    assert {each["kind"] for each in verified.json["findings"]} == {"wrong_digest", "wrong_size"}
    store.folder.rename(tmp_path / "old")
    restored = run("restore", "--config", config, tmp_path / "backup")
    assert restored.status == 1
    assert bad.stem in restored.out


@pytest.mark.parametrize("command", ["backup", "verify-store", "fetch"])
def test_a_ledger_of_another_data_folder_is_refused(
    run: Any, config: Path, store: Store, tmp_path: Path, command: str
) -> None:
    """Files and rows that do not belong together are neither compared nor put together."""
    with sole_ledger(store.url, store.folder, store.root, stop=Event()):
        pass
    of_a_node = {"backup": ["--to", tmp_path / "backup"], "fetch": ["--study", "1.2.3"]}
    if command != "fetch":
        mine = run(command, *of_a_node.get(command, []), "--config", config)
        assert mine.status == 0, mine.err
    (store.folder / FOLDER_FILE).write_text("0" * 32)
    ran = run(command, *of_a_node.get(command, []), "--config", config)
    assert ran.status == 2
    assert "is the ledger of another data folder" in ran.err


def test_without_a_store_there_is_nothing_to_back_up_or_verify(
    run: Any, config: Path, tmp_path: Path
) -> None:
    for command in (["backup", "--to", tmp_path / "backup"], ["verify-store"]):
        ran = run(*command, "--config", config)
        assert ran.status == 2
        assert "there is no spool" in ran.err
    assert [each.name for each in config.parent.iterdir()] == ["node.yaml"]
