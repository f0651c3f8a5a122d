"""What a notification may say, and how a mail server is spoken to."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

__all__ = ["FIELDS", "SmtpSecurity"]

FIELDS: Final = frozenset(
    {
        "advice",
        "at",
        "cause",
        "count",
        "node",
        "problem",
        "rule",
        "since",
        "subject",
        "title",
        "turn",
    }
)
"""Names that templates may use, each after a ``$``. None of them can hold anything of a patient."""


class SmtpSecurity(StrEnum):
    """How a mail server is spoken to."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"
