"""The accounts, sessions and tokens of the console."""

from __future__ import annotations

from typing import Protocol

from dicom_node.domain.accounts import Account, ApiToken, Role, Session

__all__ = ["AccountStore"]


class AccountStore(Protocol):
    """Rows of people and programs. Every method is one transaction.

    Secrets are never stored: of a session and a token the SHA-256 of its random text, of a
    password its Argon2 hash.
    """

    def add_account(
        self, name: str, role: Role, *, password_hash: str, subject: str = "", now: float
    ) -> Account:
        """A new account.

        Raises:
            IntegrityError: There is one of this name.
        """
        ...

    def account(self, name: str) -> Account | None:
        """By name, without regard to case."""
        ...

    def account_of_subject(self, subject: str) -> Account | None:
        """By who it is at the identity provider."""
        ...

    def accounts(self) -> tuple[Account, ...]:
        """All, by name."""
        ...

    def password_hash(self, account_id: int) -> str:
        """Empty when it has no password."""
        ...

    def change_account(
        self,
        account_id: int,
        *,
        role: Role | None = None,
        disabled: bool | None = None,
        password_hash: str | None = None,
        now: float,
    ) -> None:
        """Change what is given. Its sessions end, as do the tokens of one that is disabled.

        Raises:
            IntegrityError: It is the last admin who may log in, and would be no more.
        """
        ...

    def rehash(self, account_id: int, password_hash: str) -> None:
        """The same password under newer parameters; nothing else changes."""
        ...

    def begin_session(
        self,
        account_id: int,
        *,
        token_digest: str,
        csrf: str,
        address: str,
        now: float,
        expires_at: float,
    ) -> Session:
        """Somebody logged in."""
        ...

    def session(self, token_digest: str, *, now: float, idle_s: float) -> Session | None:
        """A session that has not ended, of an account that is not disabled."""
        ...

    def touch_session(self, session_id: int, now: float) -> None:
        """It was used."""
        ...

    def sessions(self, account_id: int, now: float) -> tuple[Session, ...]:
        """Those of an account that have not ended."""
        ...

    def end_session(self, session_id: int) -> None:
        """Log out."""
        ...

    def end_sessions(self, account_id: int) -> int:
        """Log out everywhere; how many."""
        ...

    def forget_expired(self, now: float) -> int:
        """Delete the rows of sessions that have ended by time; how many."""
        ...

    def add_token(
        self,
        account_id: int,
        *,
        name: str,
        role: Role,
        token_digest: str,
        now: float,
        expires_at: float | None,
    ) -> ApiToken:
        """A new token."""
        ...

    def token(self, token_digest: str, now: float) -> tuple[ApiToken, Account] | None:
        """A token that holds, of an account that is not disabled."""
        ...

    def touch_token(self, token_id: int, now: float) -> None:
        """It was used."""
        ...

    def tokens(self) -> tuple[ApiToken, ...]:
        """All, the newest first."""
        ...

    def revoke_token(self, token_id: int, now: float) -> ApiToken | None:
        """It holds no more, at once; None when there is no such token."""
        ...
