"""What an administrator types, and what comes back."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from dicom_node import __version__
from dicom_node.demo.archive import start

HEAVY = ("torch", "numpy", "pydicom", "pynetdicom", "sqlalchemy", "pydantic", "yaml")


def test_help_is_quick_because_it_imports_nothing_heavy() -> None:
    code = (
        "import sys; from dicom_node.cli import main; main(['--help']); "
        f"sys.exit(', '.join(set({HEAVY!r}) & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "check-config" in done.stdout


@pytest.mark.parametrize(
    "command",
    [
        ["serve"],
        ["demo"],
        ["check-config"],
        ["schema"],
        ["echo"],
        ["version"],
        ["routes", "test"],
        ["jobs", "list"],
        ["jobs", "show"],
        ["jobs", "release"],
        ["images", "list"],
    ],
    ids=" ".join,
)
def test_every_command_explains_itself(run: Any, command: list[str]) -> None:
    ran = run(*command, "--help")
    assert ran.status == 0
    assert "Usage: " in ran.out


def test_the_version_is_told(run: Any) -> None:
    assert run("version").out == run("--version").out == f"{__version__}\n"


def test_an_unknown_option_is_a_usage_error(run: Any) -> None:
    assert run("serve", "--nonsense").status == 2


def test_a_good_configuration_is_summed_up(run: Any, config: Path) -> None:
    weights = config.parent / "w.safetensors"
    weights.touch()
    text = config.read_text(encoding="utf-8").replace("path: bundled", "path: w.safetensors")
    config.write_text(text, encoding="utf-8")
    ran = run("check-config", config)
    assert ran.status == 0, ran.err
    assert "no problem found" in ran.out
    for words in ("SYNTH on 127.0.0.1:11112", "STORESCU from 127.0.0.1", "frontal-chest: sweep-30"):
        assert words in ran.out


def test_what_may_be_a_slip_is_noted(run: Any, config: Path) -> None:
    config.write_text(
        "node: {ae_title: A}\ndestinations: [{name: d, ae_title: B, host: h, port: 1}]"
    )
    ran = run("check-config", config)
    assert ran.status == 0
    assert "nobody may send" in ran.out
    assert "no route sends to d" in ran.out


def test_all_problems_of_a_configuration_are_listed(run: Any, config: Path) -> None:
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("[pacs]", "[pasc]").replace("dx ", "xd "), encoding="utf-8")
    ran = run("check-config", config)
    assert ran.status == 2
    assert ran.out == ""
    assert "2 problems:" in ran.err
    assert "error: destinations[0].form: 'xd' is none of" in ran.err
    assert "error: routes[0].send_to[0]: no destination is named 'pasc': did you mean" in ran.err
    assert "Traceback" not in ran.err


def test_a_model_that_is_not_there_is_a_problem(run: Any, config: Path) -> None:
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("path: bundled", "path: absent.bin"), encoding="utf-8")
    ran = run("check-config", config)
    assert ran.status == 2
    assert "models.chest.path: there is no file" in ran.err


@pytest.mark.parametrize(
    "command", [["serve"], ["jobs", "list"], ["routes", "test", "x"], ["echo"]]
)
def test_a_missing_configuration_is_a_message_not_a_traceback(
    run: Any, tmp_path: Path, command: list[str]
) -> None:
    ran = run(*command, "--config", tmp_path / "absent.yaml")
    assert ran.status == 2
    assert "there is no such file" in ran.err
    assert "Traceback" not in ran.err


def test_the_schema_is_json(run: Any) -> None:
    assert run("schema").json["title"] == "Settings"


def test_a_destination_that_answers_is_told_with_its_time(
    run: Any, config: Path, tmp_path: Path
) -> None:
    server = start(tmp_path, "ORTHANC", StringIO())
    try:
        _use_port(config, server.server_address[1])
        ran = run("echo", "--config", config, "pacs")
    finally:
        server.shutdown()
    assert ran.status == 0
    assert "answered in" in ran.out


def test_a_destination_that_is_away_is_a_no(run: Any, config: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        _use_port(config, unused.getsockname()[1])
        ran = run("echo", "--config", config)
    assert ran.status == 1
    assert "pacs (ORTHANC at 127.0.0.1" in ran.out


def test_an_unknown_destination_is_an_error_with_a_suggestion(run: Any, config: Path) -> None:
    ran = run("echo", "--config", config, "pasc")
    assert ran.status == 2
    assert "did you mean pacs?" in ran.err


def _use_port(config: Path, port: int) -> None:
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("port: 4242", f"port: {port}"), encoding="utf-8")


def test_the_module_is_the_command(config: Path) -> None:
    command = [sys.executable, "-m", "dicom_node", "jobs", "list", "--config", str(config)]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "there is no ledger" in done.stderr
    assert done.stdout == ""


def test_the_configuration_may_come_from_the_environment(
    run: Any, config: Path, radiographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DICOM_NODE_CONFIG", str(config))
    ran = run("routes", "test", radiographs / "RG1_J2KR.dcm", "--json")
    assert [each["decision"] for each in json.loads(ran.out)] == ["accept"]


LIBRARY = """
import logging, sys
from pathlib import Path
import structlog
from dicom_node.terminal import load
load(Path(sys.argv[1]))
try:
    raise OSError("server closed the connection")
except OSError:
    logging.getLogger("sqlalchemy.pool").error("Exception during reset", exc_info=True)
structlog.get_logger().warning("what the node has to say")
"""


def test_libraries_say_nothing_beside_the_answer_of_a_command(config: Path) -> None:
    """As SQLAlchemy does when a server goes away in the middle of a backup."""
    done = subprocess.run(
        [sys.executable, "-c", LIBRARY, str(config)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    (line,) = done.stderr.splitlines()
    assert "what the node has to say" in line
    assert done.stdout == ""
