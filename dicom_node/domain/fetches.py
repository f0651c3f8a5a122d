"""A fetch: one study that somebody has brought from an archive. States and their table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Self

from dicom_node.domain.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FETCH_TABLE", "Fetch", "FetchEvent", "FetchState", "advance"]


class FetchState(StrEnum):
    """Where a fetch stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes of it."""
        return self in (FetchState.DONE, FetchState.FAILED)


class FetchEvent(StrEnum):
    """What may happen to a fetch."""

    BEGUN = "begun"
    FINISHED = "finished"
    FAILED = "failed"


_S, _E = FetchState, FetchEvent

# What runs when the node ends is begun again: the same object twice is one image.
FETCH_TABLE: Final[Mapping[tuple[FetchState, FetchEvent], FetchState]] = {
    (_S.WAITING, _E.BEGUN): _S.RUNNING,
    (_S.RUNNING, _E.BEGUN): _S.RUNNING,
    (_S.RUNNING, _E.FINISHED): _S.DONE,
    (_S.RUNNING, _E.FAILED): _S.FAILED,
}


def advance(state: FetchState, event: FetchEvent) -> FetchState:
    """The state after an event.

    Raises:
        IntegrityError: The table has no such pair.
    """
    try:
        return FETCH_TABLE[state, event]
    except KeyError:
        raise IntegrityError(f"a fetch that is {state} cannot be {event}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """A row of the ledger.

    Attributes:
        number: It is known by; never given twice.
        source: Name of the archive.
        study_uid: Study Instance UID.
        who: Asked for it.
        asked_at: Unix seconds.
        state: See `FETCH_TABLE`.
        attempts: How often it was begun: more than once when the node ended while it ran.
        series: That were asked for; None until that is known.
        passed_over: Series that hold no radiograph.
        completed: Instances that arrived.
        failed: Instances that did not.
        remaining: Instances of the series that comes, as far as the archive tells.
        problem: Why it failed; empty when it did not.
        todo: What to do about that.
    """

    number: int
    source: str
    study_uid: str
    who: str
    asked_at: float
    state: FetchState = FetchState.WAITING
    attempts: int = 0
    series: int | None = None
    passed_over: int = 0
    completed: int = 0
    failed: int = 0
    remaining: int = 0
    problem: str = ""
    todo: str = ""

    def begun(self) -> Self:
        """As it is once it is begun, also once more.

        Raises:
            IntegrityError: It is over.
        """
        state = advance(self.state, FetchEvent.BEGUN)
        return replace(self, state=state, attempts=self.attempts + 1)

    def finished(self, *, series: int, passed_over: int, completed: int, failed: int) -> Self:
        """As it is when everything that could come has come.

        Raises:
            IntegrityError: It does not run.
        """
        return replace(
            self,
            state=advance(self.state, FetchEvent.FINISHED),
            series=series,
            passed_over=passed_over,
            completed=completed,
            failed=failed,
            remaining=0,
        )

    def gave_out(self, problem: str, todo: str) -> Self:
        """As it is when it failed.

        Raises:
            IntegrityError: It does not run.
        """
        state = advance(self.state, FetchEvent.FAILED)
        return replace(self, state=state, remaining=0, problem=problem, todo=todo)
