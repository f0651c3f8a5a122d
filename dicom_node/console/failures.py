"""What is said instead of an answer: a page for people, a problem (RFC 9457) for programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

__all__ = [
    "ConflictError",
    "ConsoleError",
    "ForbiddenError",
    "LoginNeededError",
    "NotFoundError",
    "RejectedError",
    "TooManyError",
    "UpstreamError",
]


class ConsoleError(Exception):
    """Base of all.

    Attributes:
        status: Of HTTP.
        title: A few words.
        words: What is wrong and what to do.
        more: What programs are told beside it (RFC 9457, extension members).
    """

    status: ClassVar[int]
    title: ClassVar[str]

    def __init__(self, words: str = "", *, more: Mapping[str, Any] | None = None) -> None:
        super().__init__(words)
        self.words = words
        self.more = more or {}


class LoginNeededError(ConsoleError):
    """Nobody is logged in; a browser is sent to the login."""

    status = 401
    title = "Log in first"

    def __init__(self, words: str = "This needs a login.") -> None:
        super().__init__(words)


class ForbiddenError(ConsoleError):
    """Who asks may not."""

    status = 403
    title = "Not allowed"


class NotFoundError(ConsoleError):
    """There is no such thing."""

    status = 404
    title = "Not found"


class ConflictError(ConsoleError):
    """It cannot be done now."""

    status = 409
    title = "Cannot be done now"


class RejectedError(ConsoleError):
    """What was asked makes no sense."""

    status = 422
    title = "Not understood"


class TooManyError(ConsoleError):
    """Too often."""

    status = 429
    title = "Too many tries"


class UpstreamError(ConsoleError):
    """Another server that is needed for it does not answer as it should."""

    status = 502
    title = "Another server does not answer"
