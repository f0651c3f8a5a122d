"""Tokens of programs: made, shown once, revoked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Depends, Form, Path, Request

from dicom_node.audit.events import security_changed
from dicom_node.console import notices
from dicom_node.console.failures import ForbiddenError, NotFoundError, RejectedError
from dicom_node.console.pages import confirmation, page
from dicom_node.console.registry import Entry, Section
from dicom_node.console.security.credentials import digest_of_token, new_token
from dicom_node.console.security.guard import requires
from dicom_node.domain.accounts import Identity, Role

if TYPE_CHECKING:
    from fastapi.responses import HTMLResponse, Response

    from dicom_node.console.parts import Parts

__all__ = ["SECTION"]

router = APIRouter()

Admin = Annotated[Identity, Depends(requires(Role.ADMIN))]
Number = Annotated[int, Path(ge=1, le=2**62)]

_DAY_S: Final = 86400.0


@router.get("/tokens")
def tokens(request: Request, who: Admin) -> HTMLResponse:
    """All of them."""
    return _page(request)


@router.post("/tokens")
def make(
    request: Request,
    who: Admin,
    name: Annotated[str, Form(max_length=64)],
    role: Annotated[Role, Form()],
    days: Annotated[int, Form(ge=1, le=3650)] = 90,
) -> HTMLResponse:
    """A new one; its text is shown this once."""
    parts: Parts = request.app.state.parts
    if not name.strip() or not name.isprintable():
        raise RejectedError("name: give 1 to 64 printable characters")
    if not who.role.allows(role):
        raise ForbiddenError("A token may not do more than the one who makes it.")
    now, text = parts.clock(), new_token()
    parts.accounts.add_token(
        who.account_id,
        name=name.strip(),
        role=role,
        token_digest=digest_of_token(text),
        now=now,
        expires_at=now + days * _DAY_S,
    )
    _audit(parts, who, name, f"token made with the role {role} for {days} days")
    return _page(request, made=text)


@router.get("/tokens/{number}/revoke/confirm")
def confirm(request: Request, who: Admin, number: Number) -> HTMLResponse:
    """Ask."""
    parts: Parts = request.app.state.parts
    token = next((each for each in parts.accounts.tokens() if each.id == number), None)
    if token is None:
        raise NotFoundError("There is no such token.")
    return confirmation(
        request,
        title=f"Revoke the token {token.name}?",
        words="What uses it is refused from now on. This cannot be undone.",
        action=f"/tokens/{number}/revoke",
        verb="Revoke",
        back="/tokens",
        danger=True,
    )


@router.post("/tokens/{number}/revoke")
def revoke(request: Request, who: Admin, number: Number) -> Response:
    """It holds no more."""
    parts: Parts = request.app.state.parts
    token = parts.accounts.revoke_token(number, parts.clock())
    if token is None:
        raise NotFoundError("There is no such token.")
    _audit(parts, who, token.name, "token revoked")
    return notices.done(request, "/tokens", f"The token {token.name} is revoked.")


def _page(request: Request, made: str = "") -> HTMLResponse:
    parts: Parts = request.app.state.parts
    return page(
        request,
        "tokens.html",
        title="API tokens",
        tokens=parts.accounts.tokens(),
        made=made,
        roles=list(Role),
    )


def _audit(parts: Parts, who: Identity, name: str, words: str) -> None:
    parts.record(security_changed(parts.facts.ae_title, who.name, f"token {name}", words))


SECTION: Final = Section(
    name="tokens",
    router=router,
    entries=(Entry(title="API", path="/tokens", order=95, role=Role.ADMIN),),
)
