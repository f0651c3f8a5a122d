"""Random texts that prove something, and passwords."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from dicom_node.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from dicom_node.ports import AccountStore

__all__ = [
    "PASSWORD_LENGTH",
    "TOKEN_PREFIX",
    "check_new_password",
    "digest_of_token",
    "hash_password",
    "new_secret",
    "new_token",
    "verify_password",
]

PASSWORD_LENGTH: Final = 12
"""Least characters of a password."""

TOKEN_PREFIX: Final = "dnt_"
"""What API tokens begin with, so that scanners of leaked texts know them."""

_LONGEST: Final = 1024
"""Most characters of a password: hashing takes time."""

_hasher: Final = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
"""Argon2id with the parameters OWASP names as enough: logins must not take the node's memory."""


def new_secret() -> str:
    """256 random bits as text."""
    return secrets.token_urlsafe(32)


def new_token() -> str:
    """A new API token."""
    return TOKEN_PREFIX + new_secret()


def digest_of_token(token: str) -> str:
    """What is kept of a random text; it has 256 bits, so a plain hash is enough."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def check_new_password(password: str, name: str) -> None:
    """Nothing, when a password may be used.

    Raises:
        ConfigurationError: It is too short, too long, or holds the account's name.
    """
    if len(password) < PASSWORD_LENGTH:
        raise ConfigurationError(f"the password has less than {PASSWORD_LENGTH} characters")
    if len(password) > _LONGEST:
        raise ConfigurationError(f"the password has more than {_LONGEST} characters")
    if name.casefold() in password.casefold():
        raise ConfigurationError("the password holds the name of the account")


def hash_password(password: str) -> str:
    """Argon2 hash with its parameters and salt."""
    return _hasher.hash(password)


def verify_password(accounts: AccountStore, account_id: int | None, password: str) -> bool:
    """Whether a password is that of an account. It takes as long when there is no such account.

    Args:
        accounts: With the hashes.
        account_id: None for an account that is not there.
        password: To try.
    """
    kept = "" if account_id is None else accounts.password_hash(account_id)
    try:
        _hasher.verify(kept or _NOBODYS, password[:_LONGEST])
    except (VerificationError, InvalidHashError):
        return False
    if not kept or account_id is None:
        return False
    if _hasher.check_needs_rehash(kept):
        accounts.rehash(account_id, _hasher.hash(password))
    return True


_NOBODYS: Final = (
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)
"""A hash that no password has."""
