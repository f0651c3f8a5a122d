"""Picking up what a crash left behind: leases nobody holds and files nobody claims."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from dicom_node.ports import Ledger, Spool

__all__ = ["Recovering"]

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovering:
    """Runs once at the start of the node and periodically after.

    Attributes:
        ledger: Whose leases are looked after.
        spool: Whose files are.
        wake: Called after work was put back.
        destinations: Names of those that are configured.
        orphan_age_s: A file no row claims is left alone for this long after a sweep first met it:
            the row of an image that is being received, or of an instance just derived, comes after
            its file.
    """

    ledger: Ledger
    spool: Spool
    wake: Callable[[], None]
    destinations: Collection[str]
    orphan_age_s: float = 3600.0

    def at_start(self, now: float) -> int:
        """Put back all leased work and collect temporary files; how many pieces of work.

        Only for a node that has ledger and spool for itself, before its services start. Files that
        nobody claims have time until a `sweep` has known them for long enough.
        """
        put_back = self.ledger.requeue_leases(now)
        temporary = self.spool.collect(older_than_s=0.0)
        self._quarantine_strays(now)
        _log.info("the node picked up what it left", put_back=put_back, temporary_files=temporary)
        return put_back

    def run_once(self, now: float) -> bool:
        """Put back work whose lease ran out; whether anything was found. As quick with a million
        files and rows as with ten.
        """
        put_back = self.ledger.expire_leases(now)
        strays = self._quarantine_strays(now)
        if put_back:
            self.wake()
            _log.warning("lost work was put back", put_back=put_back)
        return bool(put_back or strays)

    def sweep(self, now: float) -> bool:
        """Collect files that nobody claims for long; whether there were any. It looks at every file
        and every row, so it is nothing for every minute.
        """
        temporary = self.spool.collect(older_than_s=self.orphan_age_s)
        orphans = self._collect_orphans()
        if temporary or orphans:
            _log.warning(
                "files that nobody claims were removed",
                temporary_files=temporary,
                orphaned_files=orphans,
            )
        return bool(temporary or orphans)

    def _quarantine_strays(self, now: float) -> int:
        strays = self.ledger.quarantine_strays(self.destinations, now)
        for name, count in Counter(strays).items():
            _log.error(
                "deliveries to a destination that is not configured were put into quarantine",
                destination=name,
                deliveries=count,
            )
        return len(strays)

    def _collect_orphans(self) -> int:
        # Files first, rows second: a file whose row is committed in between is known by then.
        present = frozenset(self.spool.digests())
        orphans = present - self.ledger.known_digests()
        return sum(self.spool.remove(d, older_than_s=self.orphan_age_s) for d in orphans)
