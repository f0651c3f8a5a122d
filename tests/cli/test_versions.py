"""The configuration's versions on the command line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dicom_node.ports import NewVersion
from dicom_node.rulebook import written_down
from dicom_node.settings import load
from dicom_node.store.ledger import open_ledger
from tests.fakes import rows
from tests.rulebook.site import TEXT


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "node.yaml"
    path.write_text(TEXT, encoding="utf-8")
    (tmp_path / "weights").write_bytes(b"abc")
    return path


def _start(config: Path, at: float) -> None:
    """As a node does."""
    settings = load(config)
    ledger = open_ledger(settings.database_url())
    written_down(ledger, settings, at)
    ledger.close()


def _change(config: Path, old: str, new: str) -> None:
    text = config.read_text(encoding="utf-8")
    assert old in text
    config.write_text(text.replace(old, new), encoding="utf-8")


def test_versions_are_listed_compared_and_gone_back_to(run: Any, config: Path) -> None:
    _start(config, 1.0)
    first = config.read_text(encoding="utf-8")
    _change(config, "[CR, DX]", "[CR]")
    _start(config, 2.0)
    listed = run("routes", "versions", "--config", config, "--json").json
    assert [(each["version"], each["author"], each["parent"]) for each in listed] == [
        (2, "file", 1),
        (1, "file", None),
    ]
    shown = run("routes", "diff", "--config", config, "1", "2")
    assert shown.status == 1
    assert "-    when: {attribute: Modality, one_of: [CR, DX]}" in shown.out
    assert run("routes", "diff", "--config", config, "2").status == 0
    back = run("routes", "rollback", "--config", config, "1", "--comment", "it was right")
    assert back.status == 0
    assert config.read_text(encoding="utf-8") == first
    newest = run("routes", "versions", "--config", config, "--json").json[0]
    assert (newest["version"], newest["comment"]) == (3, "it was right")
    assert newest["author"] != "file"
    _start(config, 3.0)
    assert len(run("routes", "versions", "--config", config, "--json").json) == 3


def test_an_unknown_version_and_one_that_cannot_be_used_change_nothing(
    run: Any, config: Path
) -> None:
    _start(config, 1.0)
    before = config.read_text(encoding="utf-8")
    ran = run("routes", "rollback", "--config", config, "9")
    assert (ran.status, "there is no version 9" in ran.err) == (2, True)
    ledger = open_ledger(load(config).database_url())
    broken = NewVersion(digest="d" * 64, text="node: {}", author="ada", comment="")
    number = ledger.record_version(broken, 2.0).number
    ledger.close()
    assert run("routes", "rollback", "--config", config, str(number)).status == 2
    assert config.read_text(encoding="utf-8") == before


def test_a_replay_of_no_images_says_so(run: Any, config: Path) -> None:
    _start(config, 1.0)
    other = config.with_name("other.yaml")
    other.write_text(TEXT.replace("[CR, DX]", "[CR]"), encoding="utf-8")
    ran = run("routes", "replay", "--config", config, other)
    assert ran.status == 0
    assert "0 images judged" in ran.out
    assert run("routes", "replay", "--config", config, other, "--json").json == {
        "images": 0,
        "unread": 0,
        "remade": 0,
        "changes": [],
    }


def test_a_decision_is_listed_with_the_version_that_made_it(run: Any, config: Path) -> None:
    _start(config, 1.0)
    ledger = open_ledger(load(config).database_url())
    ledger.record_image(rows.image(1), 2.0)
    (row,) = ledger.unplanned(10)
    ledger.record_decision(row.id, replace(rows.decision(), version=1), [rows.job_of(1)], 2.0)
    ledger.close()
    (image,) = run("images", "list", "--config", config, "--json").json
    assert image["version"] == 1
