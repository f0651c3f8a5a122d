"""Logging in and out. A session is a row; its cookie is random text, whose hash the row has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dicom_node.audit.events import user_authentication
from dicom_node.console.security import cookies
from dicom_node.console.security.credentials import digest_of_token, new_secret
from dicom_node.domain.accounts import Identity

if TYPE_CHECKING:
    from fastapi import Request, Response

    from dicom_node.console.parts import Parts
    from dicom_node.domain.accounts import Account, Session

__all__ = ["address_of", "begin", "end", "from_cookie"]

COOKIE: Final = "session"
_TOUCHED_EVERY_S: Final = 60.0


def address_of(request: Request) -> str:
    """Where a request came from; behind a trusted proxy, where that says it came from."""
    return request.client.host if request.client is not None else ""


def begin(request: Request, response: Response, account: Account) -> Session:
    """Log an account in. The session is always a new one, and an old one of this browser ends."""
    parts: Parts = request.app.state.parts
    now, secret = parts.clock(), new_secret()
    old = _session(request)
    if old is not None:
        parts.accounts.end_session(old.id)
    parts.accounts.forget_expired(now)
    session = parts.accounts.begin_session(
        account.id,
        token_digest=digest_of_token(secret),
        csrf=new_secret(),
        address=address_of(request),
        now=now,
        expires_at=now + parts.access.session_max_s,
    )
    cookies.write(request, response, COOKIE, secret)
    _audit(request, account.name, logs_in=True)
    return session


def end(request: Request, response: Response, *, everywhere: bool = False) -> None:
    """Log out, of this browser or of all."""
    parts: Parts = request.app.state.parts
    session = _session(request)
    if session is not None:
        if everywhere:
            parts.accounts.end_sessions(session.account.id)
        else:
            parts.accounts.end_session(session.id)
        _audit(request, session.account.name, logs_in=False)
    cookies.drop(request, response, COOKIE)


def from_cookie(request: Request) -> Identity | None:
    """Who asks; None when nobody is logged in."""
    parts: Parts = request.app.state.parts
    session = _session(request)
    if session is None:
        return None
    now = parts.clock()
    # What a page asks for by itself must not keep a session alive that nobody sits before.
    by_hand = not request.url.path.endswith("/live")
    if by_hand and now - session.seen_at > _TOUCHED_EVERY_S:
        parts.accounts.touch_session(session.id, now)
    return Identity(
        name=session.account.name,
        role=session.account.role,
        account_id=session.account.id,
        session_id=session.id,
        csrf=session.csrf,
    )


def _session(request: Request) -> Session | None:
    parts: Parts = request.app.state.parts
    secret = cookies.read(request, COOKIE)
    if not secret:
        return None
    return parts.accounts.session(
        digest_of_token(secret), now=parts.clock(), idle_s=parts.access.session_idle_s
    )


def _audit(request: Request, name: str, *, logs_in: bool) -> None:
    parts: Parts = request.app.state.parts
    parts.record(
        user_authentication(
            parts.facts.ae_title, name, address_of(request), logs_in=logs_in, succeeded=True
        )
    )
