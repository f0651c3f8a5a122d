"""A queue of studies to fetch, and the thread that fetches them."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

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
from dicom_node.domain.identifiers import is_uid
from dicom_node.ports.fetches import Fetch, FetchState

if TYPE_CHECKING:
    from collections.abc import Callable

    from dicom_node.domain.routes import Destination
    from dicom_node.ports import Clock, Retrieved
    from dicom_node.services.fetching import Fetching

__all__ = ["FetchQueue"]

REMEMBERED: Final = 50
"""Fetches that are told about; what came of them stands in the ledger for longer."""

WAITING_AT_MOST: Final = 20

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


class FetchQueue:
    """A `ports.Fetches`: one study at a time, so that an archive is not asked for many at once. The
    thread lives while there is something to fetch.

    It is all in memory: a node that stops forgets what waited, and what came is safe in the ledger.

    Args:
        fetching: Fetches one.
        clock: Unix seconds.
        on_end: Called with the state in which each ended.
    """

    def __init__(
        self,
        fetching: Fetching,
        *,
        clock: Clock,
        on_end: Callable[[FetchState], None] = lambda state: None,
    ) -> None:
        self._fetching = fetching
        self._clock = clock
        self._on_end = on_end
        self._known: OrderedDict[int, Fetch] = OrderedDict()
        self._waiting: deque[tuple[int, Destination]] = deque()
        self._works = False
        self._last = 0
        self._lock = threading.Lock()

    def begin(self, source: Destination, study_uid: str, who: str) -> Fetch:
        """See `ports.Fetches.begin`."""
        if not is_uid(study_uid):
            raise InputError("a Study Instance UID has digits and dots, at most 64")
        with self._lock:
            for each in self._known.values():
                same = (each.source, each.study_uid) == (source.name, study_uid)
                if same and not each.state.is_over:
                    return each
            if len(self._waiting) >= WAITING_AT_MOST:
                raise CapacityError(f"{WAITING_AT_MOST} studies wait to be fetched already")
            self._last += 1
            made = Fetch(
                number=self._last,
                source=source.name,
                study_uid=study_uid,
                who=who,
                asked_at=self._clock(),
            )
            self._known[made.number] = made
            self._waiting.append((made.number, source))
            self._forget()
            if not self._works:
                self._works = True
                threading.Thread(target=self._work, name="fetching", daemon=True).start()
        return made

    def fetch(self, number: int) -> Fetch | None:
        """See `ports.Fetches.fetch`."""
        with self._lock:
            return self._known.get(number)

    def recent(self) -> tuple[Fetch, ...]:
        """See `ports.Fetches.recent`."""
        with self._lock:
            return tuple(reversed(self._known.values()))

    def _forget(self) -> None:
        over = [number for number, each in self._known.items() if each.state.is_over]
        for number in over[: max(0, len(self._known) - REMEMBERED)]:
            del self._known[number]

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._works = False
                    return
                number, source = self._waiting.popleft()
            self._one(number, source)

    def _one(self, number: int, source: Destination) -> None:
        def told(now: Retrieved) -> None:
            self._change(
                number, completed=now.completed, failed=now.failed, remaining=now.remaining
            )

        fetch = self._change(number, state=FetchState.RUNNING)
        try:
            fetched = self._fetching.fetch(source, fetch.study_uid, told)
        except Exception as error:  # noqa: BLE001  the boundary of the thread: it is told, and goes on
            todo = next((words for kind, words in _TODO if isinstance(error, kind)), "")
            _log.warning(
                "a study was not fetched",
                source=source.name,
                error=type(error).__name__,
                reason=describe(error),
            )
            ended = self._change(
                number,
                state=FetchState.FAILED,
                remaining=0,
                problem=describe(error),
                todo=todo or "Look at the log, and report it as a defect.",
            )
        else:
            ended = self._change(
                number,
                state=FetchState.DONE,
                series=fetched.series,
                passed_over=fetched.passed_over,
                completed=fetched.completed,
                failed=fetched.failed,
                remaining=0,
            )
        self._on_end(ended.state)

    def _change(self, number: int, **changes: Any) -> Fetch:
        with self._lock:
            self._known[number] = changed = replace(self._known[number], **changes)
        return changed
