"""Tokens of programs: made, shown once, revoked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Depends, Form, Path, Request

from dicom_node.console import notices
from dicom_node.console.access import deeds
from dicom_node.console.failures import NotFoundError
from dicom_node.console.pages import confirmation, page
from dicom_node.console.registry import Entry, Section
from dicom_node.console.security.guard import requires
from dicom_node.domain.accounts import Identity, Role

if TYPE_CHECKING:
    from fastapi.responses import HTMLResponse, Response

    from dicom_node.console.parts import Parts

__all__ = ["SECTION"]

router = APIRouter()

Admin = Annotated[Identity, Depends(requires(Role.ADMIN))]
Number = Annotated[int, Path(ge=1, le=2**62)]


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
    _, text = deeds.make_token(request.app.state.parts, who, name, role, days=days)
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
    token = deeds.revoke_token(request.app.state.parts, who, number)
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


SECTION: Final = Section(
    name="tokens",
    router=router,
    entries=(Entry(title="API", path="/tokens", order=95, role=Role.ADMIN),),
)
