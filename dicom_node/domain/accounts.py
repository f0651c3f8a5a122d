"""People and programs that use the console: who they are and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = ["Account", "ApiToken", "Identity", "Role", "Session"]


class Role(StrEnum):
    """What somebody may do; each role may all that the ones before it may."""

    VIEWER = "viewer"
    """Look, with patients' identifiers masked."""
    OPERATOR = "operator"
    """Also release, cancel, retry and send, and see patients' identifiers."""
    ADMIN = "admin"
    """Also change the configuration, accounts and tokens."""

    def allows(self, needed: Role) -> bool:
        """Whether this role may what another one may."""
        return _RANK[self] >= _RANK[needed]


_RANK: Final = {role: rank for rank, role in enumerate(Role)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A person.

    Attributes:
        id: Number of the row.
        name: Unique without regard to case.
        role: See `Role`.
        subject: Who it is at the identity provider, as ``issuer subject``; empty for an account
            with a password here.
        disabled: It may not log in.
        created_at: Unix seconds.
        last_login_at: Unix seconds; None when it never did.
    """

    id: int
    name: str
    role: Role
    subject: str
    disabled: bool
    created_at: float
    last_login_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A browser in which somebody logged in.

    Attributes:
        id: Number of the row.
        account: Whose.
        csrf: The secret that every change made from its pages carries.
        created_at: Unix seconds.
        seen_at: Unix seconds of about the last use.
        expires_at: Unix seconds at which it ends, however busy it is.
        address: It came from.
    """

    id: int
    account: Account
    csrf: str
    created_at: float
    seen_at: float
    expires_at: float
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """A key for a program. Only its hash is kept.

    Attributes:
        id: Number of the row.
        name: What people call it.
        role: What it may; never more than its owner may.
        owner: Name of the account that made it.
        created_at: Unix seconds.
        expires_at: Unix seconds; None: it does not end by itself.
        revoked_at: Unix seconds; None while it holds.
        last_used_at: Unix seconds of about the last use.
    """

    id: int
    name: str
    role: Role
    owner: str
    created_at: float
    expires_at: float | None
    revoked_at: float | None
    last_used_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who asks, as a request proved it.

    Attributes:
        name: Of the account, or of the token and its owner.
        role: What it may.
        account_id: Of the account, or of the token's owner.
        session_id: Of a browser; None for a token.
        csrf: Secret of the session; empty for a token.
    """

    name: str
    role: Role
    account_id: int
    session_id: int | None = None
    csrf: str = ""
