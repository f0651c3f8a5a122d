"""Nothing secret comes out of a command, whatever becomes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from tests.network.objects import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run

SECRET = "hunter2-and-more"
TOKEN = "Bearer hunter2-and-more"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node whose database is away, with a password in a file and a token in its environment."""
    monkeypatch.setenv("ARCHIVE_TOKEN", TOKEN)
    (tmp_path / "password").write_text(SECRET + "\n")
    (tmp_path / "password").chmod(0o600)
    node = {
        "ae_title": "SYNTH",
        "port": free_port(),
        "data_dir": "data",
        "database_url": f"postgresql://node@127.0.0.1:{free_port()}/ledger?connect_timeout=2",
        "database_password_file": "password",
    }
    path = tmp_path / "node.yaml"
    archive = {
        "name": "archive",
        "url": "https://archive.example/dicom-web",
        "authorization_env": "ARCHIVE_TOKEN",
    }
    path.write_text(yaml.safe_dump({"node": node, "destinations": [archive]}))
    return path


def test_check_config_names_where_a_secret_lies_and_not_the_secret(run: Run, config: Path) -> None:
    done = run("check-config", config)
    assert done.status == 0
    assert SECRET not in done.out + done.err


@pytest.mark.parametrize("command", [("jobs", "list"), ("serve",)])
def test_a_command_that_cannot_reach_the_database_tells_no_secret(
    run: Run, config: Path, command: tuple[str, ...]
) -> None:
    pytest.importorskip("psycopg")
    done = run(*command, "--config", config)
    assert done.status != 0
    assert "does not answer" in done.out + done.err
    assert SECRET not in done.out + done.err
    assert SECRET not in "".join(
        path.read_text(errors="replace")
        for path in config.parent.rglob("*")
        if path.is_file() and path.name != "password"
    )
