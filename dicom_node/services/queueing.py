"""A queue of studies to fetch from archives, for people who do something else meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import structlog

from dicom_node.domain.errors import (
    CapacityError,
    ConfigurationError,
    InputError,
    NodeError,
    PeerError,
    RefusedError,
    UnreachableError,
    describe,
)
from dicom_node.domain.fetches import Fetch, FetchState
from dicom_node.domain.identifiers import is_uid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dicom_node.domain.routes import Destination
    from dicom_node.ports import Clock, FetchLedger, Retrieved
    from dicom_node.services.fetching import Fetching

__all__ = ["FetchQueue"]

REMEMBERED: Final = 50
"""Fetches that are told about; what came of them stands in the ledger for longer."""

WAITING_AT_MOST: Final = 20

BEGUN_AT_MOST: Final = 5
"""How often one is begun that never comes to an end."""

_TODO: Final[tuple[tuple[type[NodeError], str], ...]] = (
    (UnreachableError, "See that it runs and that its address is right: ask it for an echo."),
    (RefusedError, "Have the archive let this node ask (C-FIND) and get or move, or give a token."),
    (PeerError, "Try again; if it fails again, look at the archive's log."),
    (InputError, "Compare the Study Instance UID, or choose another archive."),
    (ConfigurationError, "Put right what it names."),
    (CapacityError, "Make room, or wait until less waits, and fetch again."),
)
"""What to do about an error; the first class it is one of counts."""

_log = structlog.get_logger(__name__)


class _NodeStops(Exception):
    """Breaks off what runs: it is begun again at the next start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchQueue:
    """A `ports.Fetches`: one study at a time, so that an archive is not asked for many at once.

    What waits and what runs outlives the node. How far the one that runs has come does not.

    Attributes:
        fetching: Fetches one.
        ledger: Of what was asked for.
        archives: Those that are configured now, by name.
        clock: Unix seconds.
        wake: Rung when there is one more.
        stopping: Whether the node shuts down.
        on_end: Called with the state in which each ended.
    """

    fetching: Fetching
    ledger: FetchLedger
    archives: Callable[[], Mapping[str, Destination]]
    clock: Clock
    wake: Callable[[], None] = lambda: None
    stopping: Callable[[], bool] = lambda: False
    on_end: Callable[[FetchState], None] = lambda state: None
    _under_way: dict[int, Retrieved] = field(default_factory=dict, init=False, repr=False)

    def begin(self, source: str, study_uid: str, who: str) -> Fetch:
        """See `ports.Fetches.begin`."""
        if not is_uid(study_uid):
            raise InputError("a Study Instance UID has digits and dots, at most 64")
        asked = self.ledger.ask_fetch(
            source,
            study_uid,
            who,
            at_most=WAITING_AT_MOST,
            keep=REMEMBERED,
            now=self.clock(),
        )
        self.wake()
        return asked

    def fetch(self, number: int) -> Fetch | None:
        """See `ports.Fetches.fetch`."""
        found = self.ledger.fetch(number)
        return None if found is None else self._now(found)

    def recent(self) -> tuple[Fetch, ...]:
        """See `ports.Fetches.recent`."""
        return tuple(self._now(each) for each in self.ledger.fetches())

    def run_once(self, now: float) -> bool:
        """Fetch the next study, from its beginning to its end; whether there was one."""
        fetch = None if self.stopping() else self.ledger.begin_fetch()
        if fetch is None:
            return False
        try:
            ended = self._ended(fetch)
        except _NodeStops:
            return False
        finally:
            self._under_way.pop(fetch.number, None)
        self.ledger.end_fetch(ended)
        self.on_end(ended.state)
        return True

    def _now(self, fetch: Fetch) -> Fetch:
        """With how far it has come."""
        come = self._under_way.get(fetch.number)
        if come is None or fetch.state is not FetchState.RUNNING:
            return fetch
        return replace(
            fetch, completed=come.completed, failed=come.failed, remaining=come.remaining
        )

    def _ended(self, fetch: Fetch) -> Fetch:
        def told(come: Retrieved) -> None:
            self._under_way[fetch.number] = come
            if self.stopping():
                raise _NodeStops

        try:
            if fetch.attempts > BEGUN_AT_MOST:
                return self._failed(
                    fetch,
                    f"it was begun {BEGUN_AT_MOST} times and the node ended each time",
                    "Look in the log for why the node ended, and fetch again.",
                )
            fetched = self.fetching.fetch(self._archive(fetch.source), fetch.study_uid, told)
        except _NodeStops:
            raise
        except Exception as error:
            if self.stopping():  # what it needs is being taken away
                raise _NodeStops from error
            todo = next((words for kind, words in _TODO if isinstance(error, kind)), "")
            return self._failed(
                fetch, describe(error), todo or "Look at the log, and report it as a defect.", error
            )
        return fetch.finished(
            series=fetched.series,
            passed_over=fetched.passed_over,
            completed=fetched.completed,
            failed=fetched.failed,
        )

    def _archive(self, name: str) -> Destination:
        """As it is configured at this moment: its address may have been put right meanwhile."""
        found = self.archives().get(name)
        if found is None:
            raise ConfigurationError(f"no destination is named {name!r} any more")
        return found

    def _failed(
        self, fetch: Fetch, problem: str, todo: str, error: Exception | None = None
    ) -> Fetch:
        _log.warning(
            "a study was not fetched",
            source=fetch.source,
            error="" if error is None else type(error).__name__,
            reason=problem,
        )
        return fetch.gave_out(problem, todo)
