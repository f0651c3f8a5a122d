"""What is done about accounts and tokens, audited: the same for pages and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dicom_node.audit.events import security_changed
from dicom_node.console.failures import (
    ForbiddenError,
    NotFoundError,
    RejectedError,
    TooManyError,
)
from dicom_node.console.security.credentials import (
    check_new_password,
    digest_of_token,
    hash_password,
    new_token,
    verify_password,
)

if TYPE_CHECKING:
    from fastapi import Request

    from dicom_node.console.parts import Parts
    from dicom_node.console.security.throttle import Throttle
    from dicom_node.domain.accounts import Account, ApiToken, Identity, Role

__all__ = [
    "add_account",
    "change_password",
    "change_role",
    "known",
    "make_token",
    "revoke_token",
    "switch_account",
]

_DAY_S: Final = 86400.0


def add_account(parts: Parts, who: Identity, name: str, role: Role, password: str) -> Account:
    """Let one more log in.

    Raises:
        RejectedError: The name is none.
        ConfigurationError: The password may not be used.
        IntegrityError: There is an account of this name.
    """
    name = _name(name)
    check_new_password(password, name)
    made = parts.accounts.add_account(
        name, role, password_hash=hash_password(password), now=parts.clock()
    )
    _audit(parts, who, f"account {name}", f"made with the role {role}")
    return made


def known(parts: Parts, number: int) -> Account:
    """The account of a number.

    Raises:
        NotFoundError: There is none.
    """
    for each in parts.accounts.accounts():
        if each.id == number:
            return each
    raise NotFoundError("There is no such account.")


def change_role(parts: Parts, who: Identity, number: int, role: Role) -> str:
    """Give an account another role; its sessions end. What was done.

    Raises:
        NotFoundError: There is no such account.
        IntegrityError: It is the last admin.
    """
    account = known(parts, number)
    parts.accounts.change_account(account.id, role=role, now=parts.clock())
    return _changed(parts, who, account, f"role changed to {role}")


def switch_account(parts: Parts, who: Identity, number: int, *, disabled: bool) -> str:
    """Let an account log in no more, which ends its sessions and tokens; or again. What was done.

    Raises:
        NotFoundError: There is no such account.
        IntegrityError: It is the last admin.
    """
    account = known(parts, number)
    parts.accounts.change_account(account.id, disabled=disabled, now=parts.clock())
    return _changed(parts, who, account, "disabled" if disabled else "enabled")


def change_password(request: Request, who: Identity, old: str, new: str) -> None:
    """Give one's own account another password; all its sessions end.

    Raises:
        TooManyError: The old one was guessed at too often.
        RejectedError: The old one is wrong.
        ConfigurationError: The new one may not be used.
    """
    parts: Parts = request.app.state.parts
    throttle: Throttle = request.app.state.throttle
    account = known(parts, who.account_id)
    now, counted = parts.clock(), f"account {account.name.casefold()}"
    if throttle.wait_s(counted, now=now) > 0:
        raise TooManyError("Wait a minute, then try again.")
    if not verify_password(parts.accounts, account.id, old):
        throttle.failed(counted, now=now)
        raise RejectedError("The old password is wrong.")
    check_new_password(new, account.name)
    parts.accounts.change_account(account.id, password_hash=hash_password(new), now=now)
    _audit(parts, who, f"account {account.name}", "password changed")


def make_token(
    parts: Parts, who: Identity, name: str, role: Role, *, days: int
) -> tuple[ApiToken, str]:
    """A key for a program, and its text, which nobody can see again.

    Raises:
        RejectedError: The name is none.
        ForbiddenError: It would be allowed more than who asks.
    """
    name = _name(name)
    if not who.role.allows(role):
        raise ForbiddenError("A token may not do more than the one who makes it.")
    now, text = parts.clock(), new_token()
    made = parts.accounts.add_token(
        who.account_id,
        name=name,
        role=role,
        token_digest=digest_of_token(text),
        now=now,
        expires_at=now + days * _DAY_S,
    )
    _audit(parts, who, f"token {name}", f"token made with the role {role} for {days} days")
    return made, text


def revoke_token(parts: Parts, who: Identity, number: int) -> ApiToken:
    """Have a token hold no more.

    Raises:
        NotFoundError: There is none of this number.
    """
    token = parts.accounts.revoke_token(number, parts.clock())
    if token is None:
        raise NotFoundError("There is no such token.")
    _audit(parts, who, f"token {token.name}", "token revoked")
    return token


def _name(text: str) -> str:
    name = text.strip()
    if not 1 <= len(name) <= 64 or not name.isprintable():
        raise RejectedError("name: give 1 to 64 printable characters")
    return name


def _changed(parts: Parts, who: Identity, account: Account, words: str) -> str:
    _audit(parts, who, f"account {account.name}", words)
    return f"{account.name}: {words}."


def _audit(parts: Parts, who: Identity, what: str, words: str) -> None:
    parts.record(security_changed(parts.facts.ae_title, who.name, what, words))
