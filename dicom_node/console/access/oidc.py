"""Logging in with an identity provider: the way there, and the way back."""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse

from dicom_node.audit.events import user_authentication
from dicom_node.console.access.returning import safe_next
from dicom_node.console.failures import (
    ConsoleError,
    ForbiddenError,
    NotFoundError,
    TooManyError,
)
from dicom_node.console.registry import Section
from dicom_node.console.security import cookies, sessions
from dicom_node.domain.errors import IntegrityError

if TYPE_CHECKING:
    from fastapi.responses import Response

    from dicom_node.console.parts import Parts
    from dicom_node.console.security.provider import Claimed, Provider
    from dicom_node.console.security.throttle import Throttle
    from dicom_node.domain.accounts import Account

__all__ = ["BACK", "SECTION"]

AWAY: Final = "/login/oidc"
BACK: Final = "/login/oidc/callback"

_COOKIE: Final = "oidc"
"""Cookie of a browser that left for the provider: no other may come back in its place."""

_AWAY_AT_MOST_S: Final = 600

router = APIRouter()


@router.get(AWAY)
def leave(request: Request, next: Annotated[str, Query(max_length=2000)] = "/") -> Response:
    """Go to the provider."""
    parts: Parts = request.app.state.parts
    departure = _provider(request).depart(parts.clock())
    response = RedirectResponse(departure.url, status_code=303)
    where = base64.urlsafe_b64encode(safe_next(next).encode()).decode()
    kept = ".".join((departure.state, departure.nonce, departure.verifier, where))
    # Lax: the provider's page sends the browser back here, and that is another site.
    cookies.write(request, response, _COOKIE, kept, max_age_s=_AWAY_AT_MOST_S, same_site="lax")
    return response


@router.get(BACK)
def come_back(
    request: Request,
    state: Annotated[str, Query(max_length=200)] = "",
    code: Annotated[str, Query(max_length=4000)] = "",
    error: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Come back from it, and be logged in."""
    parts: Parts = request.app.state.parts
    throttle: Throttle = request.app.state.throttle
    provider = _provider(request)
    now, counted = parts.clock(), f"address {sessions.address_of(request)}"
    if throttle.wait_s(counted, now=now) > 0:
        raise TooManyError("Too many failed logins. Wait a minute, then try again.")
    kept = cookies.read(request, _COOKIE).split(".")
    if len(kept) != 4 or not secrets.compare_digest(kept[0].encode(), state.encode()):
        raise ForbiddenError("This login did not begin in this browser, or it took too long.")
    try:
        if error or not code:
            raise ForbiddenError("The identity provider did not let you in.")
        claimed = provider.arrive(code, nonce=kept[1], verifier=kept[2], now=now)
        account = _account(parts, claimed)
    except ConsoleError:
        throttle.failed(counted, now=now)
        _audit_failure(request, parts)
        raise
    target = safe_next(base64.urlsafe_b64decode(kept[3].encode()).decode())
    response = RedirectResponse(request.scope.get("root_path", "") + target, status_code=303)
    sessions.begin(request, response, account)
    cookies.drop(request, response, _COOKIE)
    return response


def _provider(request: Request) -> Provider:
    found: Provider | None = request.app.state.provider
    if found is None:
        raise NotFoundError("No identity provider is configured here.")
    return found


def _account(parts: Parts, claimed: Claimed) -> Account:
    """The account of who came back: made at the first time, its role as the provider says now."""
    found = parts.accounts.account_of_subject(claimed.subject)
    if claimed.role is None:
        raise ForbiddenError(
            f"The identity provider knows you as {claimed.name}, and gives you no role here. "
            "Ask an administrator of the node."
        )
    if found is None:
        return _new_account(parts, claimed)
    if found.disabled:
        raise ForbiddenError("This account is disabled here. Ask an administrator of the node.")
    if found.role is not claimed.role:
        parts.accounts.change_account(found.id, role=claimed.role, now=parts.clock())
    return parts.accounts.account_of_subject(claimed.subject) or found


def _new_account(parts: Parts, claimed: Claimed) -> Account:
    assert claimed.role is not None
    # A name that is taken belongs to somebody else, who must not be got into by being called so.
    for name in (claimed.name, *(f"{claimed.name[:58]} ({number})" for number in range(2, 100))):
        if parts.accounts.account(name) is not None:
            continue
        try:
            return parts.accounts.add_account(
                name, claimed.role, password_hash="", subject=claimed.subject, now=parts.clock()
            )
        except IntegrityError:  # somebody was faster
            continue
    raise ForbiddenError(f"There are too many accounts that are called {claimed.name}.")


def _audit_failure(request: Request, parts: Parts) -> None:
    parts.record(
        user_authentication(
            parts.facts.ae_title,
            "somebody from the identity provider",
            sessions.address_of(request),
            logs_in=True,
            succeeded=False,
        )
    )


SECTION: Final = Section(name="oidc", router=router, public=frozenset({AWAY, BACK}))
