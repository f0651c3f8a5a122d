"""A notice that the next page shows once: what was done, or why it was not."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fastapi.responses import RedirectResponse

from dicom_node.console.security import cookies

if TYPE_CHECKING:
    from fastapi import Request, Response

__all__ = ["Notice", "done", "take"]

COOKIE: Final = "notice"
_LONGEST: Final = 600
_KINDS: Final = ("good", "bad")


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One sentence.

    Attributes:
        kind: ``good`` or ``bad``.
        words: The sentence.
    """

    kind: str
    words: str


def done(request: Request, to: str, words: str, *, kind: str = "good") -> Response:
    """Go to a page that says so (303, so that loading it again does nothing again).

    Args:
        request: That was answered.
        to: Path without the root path.
        words: What was done.
        kind: ``good`` or ``bad``.
    """
    where = request.scope.get("root_path", "") + to
    response: Response
    if "hx-request" in request.headers:
        from fastapi.responses import Response as Plain

        response = Plain(status_code=204, headers={"HX-Redirect": where})
    else:
        response = RedirectResponse(where, status_code=303)
    text = json.dumps({"kind": kind, "words": words[:_LONGEST]})
    value = base64.urlsafe_b64encode(text.encode()).decode()
    cookies.write(request, response, COOKIE, value, max_age_s=60, same_site="strict")
    return response


def take(request: Request) -> Notice | None:
    """The notice that waits, if there is one; `pages` drops its cookie when it is shown."""
    value = cookies.read(request, COOKIE)
    if not value:
        return None
    try:
        found = json.loads(base64.urlsafe_b64decode(value.encode()))
        kind, words = found["kind"], found["words"]
    except (binascii.Error, ValueError, KeyError, TypeError):
        return None
    if kind not in _KINDS or not isinstance(words, str):
        return None
    return Notice(kind=kind, words=words[:_LONGEST])
