"""How a destination is reached: by an AE title and an address, or by the URL of a web service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ServiceUrl", "TargetUrl", "address", "problem"]


def _target(text: str) -> str:
    parts = urlsplit(text)
    try:
        port_is_one = parts.port is None or parts.port > 0
    except ValueError:
        port_is_one = False
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_one:
        raise ValueError("give http://HOST/PATH or https://HOST/PATH")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a password does not stand in the configuration, but in a file")
    return text


def _url(text: str) -> str:
    parts = urlsplit(_target(text))
    if parts.query or parts.fragment:
        raise ValueError("the URL of a service has neither ? nor #")
    return text.rstrip("/")


ServiceUrl = Annotated[
    str, AfterValidator(_url), Field(json_schema_extra={"format": "uri", "pattern": "^https?://"})
]
"""Where a web service is, without a slash at the end."""

TargetUrl = Annotated[
    str,
    AfterValidator(_target),
    Field(json_schema_extra={"format": "uri", "pattern": "^https?://"}),
]
"""An address that is called as it is, with its query."""


def problem(
    *,
    url: str | None,
    address: Mapping[str, object],
    authorizations: tuple[object, object],
    commits: bool,
    moves: bool,
    tls: bool,
) -> str:
    """What is wrong with how a destination is reached; empty when nothing is.

    Args:
        url: Of its web service.
        address: Its AE title, host and port.
        authorizations: File and variable of the header.
        commits: Whether it is to commit.
        moves: Whether studies come by C-MOVE.
        tls: Whether it has a section about TLS.
    """
    missing = [key for key, value in address.items() if value is None]
    if url is None:
        if missing:
            return f"{', '.join(missing)}: is missing; or give the url of a DICOMweb service"
        if authorizations != (None, None):
            return "authorization is for a url"
        return ""
    if len(missing) < len(address):
        return "give either a url, or ae_title, host and port"
    if commits:
        return "commitment: there is none by DICOMweb, where the answer to each store is final"
    if moves:
        return "retrieve: move is for an AE title; from a url studies come by WADO-RS"
    if tls and not url.startswith("https:"):
        return "tls is for a url with https"
    return ""


def address(url: str | None, host: str | None, port: int | None) -> tuple[str, int]:
    """Host and port that are called."""
    if url is None:
        return host or "", port or 0
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
