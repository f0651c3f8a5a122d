"""The node serves the console and takes it along when it stops."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from dicom_node.cli import app
from dicom_node.store.ledger import open_ledger
from tests.console.conftest import PASSWORD

ROOT = Path(__file__).parents[2]


def _configuration(folder: Path, port: int = 0) -> Path:
    config = folder / "node.yaml"
    values = {
        "node": {"ae_title": "SYNTH", "port": 0},
        "console": {"enabled": True, "port": port},
        "retention": {"min_free_bytes": 0},
    }
    config.write_text(yaml.safe_dump(values))
    return config


@pytest.mark.slow
def test_a_node_serves_the_console_and_stops_in_order(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "dicom_node", "serve", "--config", str(_configuration(tmp_path))],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert process.stdout is not None
        lines = (json.loads(line) for line in process.stdout)
        ready = next(line for line in lines if line["event"] == "node_ready")
        address = f"http://127.0.0.1:{ready['console_port']}/login"
        with urllib.request.urlopen(address, timeout=30) as answer:
            assert "Log in" in answer.read().decode()
            assert "default-src 'none'" in answer.headers["content-security-policy"]
        process.send_signal(signal.SIGTERM)
        events = [line["event"] for line in lines]
        assert process.wait(30) == 0
        assert "the node has stopped" in events
    finally:
        process.kill()
        process.wait()


def test_the_command_line_makes_the_first_admin_and_nobody_sees_the_password(
    tmp_path: Path,
) -> None:
    config = str(_configuration(tmp_path))
    command = ["console", "add-user", "ada", "--role", "admin", "--config", config]
    runner = CliRunner()
    ran = runner.invoke(app, command, input=f"{PASSWORD}\n")
    assert ran.exit_code == 0, ran.output
    assert PASSWORD not in ran.output
    assert PASSWORD not in (tmp_path / "data" / "audit" / "trail.log").read_text()
    listed = runner.invoke(app, ["console", "list-users", "--json", "--config", config])
    assert json.loads(listed.output) == [{"name": "ada", "role": "admin", "disabled": False}]
    ledger = open_ledger(f"sqlite:///{tmp_path / 'data' / 'ledger.sqlite'}")
    account = ledger.accounts().account("ada")
    assert account is not None
    assert ledger.accounts().password_hash(account.id).startswith("$argon2id$")
    ledger.close()


@pytest.mark.parametrize("password", ["short", "ada and some more", "x" * 2000])
def test_a_weak_password_is_not_taken(tmp_path: Path, password: str) -> None:
    config = str(_configuration(tmp_path))
    command = ["console", "add-user", "ada", "--role", "viewer", "--config", config]
    assert CliRunner().invoke(app, command, input=f"{password}\n").exit_code != 0


def test_the_console_is_imported_without_torch_and_not_before_it_is_served() -> None:
    code = (
        "import sys, dicom_node.supervisor.serving; "
        "assert 'fastapi' not in sys.modules and 'torch' not in sys.modules; "
        "import dicom_node.console.app; assert 'torch' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert (
        subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
    )


def test_without_the_extra_the_node_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dicom_node.console.parts import Parts
    from dicom_node.console.server import ConsoleServer
    from dicom_node.domain.errors import ConfigurationError

    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(ConfigurationError, match=r"dicom-node\[console\]"):
        ConsoleServer(Parts.__new__(Parts))
