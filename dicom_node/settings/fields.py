"""The kinds of values a configuration is made of, each with its own rule."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
)

from dicom_node.domain.header import ROUTING_KEYWORDS
from dicom_node.settings.problems import did_you_mean

__all__ = [
    "AeTitle",
    "Attribute",
    "Expression",
    "FilePath",
    "Flag",
    "Host",
    "Name",
    "Networks",
    "Number",
    "Port",
    "Section",
    "Text",
    "Whole",
    "host",
    "placed",
]

AE_TITLE_LENGTH: Final = 16
"""Longest AE title (PS3.5 6.2)."""


class Section(BaseModel):
    """Base of every part of the configuration: frozen, and an unknown key is an error."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )


def _ae_title(text: str) -> str:
    # PS3.5 6.2: up to 16 characters of the default repertoire, no backslash, no control
    # characters; leading and trailing spaces mean nothing, and it may not be spaces alone.
    title = text.strip(" ")
    if not title:
        raise ValueError("an AE title is not empty")
    if len(title) > AE_TITLE_LENGTH:
        raise ValueError(
            f"an AE title has at most {AE_TITLE_LENGTH} characters (PS3.5 6.2), "
            f"{title!r} has {len(title)}"
        )
    if not re.fullmatch(r"[\x20-\x5b\x5d-\x7e]+", title):
        raise ValueError(
            f"an AE title holds printable ASCII without a backslash (PS3.5 6.2), not {title!r}"
        )
    return title


def host(text: str) -> str:
    """A host name or address, without spaces around it.

    Raises:
        ValueError: It is something else.
    """
    found = text.strip()
    if not found or re.search(r"\s|/", found):
        raise ValueError(f"give a host name or an IP address without port or scheme, not {text!r}")
    return found


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", text):
        raise ValueError(
            f"a name has 1 to 64 letters, digits, '.', '_' and '-' and begins with a letter or "
            f"digit, not {text!r}"
        )
    return text


def _attribute(keyword: str) -> str:
    if keyword not in ROUTING_KEYWORDS:
        raise ValueError(
            f"{keyword!r} is not an attribute rules may ask about"
            f"{did_you_mean(keyword, ROUTING_KEYWORDS, otherwise='one of')}"
        )
    return keyword


def _expression(pattern: str) -> str:
    try:
        re.compile(pattern, re.IGNORECASE)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
    return pattern


def _text(value: Any) -> Any:
    # ``equals: 12`` is a number to YAML and text to DICOM; a truth value is most likely a slip.
    if isinstance(value, bool):
        raise ValueError(f"is a truth value to YAML: write it in quotes, '{str(value).lower()}'")
    return repr(value).removesuffix(".0") if isinstance(value, int | float) else value


def placed(path: Path, info: ValidationInfo) -> Path:
    """A path relative to the configuration's folder, with ``~`` for a home, as it is meant.

    Raises:
        ValueError: It names the home of nobody.
    """
    base = (info.context or {}).get("base")
    try:
        expanded = path.expanduser()
    except RuntimeError:
        raise ValueError(f"{str(path)!r} begins with the name of nobody here") from None
    return Path(base) / expanded if base is not None else expanded


def _networks(addresses: tuple[str, ...]) -> tuple[str, ...]:
    for address in addresses:
        try:
            ipaddress.ip_network(address)
        except ValueError:
            raise ValueError(f"give addresses or networks, not {address!r}") from None
    return addresses


Whole = Annotated[int, Field(strict=True)]
"""A whole number; a quoted one is a slip."""

Number = Annotated[float, Field(strict=True)]
"""A finite number."""

Flag = Annotated[bool, Field(strict=True)]
"""``true`` or ``false``."""

Port = Annotated[int, Field(strict=True, ge=0, le=65535)]
"""A TCP port."""

AeTitle = Annotated[str, AfterValidator(_ae_title), Field(json_schema_extra={"maxLength": 16})]
"""An application entity title (PS3.5 6.2)."""

Host = Annotated[str, AfterValidator(host)]
"""A host name or address."""

Name = Annotated[str, AfterValidator(_name)]
"""What other parts of the configuration, the ledger and people call a thing by."""

Attribute = Annotated[
    str, AfterValidator(_attribute), Field(json_schema_extra={"enum": list(ROUTING_KEYWORDS)})
]
"""A keyword of `ROUTING_KEYWORDS`."""

Expression = Annotated[
    str, AfterValidator(_expression), Field(json_schema_extra={"format": "regex"})
]
"""A regular expression in Python's syntax, searched without regard to case."""

Text = Annotated[
    str, BeforeValidator(_text), WithJsonSchema({"type": ["string", "number"]}, mode="validation")
]
"""A value to compare with; a number stands for its digits."""

Networks = Annotated[tuple[str, ...], AfterValidator(_networks)]
"""IP addresses, and networks in CIDR notation."""

FilePath = Annotated[Path, AfterValidator(placed)]
"""A path; a relative one starts at the folder of the configuration file, so that it means the
same from every working directory."""
