"""Studies that people have fetched from archives while they do something else."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from dicom_node.domain.routes import Destination

__all__ = ["Fetch", "FetchState", "Fetches"]


class FetchState(StrEnum):
    """Where it stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes of it."""
        return self in (FetchState.DONE, FetchState.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """A study that is, or was, fetched.

    Attributes:
        number: It is known by until the node stops.
        source: Name of the archive.
        study_uid: Study Instance UID.
        who: Asked for it.
        asked_at: Unix seconds.
        state: Where it stands.
        series: That are asked for; None until that is known.
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
    series: int | None = None
    passed_over: int = 0
    completed: int = 0
    failed: int = 0
    remaining: int = 0
    problem: str = ""
    todo: str = ""


class Fetches(Protocol):
    """Fetches one study after the other, and remembers the last ones. Safe for many threads."""

    def begin(self, source: Destination, study_uid: str, who: str) -> Fetch:
        """Have a study fetched; what is already on its way is that one. Returns at once.

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
