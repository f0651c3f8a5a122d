"""Studies that are fetched in the background: in turn, each once, and every end is told."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from dicom_node.domain.errors import (
    CapacityError,
    InputError,
    NodeError,
    PeerError,
    RefusedError,
    UnreachableError,
)
from dicom_node.domain.fetches import FetchState
from dicom_node.ports import FoundSeries, Receipt, ReceivedObject, Retrieved
from dicom_node.services import queueing
from dicom_node.services.fetching import Fetching
from dicom_node.services.queueing import FetchQueue
from dicom_node.supervisor.loops import ServiceLoop
from tests.fakes.clock import ManualClock
from tests.fakes.ledger import MemoryLedger
from tests.fakes.radiographs import received
from tests.services.node import PACS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dicom_node.domain.fetches import Fetch
    from dicom_node.domain.routes import Destination
    from dicom_node.ports import FoundStudy, StudyQuery

CHEST = FoundSeries(series_uid="1.3", modality="CR", description="CHEST", instances=2)
CT = FoundSeries(series_uid="1.4", modality="CT", description="", instances=300)


class FakeArchive:
    """Has one study of two radiographs; holds back what comes while it is told to."""

    def __init__(self) -> None:
        self.series: tuple[FoundSeries, ...] = (CHEST, CT)
        self.error: Exception | None = None
        self.go_on = threading.Event()
        self.go_on.set()
        self.asked: list[str] = []

    def find_studies(
        self, archive: Destination, query: StudyQuery, *, limit: int
    ) -> tuple[FoundStudy, ...]:
        return ()

    def find_series(self, archive: Destination, study_uid: str) -> tuple[FoundSeries, ...]:
        self.asked.append(study_uid)
        self.go_on.wait(20)
        if self.error is not None:
            raise self.error
        return self.series

    def retrieve(
        self,
        archive: Destination,
        study_uid: str,
        series_uid: str,
        *,
        on_object: Callable[[ReceivedObject], None],
        on_progress: Callable[[Retrieved], None],
    ) -> Retrieved:
        completed = failed = 0
        for number in (1, 2):
            try:
                on_object(received(number))
                completed += 1
            except NodeError:
                failed += 1
            on_progress(Retrieved(completed=completed, failed=failed, remaining=2 - number))
        return Retrieved(completed=completed, failed=failed)


class Taking:
    """Refuses so many, then takes."""

    def __init__(self, refuses: int = 0) -> None:
        self.refuses = refuses

    def receive(self, received: ReceivedObject) -> Receipt:
        if self.refuses:
            self.refuses -= 1
            raise CapacityError("full")
        return Receipt.NEW


@dataclass
class Queue:
    """A queue over a ledger in memory, and all it was given; the node stops when it is told to."""

    archive: FakeArchive
    receiver: Any = field(default_factory=Taking)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    ends: list[FetchState] = field(default_factory=list)
    archives: dict[str, Destination] = field(default_factory=lambda: {"pacs": PACS})
    stops: bool = False

    @property
    def fetches(self) -> FetchQueue:
        """One of a node that was just started."""
        return FetchQueue(
            fetching=Fetching(archive=self.archive, receiver=self.receiver),
            ledger=self.ledger,
            archives=lambda: self.archives,
            clock=ManualClock(),
            stopping=lambda: self.stops,
            on_end=self.ends.append,
        )


def over(fetches: FetchQueue, number: int) -> Fetch:
    """A fetch once everything that was asked for is over."""
    while fetches.run_once(0.0):
        pass
    found = fetches.fetch(number)
    assert found is not None
    assert found.state.is_over
    return found


@contextlib.contextmanager
def fetching(fetches: FetchQueue) -> Iterator[None]:
    """What is asked for is fetched meanwhile, as in a node that runs."""
    stopping = threading.Event()
    loop = ServiceLoop(
        "fetching",
        fetches.run_once,
        clock=lambda: 0.0,
        wake=threading.Event(),
        stopping=stopping,
    )
    loop.start()
    yield
    stopping.set()
    loop.wake.set()
    assert loop.join(20)


def test_what_came_is_told_with_what_was_passed_over() -> None:
    it = Queue(FakeArchive(), Taking(refuses=1))
    begun = it.fetches.begin("pacs", "1.2", "otto")
    ended = over(it.fetches, begun.number)
    assert (begun.who, ended.state, ended.source) == ("otto", FetchState.DONE, "pacs")
    assert (ended.series, ended.passed_over, ended.completed, ended.failed) == (1, 1, 1, 1)
    assert ended.problem == ""
    assert it.ends == [FetchState.DONE]


def test_asking_returns_at_once_and_the_same_study_twice_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(queueing, "WAITING_AT_MOST", 2)
    archive = FakeArchive()
    archive.go_on.clear()
    fetches = Queue(archive).fetches
    first = fetches.begin("pacs", "1.2", "otto")
    with fetching(fetches):
        deadline = time.monotonic() + 20
        while not archive.asked and time.monotonic() < deadline:
            time.sleep(0.01)
        assert fetches.begin("pacs", "1.2", "ada").number == first.number
        waiting = [fetches.begin("pacs", f"1.2.{n}", "otto") for n in (1, 2)]
        assert [each.state for each in waiting] == [FetchState.WAITING] * 2
        with pytest.raises(CapacityError, match="wait"):
            fetches.begin("pacs", "1.2.3", "otto")
        archive.go_on.set()
        while not all(each.state.is_over for each in fetches.recent()):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert [each.state for each in fetches.recent()] == [FetchState.DONE] * 3
    assert archive.asked == ["1.2", "1.2.1", "1.2.2"], "one after the other"
    again = fetches.begin("pacs", "1.2", "otto")
    assert again.number > waiting[-1].number, "it is over, so it is fetched anew"


def test_how_far_it_is_is_told_while_it_runs() -> None:
    it, seen = Queue(FakeArchive()), []

    class Looking(Taking):
        def receive(self, received: ReceivedObject) -> Receipt:
            (now,) = fetches.recent()
            seen.append((now.state, now.completed, now.remaining))
            return Receipt.NEW

    it.receiver = Looking()
    fetches = it.fetches
    over(fetches, fetches.begin("pacs", "1.2", "otto").number)
    assert seen == [(FetchState.RUNNING, 0, 0), (FetchState.RUNNING, 1, 1)]


@pytest.mark.parametrize(
    ("error", "todo"),
    [
        (UnreachableError("pacs cannot be reached"), "echo"),
        (RefusedError("it does not let us"), "let this node ask"),
        (PeerError("it broke off"), "Try again"),
        (RuntimeError("a secret"), "report it"),
    ],
)
def test_an_error_is_told_with_what_to_do_and_the_next_one_is_fetched(
    error: Exception, todo: str
) -> None:
    it = Queue(FakeArchive())
    it.archive.error = error
    ended = over(it.fetches, it.fetches.begin("pacs", "1.2", "otto").number)
    assert ended.state is FetchState.FAILED
    assert todo in ended.todo
    assert "secret" not in ended.problem
    it.archive.error = None
    assert over(it.fetches, it.fetches.begin("pacs", "1.2", "otto").number).state is FetchState.DONE


def test_a_study_that_is_not_there_and_no_uid_are_input_errors() -> None:
    it = Queue(FakeArchive())
    it.archive.series = ()
    fetches = it.fetches
    assert "no such study" in over(fetches, fetches.begin("pacs", "1.2", "otto").number).problem
    with pytest.raises(InputError):
        fetches.begin("pacs", "../x", "otto")


def test_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queueing, "REMEMBERED", 2)
    fetches = Queue(FakeArchive()).fetches
    for number in range(1, 5):
        over(fetches, fetches.begin("pacs", f"1.2.{number}", "otto").number)
    assert [each.number for each in fetches.recent()] == [4, 3]
    assert fetches.fetch(1) is None


def test_a_node_that_stops_breaks_off_and_the_next_one_begins_again() -> None:
    it = Queue(FakeArchive())
    begun = it.fetches.begin("pacs", "1.2", "otto")

    class Stops(Taking):
        def receive(self, received: ReceivedObject) -> Receipt:
            it.stops = True
            return Receipt.NEW

    it.receiver = Stops()
    assert not it.fetches.run_once(0.0)
    assert not it.fetches.run_once(0.0), "a node that stops begins nothing"
    (left,) = it.fetches.recent()
    assert (left.state, left.attempts, it.ends) == (FetchState.RUNNING, 1, [])
    it.stops, it.receiver = False, Taking()
    ended = over(it.fetches, begun.number)
    assert (ended.state, ended.completed, ended.attempts) == (FetchState.DONE, 2, 2)


def test_what_a_node_that_stops_takes_away_is_no_failure() -> None:
    it = Queue(FakeArchive())
    it.fetches.begin("pacs", "1.2", "otto")

    def stops(archive: Destination, study_uid: str) -> Any:
        it.stops = True
        raise PeerError("the node is stopping")

    it.archive.find_series = stops  # type: ignore[method-assign]
    assert not it.fetches.run_once(0.0)
    assert it.fetches.recent()[0].state is FetchState.RUNNING


def test_a_fetch_under_which_the_node_always_dies_is_given_up() -> None:
    it = Queue(FakeArchive())
    begun = it.fetches.begin("pacs", "1.2", "otto")
    for _ in range(queueing.BEGUN_AT_MOST):
        it.ledger.begin_fetch()
    ended = over(it.fetches, begun.number)
    assert ended.state is FetchState.FAILED
    assert "the node ended each time" in ended.problem
    assert it.archive.asked == []


def test_the_archive_is_the_one_that_is_configured_when_its_turn_comes() -> None:
    it = Queue(FakeArchive())
    first = it.fetches.begin("pacs", "1.2", "otto")
    it.archives.clear()
    ended = over(it.fetches, first.number)
    assert "no destination is named 'pacs' any more" in ended.problem
    assert ended.todo == "Put right what it names."
