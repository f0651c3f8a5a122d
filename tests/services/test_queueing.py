"""Studies that are fetched in the background: in turn, each once, and every end is told."""

from __future__ import annotations

import threading
import time
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
from dicom_node.ports import FoundSeries, Receipt, ReceivedObject, Retrieved
from dicom_node.ports.fetches import FetchState
from dicom_node.services import queueing
from dicom_node.services.fetching import Fetching
from dicom_node.services.queueing import FetchQueue
from tests.fakes.clock import ManualClock
from tests.fakes.radiographs import received
from tests.services.node import PACS

if TYPE_CHECKING:
    from collections.abc import Callable

    from dicom_node.domain.routes import Destination
    from dicom_node.ports import FoundStudy, StudyQuery
    from dicom_node.ports.fetches import Fetch

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


def queue(archive: FakeArchive, receiver: Any = None, ends: list[Any] | None = None) -> FetchQueue:
    fetching = Fetching(archive=archive, receiver=receiver or Taking())
    on_end = (lambda state: None) if ends is None else ends.append
    return FetchQueue(fetching, clock=ManualClock(), on_end=on_end)


def over(fetches: FetchQueue, number: int) -> Fetch:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = fetches.fetch(number)
        if found is not None and found.state.is_over:
            return found
        time.sleep(0.01)
    raise AssertionError(f"it does not end: {fetches.fetch(number)}")


def test_what_came_is_told_with_what_was_passed_over() -> None:
    ends: list[FetchState] = []
    fetches = queue(FakeArchive(), Taking(refuses=1), ends)
    begun = fetches.begin(PACS, "1.2", "otto")
    ended = over(fetches, begun.number)
    assert (begun.who, ended.state, ended.source) == ("otto", FetchState.DONE, "pacs")
    assert (ended.series, ended.passed_over, ended.completed, ended.failed) == (1, 1, 1, 1)
    assert ended.problem == ""
    deadline = time.monotonic() + 5
    while not ends and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ends == [FetchState.DONE]


def test_asking_returns_at_once_and_the_same_study_twice_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(queueing, "WAITING_AT_MOST", 2)
    archive = FakeArchive()
    archive.go_on.clear()
    fetches = queue(archive)
    first = fetches.begin(PACS, "1.2", "otto")
    deadline = time.monotonic() + 5
    while not archive.asked and time.monotonic() < deadline:
        time.sleep(0.01)
    assert fetches.begin(PACS, "1.2", "ada").number == first.number
    waiting = [fetches.begin(PACS, f"1.2.{n}", "otto") for n in (1, 2)]
    assert [each.state for each in waiting] == [FetchState.WAITING] * 2
    with pytest.raises(CapacityError, match="wait"):
        fetches.begin(PACS, "1.2.3", "otto")
    archive.go_on.set()
    for each in waiting:
        assert over(fetches, each.number).state is FetchState.DONE
    assert archive.asked == ["1.2", "1.2.1", "1.2.2"], "one after the other"
    again = fetches.begin(PACS, "1.2", "otto")
    assert again.number > waiting[-1].number, "it is over, so it is fetched anew"
    over(fetches, again.number)


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
    archive = FakeArchive()
    archive.error = error
    fetches = queue(archive)
    ended = over(fetches, fetches.begin(PACS, "1.2", "otto").number)
    assert ended.state is FetchState.FAILED
    assert todo in ended.todo
    assert "secret" not in ended.problem
    archive.error = None
    assert over(fetches, fetches.begin(PACS, "1.2", "otto").number).state is FetchState.DONE


def test_a_study_that_is_not_there_and_no_uid_are_input_errors() -> None:
    archive = FakeArchive()
    archive.series = ()
    fetches = queue(archive)
    assert "no such study" in over(fetches, fetches.begin(PACS, "1.2", "otto").number).problem
    with pytest.raises(InputError):
        fetches.begin(PACS, "../x", "otto")


def test_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queueing, "REMEMBERED", 2)
    fetches = queue(FakeArchive())
    for number in range(1, 5):
        over(fetches, fetches.begin(PACS, f"1.2.{number}", "otto").number)
    assert [each.number for each in fetches.recent()] == [4, 3]
    assert fetches.fetch(1) is None
