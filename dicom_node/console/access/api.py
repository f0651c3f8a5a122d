"""Accounts and tokens for programs: what the pages do, over JSON."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request

from dicom_node.console.access import deeds, shapes
from dicom_node.console.access.people import Admin, Number
from dicom_node.console.errors import answers
from dicom_node.console.parts import parts_of
from dicom_node.console.registry import Section
from dicom_node.console.security.guard import API, Somebody

__all__ = ["SECTION"]

_ANSWERS: Final = {
    409: "There is one of this name, or it is the last admin.",
    422: "Not understood, or a password that may not be used.",
    429: "The old password was wrong too often.",
}

router = APIRouter(prefix=API, responses=answers(_ANSWERS))


@router.get("/account")
def own(request: Request, who: Somebody) -> shapes.Me:
    """Who asks, and what that one may."""
    return shapes.Me(name=who.name, role=who.role, account=who.account_id)


@router.post("/account/password", status_code=204)
def change_password(request: Request, who: Somebody, wanted: shapes.NewPassword) -> None:
    """Another password for the account that owns the token; all its sessions end."""
    deeds.change_password(request, who, wanted.old, wanted.new)


@router.get("/accounts")
def accounts(request: Request, who: Admin) -> shapes.Accounts:
    """Who may log in."""
    found = parts_of(request).accounts.accounts()
    return shapes.Accounts(accounts=[shapes.account_out(each) for each in found])


@router.post("/accounts")
def add(request: Request, who: Admin, wanted: shapes.NewAccount) -> shapes.AccountOut:
    """Let one more log in."""
    made = deeds.add_account(parts_of(request), who, wanted.name, wanted.role, wanted.password)
    return shapes.account_out(made)


@router.post("/accounts/{number}/role")
def change_role(
    request: Request, who: Admin, number: Number, wanted: shapes.NewRole
) -> shapes.AccountOut:
    """Another role; its sessions end."""
    deeds.change_role(parts_of(request), who, number, wanted.role)
    return _account(request, number)


@router.post("/accounts/{number}/disable")
def disable(request: Request, who: Admin, number: Number) -> shapes.AccountOut:
    """It may log in no more; its sessions and tokens end."""
    deeds.switch_account(parts_of(request), who, number, disabled=True)
    return _account(request, number)


@router.post("/accounts/{number}/enable")
def enable(request: Request, who: Admin, number: Number) -> shapes.AccountOut:
    """It may log in again."""
    deeds.switch_account(parts_of(request), who, number, disabled=False)
    return _account(request, number)


@router.get("/tokens")
def tokens(request: Request, who: Admin) -> shapes.Tokens:
    """Keys of programs, without their texts."""
    found = parts_of(request).accounts.tokens()
    return shapes.Tokens(tokens=[shapes.token_out(each) for each in found])


@router.post("/tokens")
def make(request: Request, who: Admin, wanted: shapes.NewToken) -> shapes.TokenMade:
    """One more; its text is told this once."""
    made, text = deeds.make_token(
        parts_of(request), who, wanted.name, wanted.role, days=wanted.days
    )
    return shapes.TokenMade(token=shapes.token_out(made), text=text)


@router.delete("/tokens/{number}")
def revoke(request: Request, who: Admin, number: Number) -> shapes.TokenOut:
    """It holds no more, at once; its line is kept."""
    return shapes.token_out(deeds.revoke_token(parts_of(request), who, number))


def _account(request: Request, number: int) -> shapes.AccountOut:
    return shapes.account_out(deeds.known(parts_of(request), number))


SECTION: Final = Section(name="accounts for programs", router=router)
