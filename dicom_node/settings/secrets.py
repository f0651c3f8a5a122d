"""Secrets stand outside the configuration: in a file, or in an environment variable."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import AfterValidator, Field, ValidationInfo

from dicom_node.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Variable", "instead_of", "read_secret"]

_PATTERN: Final = "^[A-Za-z_][A-Za-z0-9_]*$"


def _variable(name: str) -> str:
    if re.fullmatch(_PATTERN.strip("^$"), name) is None:
        raise ValueError(
            "a variable's name has letters, digits and _: give the name, not what it holds"
        )
    return name


Variable = Annotated[str, AfterValidator(_variable), Field(json_schema_extra={"pattern": _PATTERN})]
"""Name of an environment variable."""


def instead_of(file_key: str) -> AfterValidator:
    """Of a variable that stands instead of a file: the keys are not both given."""

    def check(variable: str, others: ValidationInfo) -> str:
        if others.data.get(file_key) is not None:
            raise ValueError(f"give {file_key} or {others.field_name}, not both")
        return variable

    return AfterValidator(check)


def read_secret(where: str, file: Path | None, variable: str | None) -> str:
    """The first line of a file, or what a variable holds.

    Args:
        where: Path of the setting in the configuration, without ``_file`` or ``_env``.
        file: With the secret.
        variable: That holds it.

    Raises:
        ConfigurationError: It is not there, or empty.
    """
    if variable is not None:
        found = os.environ.get(variable, "")
        if not found:
            raise ConfigurationError(f"{where}_env: {variable} is not set")
        return found
    if file is None:
        raise ConfigurationError(f"{where}: give {where}_file or {where}_env")
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigurationError(f"{where}_file: {file} cannot be read: {reason}") from None
    if not lines or not lines[0]:
        raise ConfigurationError(f"{where}_file: {file} is empty")
    return lines[0]
