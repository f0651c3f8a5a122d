"""Fetches in any ledger: each study once, in turn, each end once, the oldest forgotten."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from dicom_node.domain.errors import CapacityError, LeaseLostError
from dicom_node.domain.fetches import Fetch, FetchState
from dicom_node.store.ledger import open_ledger

if TYPE_CHECKING:
    from dicom_node.ports import FetchLedger


def ask(ledger: FetchLedger, study: str = "1.2", source: str = "pacs", **limits: Any) -> Fetch:
    limits = {"at_most": 9, "keep": 9, "now": 5.0} | limits
    return ledger.ask_fetch(source, study, "otto", **limits)


def done(ledger: FetchLedger) -> Fetch:
    """The next one, brought to its end."""
    begun = ledger.begin_fetch()
    assert begun is not None
    ended = begun.finished(series=2, passed_over=1, completed=3, failed=4)
    ledger.end_fetch(ended)
    return ended


def test_what_was_asked_for_is_there_as_it_was_asked(ledger: FetchLedger) -> None:
    made = ask(ledger)
    assert made == Fetch(
        number=made.number, source="pacs", study_uid="1.2", who="otto", asked_at=5.0
    )
    assert ledger.fetch(made.number) == made
    assert ledger.fetches() == (made,)
    assert ledger.fetch(made.number + 1) is None


def test_a_study_is_on_its_way_from_an_archive_once(ledger: FetchLedger) -> None:
    first = ask(ledger)
    assert ask(ledger) == first
    assert ask(ledger, source="mirror").number != first.number, "another archive"
    running = ledger.begin_fetch()
    assert running is not None
    assert ask(ledger) == running
    done(ledger)
    assert ask(ledger).number != first.number, "it is over, so it is fetched anew"


def test_two_who_ask_at_one_moment_get_the_same(ledger: FetchLedger) -> None:
    got: list[int] = []
    start = threading.Barrier(8)

    def one() -> None:
        start.wait()
        got.append(ask(ledger).number)

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(got) == 8
    assert len(set(got)) == len(ledger.fetches()) == 1


def test_no_more_wait_than_may(ledger: FetchLedger) -> None:
    first = ask(ledger, "1.1", at_most=2)
    ask(ledger, "1.2", at_most=2)
    with pytest.raises(CapacityError, match="wait"):
        ask(ledger, "1.3", at_most=2)
    assert ask(ledger, "1.1", at_most=2) == first, "it waits already"
    ledger.begin_fetch()
    ask(ledger, "1.3", at_most=2)


def test_they_are_begun_in_turn_and_what_has_no_end_is_begun_again(ledger: FetchLedger) -> None:
    numbers = [ask(ledger, f"1.{number}").number for number in range(3)]
    begun = ledger.begin_fetch()
    assert begun is not None
    assert (begun.number, begun.state, begun.attempts) == (numbers[0], FetchState.RUNNING, 1)
    again = ledger.begin_fetch()
    assert again == begun.begun(), "nobody wrote down its end"
    with pytest.raises(LeaseLostError):
        ledger.end_fetch(begun.gave_out("late", "wait"))
    ledger.end_fetch(again.gave_out("away", "ask it"))
    assert ledger.fetch(numbers[0]) == again.gave_out("away", "ask it")
    with pytest.raises(LeaseLostError):
        ledger.end_fetch(again.gave_out("twice", "no"))
    ended = done(ledger)
    assert (ended.number, ledger.fetch(ended.number)) == (numbers[1], ended)
    assert [each.number for each in ledger.fetches()] == numbers[::-1]
    done(ledger)
    assert ledger.begin_fetch() is None


def test_the_oldest_that_are_over_are_forgotten_and_numbers_are_not_given_again(
    ledger: FetchLedger,
) -> None:
    numbers = []
    for study in ("1.1", "1.2", "1.3"):
        numbers.append(ask(ledger, study, keep=2).number)
        done(ledger)
    waiting = [ask(ledger, study, keep=1).number for study in ("2.1", "2.2", "2.3")]
    assert [each.number for each in ledger.fetches()] == waiting[::-1], "open ones are kept"
    assert numbers == sorted({*numbers}) and numbers[-1] < waiting[0]


def test_what_waits_and_runs_is_there_when_the_ledger_is_opened_again(url: str) -> None:
    first = open_ledger(url)
    for study in ("1.1", "1.2"):
        ask(first, study)
    running = first.begin_fetch()
    first.close()
    second = open_ledger(url)
    assert [each.state for each in second.fetches()] == [FetchState.WAITING, FetchState.RUNNING]
    assert running is not None
    assert second.begin_fetch() == running.begun()
    second.close()
