"""The cookies of the console: one for the session, short-lived ones for a login and a notice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from fastapi import Request, Response

    from dicom_node.domain.console import Access

__all__ = ["drop", "read", "write"]


def _name(request: Request, name: str) -> str:
    # Over TLS the prefix keeps other hosts of the domain and plain connections from setting it; it
    # needs a path of "/", so not where the console shares its host with others (RFC 6265bis).
    access: Access = request.app.state.parts.access
    prefix = "__Host-" if _secure(request) and not access.root_path else ""
    return f"{prefix}dicom_node_{name}"


def _secure(request: Request) -> bool:
    access: Access = request.app.state.parts.access
    return access.is_https or request.url.scheme == "https"


def read(request: Request, name: str) -> str:
    """The value of a cookie; empty when there is none."""
    return request.cookies.get(_name(request, name), "")


def write(
    request: Request,
    response: Response,
    name: str,
    value: str,
    *,
    max_age_s: int | None = None,
    same_site: Literal["lax", "strict"] = "lax",
) -> None:
    """Set a cookie that scripts do not see.

    Args:
        request: To which this is the answer.
        response: The answer.
        name: Of the cookie.
        value: Of the cookie.
        max_age_s: Left out, until the browser closes.
        same_site: ``lax`` where a link from elsewhere, as from the identity provider, must find it.
    """
    response.set_cookie(
        _name(request, name),
        value,
        max_age=max_age_s,
        path=request.app.state.parts.access.root_path or "/",
        secure=_secure(request),
        httponly=True,
        samesite=same_site,
    )


def drop(request: Request, response: Response, name: str) -> None:
    """Have the browser forget a cookie."""
    response.delete_cookie(
        _name(request, name),
        path=request.app.state.parts.access.root_path or "/",
        secure=_secure(request),
        httponly=True,
    )
