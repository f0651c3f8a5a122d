"""Letting go of files whose work is closed, after the time they are to be kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from dicom_node.ports import Ledger, Spool

__all__ = ["Retaining"]

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retaining:
    """Row first, then file: a crash in between leaves a file nobody claims, never a claim on none.

    Rows stay: an image that comes again after its files went is still known.

    Attributes:
        ledger: Which files are needed.
        spool: Where they lie.
        keep_s: How long files of closed work are kept.
        batch: Files let go at a time.
    """

    ledger: Ledger
    spool: Spool
    keep_s: float
    batch: int = 500

    def run_once(self, now: float) -> bool:
        """Let go of one batch; whether there was anything."""
        before = now - self.keep_s
        digests = self.ledger.removable(before, self.batch)
        if not digests:
            return False
        forgotten = self.ledger.forget_files(digests, before, now)
        for digest in forgotten:
            self.spool.remove(digest)
        _log.info("files of closed work were removed", files=len(forgotten))
        return bool(forgotten)
