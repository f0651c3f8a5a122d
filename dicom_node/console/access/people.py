"""Accounts, for admins; and one's own, for everybody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Depends, Form, Path, Request

from dicom_node.audit.events import security_changed
from dicom_node.console import notices
from dicom_node.console.failures import NotFoundError, RejectedError, TooManyError
from dicom_node.console.pages import page
from dicom_node.console.registry import Entry, Section
from dicom_node.console.security.credentials import (
    check_new_password,
    hash_password,
    verify_password,
)
from dicom_node.console.security.guard import Somebody, requires
from dicom_node.domain.accounts import Account, Identity, Role

if TYPE_CHECKING:
    from fastapi.responses import HTMLResponse, Response

    from dicom_node.console.parts import Parts
    from dicom_node.console.security.throttle import Throttle

__all__ = ["SECTION"]

router = APIRouter()

Admin = Annotated[Identity, Depends(requires(Role.ADMIN))]
Number = Annotated[int, Path(ge=1, le=2**62)]
Password = Annotated[str, Form(max_length=2000)]


@router.get("/accounts")
def accounts(request: Request, who: Admin) -> HTMLResponse:
    """All of them."""
    parts: Parts = request.app.state.parts
    return page(
        request,
        "accounts.html",
        title="Accounts",
        accounts=parts.accounts.accounts(),
        roles=list(Role),
    )


@router.post("/accounts")
def add(
    request: Request,
    who: Admin,
    name: Annotated[str, Form(max_length=64)],
    role: Annotated[Role, Form()],
    password: Password,
) -> Response:
    """A new one."""
    parts: Parts = request.app.state.parts
    if not name.strip() or not name.isprintable():
        raise RejectedError("name: give 1 to 64 printable characters")
    check_new_password(password, name)
    parts.accounts.add_account(
        name.strip(), role, password_hash=hash_password(password), now=parts.clock()
    )
    _audit(parts, who, name, f"made with the role {role}")
    return notices.done(request, "/accounts", f"{name} may log in as {role}.")


@router.post("/accounts/{number}/role")
def change_role(
    request: Request, who: Admin, number: Number, role: Annotated[Role, Form()]
) -> Response:
    """Another role; its sessions end."""
    return _change(request, who, number, f"role changed to {role}", role=role)


@router.post("/accounts/{number}/disable")
def disable(request: Request, who: Admin, number: Number) -> Response:
    """It may log in no more; its sessions and tokens end."""
    return _change(request, who, number, "disabled", disabled=True)


@router.post("/accounts/{number}/enable")
def enable(request: Request, who: Admin, number: Number) -> Response:
    """It may log in again."""
    return _change(request, who, number, "enabled", disabled=False)


@router.get("/account")
def own(request: Request, who: Somebody) -> HTMLResponse:
    """One's own."""
    parts: Parts = request.app.state.parts
    return page(
        request,
        "account.html",
        title="My account",
        sessions=parts.accounts.sessions(who.account_id, parts.clock()),
        has_password=bool(parts.accounts.password_hash(who.account_id)),
    )


@router.post("/account/password")
def change_password(request: Request, who: Somebody, old: Password, new: Password) -> Response:
    """Another password; all sessions end, this one too."""
    parts: Parts = request.app.state.parts
    throttle: Throttle = request.app.state.throttle
    now, counted = parts.clock(), f"account {who.name.casefold()}"
    if throttle.wait_s(counted, now=now) > 0:
        raise TooManyError("Wait a minute, then try again.")
    if not verify_password(parts.accounts, who.account_id, old):
        throttle.failed(counted, now=now)
        raise RejectedError("The old password is wrong.")
    check_new_password(new, who.name)
    parts.accounts.change_account(
        who.account_id, password_hash=hash_password(new), now=parts.clock()
    )
    _audit(parts, who, who.name, "password changed")
    return notices.done(request, "/login", "The password is changed. Log in with the new one.")


def _change(request: Request, who: Admin, number: int, words: str, **change: Any) -> Response:
    parts: Parts = request.app.state.parts
    account = _known(parts, number)
    parts.accounts.change_account(account.id, now=parts.clock(), **change)
    _audit(parts, who, account.name, words)
    return notices.done(request, "/accounts", f"{account.name}: {words}.")


def _known(parts: Parts, number: int) -> Account:
    for each in parts.accounts.accounts():
        if each.id == number:
            return each
    raise NotFoundError("There is no such account.")


def _audit(parts: Parts, who: Identity, name: str, words: str) -> None:
    parts.record(security_changed(parts.facts.ae_title, who.name, f"account {name}", words))


SECTION: Final = Section(
    name="people",
    router=router,
    entries=(Entry(title="Accounts", path="/accounts", order=90, role=Role.ADMIN),),
)
