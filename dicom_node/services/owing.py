"""What could not be written to a ledger that was away, kept until it can be."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from dicom_node.domain.errors import CapacityError, LeaseLostError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Owing"]


class Owing:
    """One worker's last word on its lease. Without it the work would rest until the lease ends.

    It is in memory alone: after a crash the leases of the dead are put back at start.
    """

    def __init__(self) -> None:
        self._owed: Callable[[], None] | None = None

    def write(self, word: Callable[[], None], *, late: Callable[[], None] | None = None) -> None:
        """Write it, or keep it for `settle`.

        Args:
            word: What is to be written.
            late: What is kept instead, if that is another word once the ledger is back.

        Raises:
            CapacityError: The ledger cannot be written; the word is kept.
        """
        try:
            word()
        except CapacityError:
            self._owed = late or word
            raise

    def settle(self) -> None:
        """Write what is owed, if anything.

        Raises:
            CapacityError: The ledger still cannot be written.
        """
        word = self._owed
        if word is None:
            return
        with contextlib.suppress(LeaseLostError):  # it ended meanwhile, and the debt with it
            word()
        self._owed = None
