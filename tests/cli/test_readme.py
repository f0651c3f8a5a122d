"""What the README shows works."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from dicom_node.settings import load

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


SHOWN = [line for block in _blocks("bash") for line in block.splitlines() if line.strip()]
COMMANDS = [
    shlex.split(line, comments=True)[1:] for line in SHOWN if line.startswith("dicom-node ")
]
SCRIPTS = [shlex.split(line, comments=True)[1] for line in SHOWN if line.startswith("bash ")]


def test_the_readme_shows_commands() -> None:
    assert len(COMMANDS) >= 10
    assert SCRIPTS == ["deploy/quickstart.sh", "tests/run.sh"]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_shown_command_and_its_options_exist(run: Any, arguments: list[str]) -> None:
    words = [word for word in arguments if re.fullmatch(r"[a-z][a-z-]*", word)]
    command = words[:2] if words[0] in ("routes", "jobs", "images", "deliveries") else words[:1]
    ran = run(*command, "--help")
    assert ran.status == 0, ran.err
    for option in arguments:
        if option.startswith("--"):
            assert option in ran.out


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_shown_script_exists(script: str) -> None:
    assert (ROOT / script).is_file()


def test_the_shown_configuration_loads(tmp_path: Path) -> None:
    whole, *parts = _blocks("yaml")
    shown = yaml.safe_load(whole)
    for part in map(yaml.safe_load, parts):
        shown["destinations"] += part.pop("destinations", [])
        shown |= part
    (tmp_path / "node.yaml").write_text(yaml.safe_dump(shown), encoding="utf-8")
    settings = load(tmp_path / "node.yaml")
    assert [route.name for route in settings.to_routes()] == ["frontal-chest"]
    assert [each.name for each in settings.to_destinations()] == ["pacs", "web"]


def test_what_the_readme_links_to_is_there() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert missing == []


def test_the_readme_says_what_this_is_not() -> None:
    assert "not a medical device" in README
