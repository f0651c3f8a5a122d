"""Where a configuration came from: its file, and the text that was read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Origin", "text_digest"]


def text_digest(text: str) -> str:
    """SHA-256 of a configuration's text, every byte of it: comments count as well."""
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """A configuration as it lay in its file.

    Attributes:
        path: Of the file.
        text: It held.
    """

    path: Path
    text: str

    @property
    def digest(self) -> str:
        """Identity of the text."""
        return text_digest(self.text)
