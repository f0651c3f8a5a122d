"""The runbook tells of every warning and error the node can write, and of no other."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from dicom_node.supervisor.logs import LIBRARY_EVENT

ROOT = Path(__file__).parents[2]
RUNBOOK = (ROOT / "deploy" / "OPERATIONS.md").read_text(encoding="utf-8")
SERIOUS = {"warning": "WARNING", "warn": "WARNING", "error": "ERROR", "exception": "ERROR"}
SERIOUS |= {"critical": "ERROR", "fatal": "ERROR"}


def _is_log(node: ast.expr) -> bool:
    """``_log``, ``log``, ``self._log``, a new one, or one of them bound to more fields."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name.lstrip("_") == "log"
        case ast.Call(func=ast.Attribute(value=value, attr="bind")):
            return _is_log(value)
        case ast.Call(func=ast.Attribute(attr="get_logger")):
            return True
    return False


def written() -> dict[str, set[str]]:
    """Levels by event, of all calls of a log in the code, and of the lines of libraries."""
    events = {LIBRARY_EVENT: {"WARNING"}}
    for path in sorted((ROOT / "dicom_node").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Attribute(value=value, attr=attr), args=[event, *_]) if (
                    attr in SERIOUS and _is_log(value)
                ):
                    where = f"{path.relative_to(ROOT)}:{node.lineno}"
                    assert isinstance(event, ast.Constant), f"{where}: an event is a fixed text"
                    assert isinstance(event.value, str), where
                    events.setdefault(event.value, set()).add(SERIOUS[attr])
    return events


def told() -> dict[str, set[str]]:
    """Levels by event, of the runbook: ``### `event` (WARNING)``."""
    found: dict[str, set[str]] = {}
    for event, levels in re.findall(r"^### `(.+)` \((.+)\)$", RUNBOOK, flags=re.MULTILINE):
        assert event not in found, f"{event!r} stands there twice"
        found[event] = set(levels.split(", "))
    return found


def test_the_code_is_searched_rightly() -> None:
    events = written()
    assert len(events) > 30
    assert events["the disk is too full: images are refused until there is room"] == {"WARNING"}
    assert events["a job was put into quarantine"] == {"ERROR"}
    assert "node_ready" not in events


def test_every_warning_and_error_stands_in_the_runbook() -> None:
    assert sorted(written().keys() - told().keys()) == []


def test_the_runbook_tells_of_nothing_that_is_never_written() -> None:
    assert sorted(told().keys() - written().keys()) == []


def test_the_runbook_gives_every_event_its_level() -> None:
    assert told() == written()


def test_every_event_is_explained_and_says_what_to_do() -> None:
    for part in re.split(r"^### ", RUNBOOK, flags=re.MULTILINE)[1:]:
        title, _, text = part.partition("\n")
        if title.startswith("`"):
            assert re.search(r"\*\*Do:\*\* \S", text), title
            assert len(text.split("**Do:**")[0].split()) >= 5, title


COMMANDS = [
    shlex.split(line, comments=True)
    for block in re.findall(r"^```bash\n(.*?)^```", RUNBOOK, flags=re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
    if line.startswith("dicom-node ")
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_shown_command_and_its_options_exist(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    from dicom_node.cli import main

    groups = ("routes", "jobs", "images", "deliveries", "audit", "console")
    words = command[1:3] if command[1] in groups else command[1:2]
    assert main([*words, "--help"]) == 0
    shown: Any = capsys.readouterr().out
    for option in command:
        if option.startswith("--"):
            assert option in shown


def test_the_runbook_covers_the_life_of_a_node() -> None:
    titles = set(re.findall(r"^## (.+)$", RUNBOOK, flags=re.MULTILINE))
    assert titles >= {
        "Install",
        "The first route",
        "Upgrade",
        "Roll back",
        "Back up",
        "Restore",
        "Replace a model",
        "Quarantine",
        "Certificates",
        "Warnings and errors",
    }


def test_files_the_runbook_names_are_there() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", RUNBOOK)
    assert [link for link in links if not (ROOT / "deploy" / link).exists()] == []
