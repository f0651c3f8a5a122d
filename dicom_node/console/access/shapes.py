"""The JSON of accounts and tokens. No secret is in it, but a new token's text, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from dicom_node.console.filters import iso
from dicom_node.console.shapes import Shape
from dicom_node.domain.accounts import Role

if TYPE_CHECKING:
    from dicom_node.domain.accounts import Account, ApiToken

__all__ = [
    "AccountOut",
    "Accounts",
    "Me",
    "NewAccount",
    "NewPassword",
    "NewRole",
    "NewToken",
    "TokenMade",
    "TokenOut",
    "Tokens",
    "account_out",
    "token_out",
]

_Name = Annotated[str, Field(min_length=1, max_length=64)]
_Password = Annotated[str, Field(max_length=2000, json_schema_extra={"format": "password"})]


class Me(Shape):
    """Who asks: the token with its owner, and what both may."""

    name: str
    role: Role
    account: int


class AccountOut(Shape):
    """A person; ``by_provider`` when the identity provider lets it in, without a password here."""

    number: int
    name: str
    role: Role
    by_provider: bool
    disabled: bool
    created_at: str
    last_login_at: str | None


class Accounts(Shape):
    """All of them, by name."""

    accounts: list[AccountOut]


class NewAccount(Shape):
    """One more who may log in."""

    name: _Name
    role: Role
    password: _Password


class NewRole(Shape):
    """Another role."""

    role: Role


class NewPassword(Shape):
    """One's own, the old and the new one."""

    old: _Password
    new: _Password


class TokenOut(Shape):
    """A key for a program, without its text."""

    number: int
    name: str
    role: Role
    owner: str
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    last_used_at: str | None


class Tokens(Shape):
    """All of them, the newest first."""

    tokens: list[TokenOut]


class NewToken(Shape):
    """One more; it may no more than who makes it."""

    name: _Name
    role: Role
    days: Annotated[int, Field(ge=1, le=3650)] = 90


class TokenMade(Shape):
    """It was made; ``text`` is told this once, nobody can see it again."""

    token: TokenOut
    text: str


def account_out(account: Account) -> AccountOut:
    """An account."""
    return AccountOut(
        number=account.id,
        name=account.name,
        role=account.role,
        by_provider=bool(account.subject),
        disabled=account.disabled,
        created_at=iso(account.created_at),
        last_login_at=_when(account.last_login_at),
    )


def token_out(token: ApiToken) -> TokenOut:
    """A token."""
    return TokenOut(
        number=token.id,
        name=token.name,
        role=token.role,
        owner=token.owner,
        created_at=iso(token.created_at),
        expires_at=_when(token.expires_at),
        revoked_at=_when(token.revoked_at),
        last_used_at=_when(token.last_used_at),
    )


def _when(unix_s: float | None) -> str | None:
    return None if unix_s is None else iso(unix_s)
