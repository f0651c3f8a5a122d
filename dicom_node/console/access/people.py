"""Accounts, for admins; and one's own, for everybody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Depends, Form, Path, Request

from dicom_node.console import notices
from dicom_node.console.access import deeds
from dicom_node.console.pages import page
from dicom_node.console.registry import Entry, Section
from dicom_node.console.security.guard import Somebody, requires
from dicom_node.domain.accounts import Identity, Role

if TYPE_CHECKING:
    from fastapi.responses import HTMLResponse, Response

    from dicom_node.console.parts import Parts

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
    made = deeds.add_account(request.app.state.parts, who, name, role, password)
    return notices.done(request, "/accounts", f"{made.name} may log in as {role}.")


@router.post("/accounts/{number}/role")
def change_role(
    request: Request, who: Admin, number: Number, role: Annotated[Role, Form()]
) -> Response:
    """Another role; its sessions end."""
    words = deeds.change_role(request.app.state.parts, who, number, role)
    return notices.done(request, "/accounts", words)


@router.post("/accounts/{number}/disable")
def disable(request: Request, who: Admin, number: Number) -> Response:
    """It may log in no more; its sessions and tokens end."""
    words = deeds.switch_account(request.app.state.parts, who, number, disabled=True)
    return notices.done(request, "/accounts", words)


@router.post("/accounts/{number}/enable")
def enable(request: Request, who: Admin, number: Number) -> Response:
    """It may log in again."""
    words = deeds.switch_account(request.app.state.parts, who, number, disabled=False)
    return notices.done(request, "/accounts", words)


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
    deeds.change_password(request, who, old, new)
    return notices.done(request, "/login", "The password is changed. Log in with the new one.")


SECTION: Final = Section(
    name="people",
    router=router,
    entries=(Entry(title="Accounts", path="/accounts", order=90, role=Role.ADMIN),),
)
