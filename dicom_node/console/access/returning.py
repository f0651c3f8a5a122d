"""Where somebody goes after the login: pages of the console and nowhere else."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["safe_next"]

_OWN: Final = re.compile(r"/(?![/\\])[A-Za-z0-9._~/?&=%:+,\-]*")
_LONGEST: Final = 500


def safe_next(path: str) -> str:
    """The path when it is one of ours, else that of the first page."""
    if len(path) > _LONGEST or not _OWN.fullmatch(path) or path.startswith("/login"):
        return "/"
    return path
