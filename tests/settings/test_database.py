"""Where the ledger is and how its password comes there: never by the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dicom_node.domain.errors import ConfigurationError
from dicom_node.settings import load

SERVER = "postgresql://node@db.example:5432/ledger"


def settings_of(folder: Path, *lines: str) -> Any:
    path = folder / "node.yaml"
    path.write_text("\n".join(["node:", "  ae_title: A", *(f"  {line}" for line in lines)]))
    return load(path)


def test_a_password_comes_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("a:b@c/d e\nmore")
    settings = settings_of(tmp_path, f"database_url: {SERVER}", "database_password_file: secret")
    assert settings.database_url() == ("postgresql://node:a%3Ab%40c%2Fd%20e@db.example:5432/ledger")
    assert "a:b" not in repr(settings)
    assert "a:b" not in settings.model_dump_json()


def test_a_password_comes_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEDGER_PASSWORD", "word")
    settings = settings_of(
        tmp_path, f"database_url: {SERVER}", "database_password_env: LEDGER_PASSWORD"
    )
    assert settings.database_url() == "postgresql://node:word@db.example:5432/ledger"
    monkeypatch.delenv("LEDGER_PASSWORD")
    with pytest.raises(ConfigurationError, match="LEDGER_PASSWORD is not set"):
        settings.database_url()


def test_a_server_without_a_password_is_called_without_one(tmp_path: Path) -> None:
    assert settings_of(tmp_path, f"database_url: {SERVER}").database_url() == SERVER


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://node:hunter2@db.example/ledger",
        "postgresql+psycopg://:hunter2@db.example/ledger",
        "postgresql://node@db.example/ledger?password=hunter2",
    ],
)
def test_a_password_in_the_url_is_refused_and_not_repeated(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigurationError, match="database_password_file") as caught:
        settings_of(tmp_path, f"database_url: {url}")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["database_password_file: secret"], "for a database_url of PostgreSQL"),
        (
            [f"database_url: {SERVER}", "database_password_file: a", "database_password_env: B"],
            "not both",
        ),
        (["database_url: mysql://db/ledger"], "postgresql://USER"),
    ],
)
def test_what_makes_no_sense_is_told(tmp_path: Path, lines: list[str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        settings_of(tmp_path, *lines)


@pytest.mark.parametrize(("content", "words"), [(None, "cannot be read"), ("", "is empty")])
def test_a_password_file_that_says_nothing_is_told(
    tmp_path: Path, content: str | None, words: str
) -> None:
    if content is not None:
        (tmp_path / "secret").write_text(content)
    settings = settings_of(tmp_path, f"database_url: {SERVER}", "database_password_file: secret")
    with pytest.raises(ConfigurationError, match=words):
        settings.database_url()
