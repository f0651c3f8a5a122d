"""Logging in with a password, and logging out."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from dicom_node.audit.events import user_authentication
from dicom_node.console.access.returning import safe_next
from dicom_node.console.failures import ForbiddenError
from dicom_node.console.pages import page
from dicom_node.console.registry import Section
from dicom_node.console.security import cookies, sessions
from dicom_node.console.security.credentials import new_secret, verify_password
from dicom_node.console.security.guard import Somebody

if TYPE_CHECKING:
    from fastapi.responses import HTMLResponse

    from dicom_node.console.parts import Parts
    from dicom_node.console.security.throttle import Throttle

__all__ = ["SECTION"]

_BEFORE: Final = "login"
"""Cookie that proves that the login form was ours: there is no session yet to hold a secret."""

router = APIRouter()


@router.get("/login")
def form(request: Request, next: str = "/") -> Response:
    """The form."""
    if request.state.identity is not None:
        return RedirectResponse(
            request.scope.get("root_path", "") + safe_next(next), status_code=303
        )
    return _form(request, next)


@router.post("/login")
def log_in(
    request: Request,
    name: Annotated[str, Form(max_length=200)] = "",
    password: Annotated[str, Form(max_length=2000)] = "",
    before: Annotated[str, Form(max_length=200)] = "",
    next: Annotated[str, Form(max_length=2000)] = "/",
) -> Response:
    """Try a password."""
    kept = cookies.read(request, _BEFORE)
    if not kept or not secrets.compare_digest(kept.encode(), before.encode()):
        raise ForbiddenError(
            "The login form is too old, or cookies are turned off. Go to the login page again."
        )
    parts: Parts = request.app.state.parts
    throttle: Throttle = request.app.state.throttle
    now, address = parts.clock(), sessions.address_of(request)
    counted = (f"account {name.casefold()}", f"address {address}")
    wait_s = throttle.wait_s(*counted, now=now)
    if wait_s > 0:
        return _form(
            request,
            next,
            problem=f"Too many failed logins. Try again in {wait_s:.0f} seconds.",
            name=name,
            status=429,
            headers={"Retry-After": f"{wait_s:.0f}"},
        )
    account = parts.accounts.account(name)
    usable = account is not None and not account.disabled
    right = verify_password(parts.accounts, account.id if account else None, password)
    if account is None or not usable or not right:
        throttle.failed(*counted, now=now)
        parts.record(
            user_authentication(
                parts.facts.ae_title, name[:64], address, logs_in=True, succeeded=False
            )
        )
        # The same words for all reasons: nobody learns here which names there are.
        return _form(request, next, problem="Name or password is wrong.", name=name, status=401)
    throttle.succeeded(counted[0])
    where = request.scope.get("root_path", "") + safe_next(next)
    response = RedirectResponse(where, status_code=303)
    sessions.begin(request, response, account)
    cookies.drop(request, response, _BEFORE)
    return response


@router.post("/logout")
def log_out(request: Request, who: Somebody) -> Response:
    """Log out, in this browser."""
    response = RedirectResponse(f"{request.scope.get('root_path', '')}/login", status_code=303)
    sessions.end(request, response)
    return response


@router.post("/logout/everywhere")
def log_out_everywhere(request: Request, who: Somebody) -> Response:
    """End all sessions of this account."""
    response = RedirectResponse(f"{request.scope.get('root_path', '')}/login", status_code=303)
    sessions.end(request, response, everywhere=True)
    return response


def _form(
    request: Request,
    next_path: str,
    *,
    problem: str = "",
    name: str = "",
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> HTMLResponse:
    secret = new_secret()
    response = page(
        request,
        "login.html",
        title="Log in",
        status=status,
        headers=headers,
        before=secret,
        next=safe_next(next_path),
        problem=problem,
        name=name,
        provider=request.app.state.parts.access.provider,
    )
    cookies.write(request, response, _BEFORE, secret, max_age_s=3600, same_site="strict")
    return response


SECTION: Final = Section(name="login", router=router, public=frozenset({"/login"}))
