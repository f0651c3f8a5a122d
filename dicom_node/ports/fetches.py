"""Studies that people have fetched from archives while they do something else."""

from __future__ import annotations

from typing import Protocol

from dicom_node.domain.fetches import Fetch

__all__ = ["FetchLedger", "Fetches"]


class Fetches(Protocol):
    """Fetches one study after the other, and remembers the last ones. Safe for many threads."""

    def begin(self, source: str, study_uid: str, who: str) -> Fetch:
        """Have a study fetched from the archive of that name; what is already on its way is that
        one. It is durable when this returns, which is at once.

        Raises:
            InputError: That is no UID.
            CapacityError: Too many wait.
        """
        ...

    def fetch(self, number: int) -> Fetch | None:
        """One of them; None when it is not remembered."""
        ...

    def recent(self) -> tuple[Fetch, ...]:
        """Those that are remembered, the newest first."""
        ...


class FetchLedger(Protocol):
    """The rows of fetches; every method is one transaction, as in `Ledger`."""

    def ask_fetch(
        self, source: str, study_uid: str, who: str, *, at_most: int, keep: int, now: float
    ) -> Fetch:
        """Write down that a study is to be fetched; one of the same study and source that is not
        over is the answer instead. Of those that are over, the oldest are forgotten until ``keep``
        are left, with those that are not.

        Raises:
            CapacityError: ``at_most`` wait already.
        """
        ...

    def begin_fetch(self) -> Fetch | None:
        """The oldest that is not over, begun; None when there is none. One that ran before, and
        whose end nobody wrote down, is begun again.
        """
        ...

    def end_fetch(self, fetch: Fetch) -> None:
        """Write down how one that was begun ended.

        Raises:
            LeaseLostError: It does not run, or was begun again since.
        """
        ...

    def fetch(self, number: int) -> Fetch | None:
        """One of them; None when there is none, or no more."""
        ...

    def fetches(self) -> tuple[Fetch, ...]:
        """All that are remembered, the newest first."""
        ...
