"""The JSON Schema for editors says what the loader does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from dicom_node.settings import json_schema

CONFIG = Path(__file__).parents[2] / "config"
SCHEMA = CONFIG / "schema" / "node.schema.json"
SPECIFIED = Path(__file__).with_name("specified.yaml")


def _valid(text: str) -> bool:
    validator = jsonschema.Draft202012Validator(json.loads(json_schema()))
    return bool(validator.is_valid(yaml.safe_load(text)))


def test_the_shipped_schema_is_current() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == json_schema(), (
        "run: dicom-node schema > config/schema/node.schema.json"
    )


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(json_schema()))


@pytest.mark.parametrize("path", [CONFIG / "node.yaml", SPECIFIED], ids=lambda path: path.name)
def test_what_loads_fits_the_schema(path: Path) -> None:
    assert _valid(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("port: 11112", "prot: 11112"),
        ("port: 11112", "port: 70000"),
        ("form: dx", "form: xd"),
        ("attribute: Modality", "attribute: modality"),
        ("matches: ", "equals: A, matches: "),
        ("attribute: BodyPartExamined, ", ""),
        ("device: auto", "device: gpu"),
    ],
)
def test_what_an_editor_can_see_is_wrong_does_not_fit_the_schema(old: str, new: str) -> None:
    text = SPECIFIED.read_text(encoding="utf-8")
    assert not _valid(text.replace(old, new, 1))


def test_every_key_is_documented() -> None:
    schema = json.loads(json_schema())

    def undocumented(name: str, part: dict[str, Any]) -> list[str]:
        return [
            f"{name}.{key}"
            for key, value in part.get("properties", {}).items()
            # A reference that would only repeat the description of its section leaves it out.
            if not value.get("description") and "$ref" not in value
        ]

    found = undocumented("Settings", schema)
    for name, part in schema["$defs"].items():
        found += undocumented(name, part) + ([] if part.get("description") else [name])
    assert found == []
