"""From a file to `Settings`: all problems at once, each with its path and line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from dicom_node.domain.errors import ConfigurationError
from dicom_node.settings import document, references
from dicom_node.settings.problems import problems_of
from dicom_node.settings.root import Settings

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["json_schema", "load"]

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def load(path: Path) -> Settings:
    """Read and check a configuration. Relative paths in it start at the file's folder.

    Raises:
        ConfigurationError: With every problem of the file.
    """
    read = document.read(path)
    if not isinstance(read.data, dict):
        what = "is empty" if read.data is None else "is not a mapping of sections"
        raise ConfigurationError(f"{path}: {what}: begin with node: {{ae_title: ...}}")
    problems = references.check(read.data)
    try:
        settings = Settings.model_validate(read.data, context={"base": path.absolute().parent})
    except ValidationError as error:
        problems = problems_of(error, Settings) + problems
    if problems:
        in_order = sorted(problems, key=lambda each: read.line(each.location) or 0)
        raise ConfigurationError(*(read.located(each) for each in in_order))
    return settings


def json_schema() -> str:
    """JSON Schema of the configuration, for editors; ends with a newline."""
    schema: dict[str, Any] = {"$schema": _DIALECT, **Settings.model_json_schema()}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
