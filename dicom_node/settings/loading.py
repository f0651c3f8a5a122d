"""From a file to `Settings`: all problems at once, each with its path and line."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from dicom_node.domain.errors import ConfigurationError
from dicom_node.settings import document, references
from dicom_node.settings.origin import Origin
from dicom_node.settings.problems import Problem, problems_of
from dicom_node.settings.root import Settings

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["json_schema", "load", "load_text", "problems_in"]

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def load(path: Path) -> Settings:
    """Read and check a configuration. Relative paths in it start at the file's folder.

    Raises:
        ConfigurationError: With every problem of the file.
    """
    return load_text(document.read_text(path), path)


def load_text(text: str, path: Path) -> Settings:
    """Check the text of a configuration as `load` does its file.

    Args:
        text: YAML.
        path: Where it lies or will lie.

    Raises:
        ConfigurationError: With every problem of the text.
    """
    settings, problems = _checked(text, path)
    if settings is None or problems:
        raise ConfigurationError(*(_in_words(each) for each in problems))
    return settings


def problems_in(text: str, path: Path) -> tuple[Problem, ...]:
    """What `load_text` would raise, each with its place and line; empty when it is a configuration.

    Args:
        text: YAML.
        path: Where it lies or will lie.
    """
    try:
        return tuple(_checked(text, path)[1])
    except ConfigurationError as error:
        prefix = f"{path}: "
        return tuple(_unlocated(each.removeprefix(prefix)) for each in error.problems)


def _checked(text: str, path: Path) -> tuple[Settings | None, list[Problem]]:
    read = document.parse(text, path)
    if not isinstance(read.data, dict):
        what = "is empty" if read.data is None else "is not a mapping of sections"
        raise ConfigurationError(f"{path}: {what}: begin with node: {{ae_title: ...}}")
    problems = references.check(read.data)
    settings = None
    try:
        settings = Settings.model_validate(read.data, context={"base": path.absolute().parent})
    except ValidationError as error:
        problems = problems_of(error, Settings) + problems
    else:
        settings.came_from(Origin(path=path, text=text))
    located = [replace(each, line=read.line(each.location)) for each in problems]
    return settings, sorted(located, key=lambda each: each.line or 0)


def _in_words(problem: Problem) -> str:
    return f"{problem} (line {problem.line})" if problem.line is not None else str(problem)


def _unlocated(message: str) -> Problem:
    found = re.search(r"\blines? (\d+)", message)
    return Problem(location=(), message=message, line=int(found[1]) if found else None)


def json_schema() -> str:
    """JSON Schema of the configuration, for editors; ends with a newline."""
    schema: dict[str, Any] = {"$schema": _DIALECT, **Settings.model_json_schema()}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
