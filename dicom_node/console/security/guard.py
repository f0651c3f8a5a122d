"""The one guard before every page: who asks, and whether a change was really meant.

It is a dependency of the whole application, so a page that forgets about it is protected too.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from dicom_node.console.failures import ForbiddenError, LoginNeededError
from dicom_node.console.security import sessions, tokens
from dicom_node.domain.accounts import Identity, Role

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["API", "CSRF_FIELD", "CSRF_HEADER", "Somebody", "guard", "requires", "somebody"]

API: Final = "/api/v1"
"""Where programs ask; they bring a token and no cookie counts."""

CSRF_FIELD: Final = "csrf"
CSRF_HEADER: Final = "x-csrf-token"

_SAFE: Final = ("GET", "HEAD", "OPTIONS")
_OWN: Final = ("same-origin", "none")


async def guard(request: Request) -> None:
    """Find out who asks, and let nobody past who may not.

    Raises:
        LoginNeededError: Nobody is logged in, and the page is not public.
        ForbiddenError: A change that did not come from a page of ours.
    """
    path = request.scope["path"].removeprefix(request.scope.get("root_path", "")) or "/"
    for_programs = path == API or path.startswith(f"{API}/")
    find = tokens.from_header if for_programs else sessions.from_cookie
    identity = await run_in_threadpool(find, request)
    request.state.identity = identity
    public = path in request.app.state.public
    if identity is None and not public:
        raise LoginNeededError
    if request.method in _SAFE or for_programs:
        return
    # Browsers say where a request comes from; those that do not are left to the token.
    if request.headers.get("sec-fetch-site", "same-origin") not in _OWN:
        raise ForbiddenError("The request came from another site.")
    if identity is not None and not await _has_token(request, identity.csrf):
        raise ForbiddenError(
            "The page this came from is too old, or it is not ours. Load it again and try again."
        )


async def _has_token(request: Request, expected: str) -> bool:
    given = request.headers.get(CSRF_HEADER)
    if given is None:
        value = (await request.form()).get(CSRF_FIELD)
        given = value if isinstance(value, str) else ""
    return secrets.compare_digest(given.encode(), expected.encode())


def somebody(request: Request) -> Identity:
    """Who asks.

    Raises:
        LoginNeededError: Nobody is logged in.
    """
    identity: Identity | None = request.state.identity
    if identity is None:
        raise LoginNeededError
    return identity


Somebody = Annotated[Identity, Depends(somebody)]
"""Who asks, as an argument of a page."""


def requires(role: Role) -> Callable[[Request], Identity]:
    """A dependency that lets only a role, and those above it, past.

    Raises:
        ForbiddenError: The role of who asks does not allow it.
    """

    def check(request: Request) -> Identity:
        identity = somebody(request)
        if not identity.role.allows(role):
            raise ForbiddenError(f"This needs the role {role.value}; yours is {identity.role}.")
        return identity

    return check
