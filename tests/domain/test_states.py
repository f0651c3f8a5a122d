"""The tables of states: what is legal stands here once more, pair by pair."""

from __future__ import annotations

from itertools import product

import pytest

from dicom_node.domain import deliveries, fetches, images, jobs
from dicom_node.domain.deliveries import DELIVERY_TABLE, DeliveryEvent, DeliveryState
from dicom_node.domain.errors import IntegrityError
from dicom_node.domain.fetches import FETCH_TABLE, FetchEvent, FetchState
from dicom_node.domain.images import IMAGE_TABLE, ImageEvent, ImageState
from dicom_node.domain.jobs import JOB_TABLE, JobEvent, JobState

JOB_PATHS = """
queued leased running
queued cancelled cancelled
running finished done
running failed queued
running lease_expired queued
running gave_up quarantined
running cancelled cancelled
quarantined released queued
quarantined cancelled cancelled
"""

IMAGE_PATHS = """
waiting accepted accepted
waiting ignored ignored
waiting quarantined quarantined
ignored released waiting
quarantined released waiting
quarantined cancelled cancelled
conflicting cancelled cancelled
"""

DELIVERY_PATHS = """
pending leased sending
pending cancelled cancelled
pending gave_up quarantined
sending all_stored_no_commitment closed
sending all_stored stored
sending failed pending
sending lease_expired pending
sending gave_up quarantined
stored commit_asked commit_requested
stored gave_up quarantined
stored commit_confirmed committed
stored commit_unsupported closed
commit_requested commit_unsupported closed
commit_requested gave_up quarantined
commit_requested commit_confirmed committed
commit_requested commit_timed_out stored
commit_requested commit_failed pending
quarantined released pending
quarantined cancelled cancelled
"""

FETCH_PATHS = """
waiting begun running
running begun running
running finished done
running failed failed
"""


def paths(text: str) -> dict[tuple[str, str], str]:
    return {(a, b): c for a, b, c in (line.split() for line in text.strip().splitlines())}


@pytest.mark.parametrize(("state", "event"), list(product(JobState, JobEvent)))
def test_a_job_takes_the_legal_ways_and_no_other(state: JobState, event: JobEvent) -> None:
    expected = paths(JOB_PATHS).get((state.value, event.value))
    if expected is None:
        with pytest.raises(IntegrityError, match=f"{state}.*{event}"):
            jobs.advance(state, event)
    else:
        assert jobs.advance(state, event).value == expected


@pytest.mark.parametrize(("state", "event"), list(product(ImageState, ImageEvent)))
def test_an_image_takes_the_legal_ways_and_no_other(state: ImageState, event: ImageEvent) -> None:
    expected = paths(IMAGE_PATHS).get((state.value, event.value))
    if expected is None:
        with pytest.raises(IntegrityError, match=f"{state}.*{event}"):
            images.advance(state, event)
    else:
        assert images.advance(state, event).value == expected


@pytest.mark.parametrize(("state", "event"), list(product(DeliveryState, DeliveryEvent)))
def test_a_delivery_takes_the_legal_ways_and_no_other(
    state: DeliveryState, event: DeliveryEvent
) -> None:
    expected = paths(DELIVERY_PATHS).get((state.value, event.value))
    if expected is None:
        with pytest.raises(IntegrityError, match=f"{state}.*{event}"):
            deliveries.advance(state, event)
    else:
        assert deliveries.advance(state, event).value == expected


@pytest.mark.parametrize(("state", "event"), list(product(FetchState, FetchEvent)))
def test_a_fetch_takes_the_legal_ways_and_no_other(state: FetchState, event: FetchEvent) -> None:
    expected = paths(FETCH_PATHS).get((state.value, event.value))
    if expected is None:
        with pytest.raises(IntegrityError, match=f"{state}.*{event}"):
            fetches.advance(state, event)
    else:
        assert fetches.advance(state, event).value == expected


@pytest.mark.parametrize(
    ("table", "first", "final"),
    [
        (JOB_TABLE, JobState.QUEUED, {JobState.DONE, JobState.CANCELLED}),
        (
            DELIVERY_TABLE,
            DeliveryState.PENDING,
            {DeliveryState.CLOSED, DeliveryState.COMMITTED, DeliveryState.CANCELLED},
        ),
        (FETCH_TABLE, FetchState.WAITING, {FetchState.DONE, FetchState.FAILED}),
    ],
)
def test_every_state_can_be_reached_and_only_the_final_ones_are_not_left(
    table: dict[tuple[object, object], object], first: object, final: set[object]
) -> None:
    reached, todo = {first}, [first]
    while todo:
        state = todo.pop()
        for (before, _), after in table.items():
            if before == state and after not in reached:
                reached.add(after)
                todo.append(after)
    assert reached == set(type(first))  # type: ignore[call-overload]
    assert reached - {before for before, _ in table} == final


@pytest.mark.parametrize("table", [JOB_TABLE, DELIVERY_TABLE, IMAGE_TABLE, FETCH_TABLE])
def test_every_event_of_a_table_may_happen(table: dict[tuple[object, object], object]) -> None:
    events = {event for _, event in table}
    assert events == set(type(next(iter(events))))  # type: ignore[call-overload]
