"""Bearer tokens of programs (RFC 6750)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dicom_node.console.security.credentials import TOKEN_PREFIX, digest_of_token
from dicom_node.domain.accounts import Identity

if TYPE_CHECKING:
    from fastapi import Request

    from dicom_node.console.parts import Parts

__all__ = ["from_header"]

_TOUCHED_EVERY_S: Final = 60.0


def from_header(request: Request) -> Identity | None:
    """Who asks; None without a token that holds. It may what both it and its owner may."""
    parts: Parts = request.app.state.parts
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.startswith(TOKEN_PREFIX):
        return None
    now = parts.clock()
    found = parts.accounts.token(digest_of_token(token), now)
    if found is None:
        return None
    known, owner = found
    if known.last_used_at is None or now - known.last_used_at > _TOUCHED_EVERY_S:
        parts.accounts.touch_token(known.id, now)
    role = known.role if owner.role.allows(known.role) else owner.role
    return Identity(name=f"{owner.name} (token {known.name})", role=role, account_id=owner.id)
