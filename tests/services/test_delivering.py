"""Delivering: every instance reaches its destination, once, however often it takes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from dicom_node.domain.deliveries import DeliveryState, DerivedInstance, Outcome
from dicom_node.domain.errors import (
    CapacityError,
    PeerError,
    RefusedError,
)
from dicom_node.domain.routes import Commitment, Sweep, ViewPlan
from tests.fakes.archive import FakeArchive
from tests.fakes.power import CutAt, PowerCut
from tests.fakes.radiographs import received
from tests.services.node import PACS, route

if TYPE_CHECKING:
    from dicom_node.ports import DeliveryRow
    from tests.services.node import Node

FOUR = route(views=ViewPlan(name="four", sweep=Sweep(from_deg=-60, to_deg=60, step_deg=30)))


@pytest.fixture
def ready(node: Node) -> Node:
    """A node with a delivery of four instances waiting."""
    node.routes = (FOUR,)
    node.receiving.receive(received(1))
    node.plan()
    node.synthesize()
    return node


def only(node: Node) -> DeliveryRow:
    (delivery,) = node.only_job().deliveries
    return delivery


def test_nothing_is_sent_when_nothing_waits(node: Node) -> None:
    assert node.deliver() is False
    assert node.archive.attempts == []


def test_all_instances_go_in_order_and_the_delivery_is_closed(ready: Node) -> None:
    expected = {i.sop_instance_uid: [i.digest] for i in only(ready).delivery.outstanding}
    assert ready.deliver() is True
    assert ready.archive.attempts == [[0, 1, 2, 3]]
    assert dict(ready.archive.stored) == expected
    row = only(ready)
    assert (row.delivery.state, row.stored) == (DeliveryState.CLOSED, 4)
    assert ready.deliver() is False


def test_a_destination_that_is_away_is_tried_at_growing_distances_until_it_returns(
    ready: Node,
) -> None:
    ready.archive.down = True
    begin, tries = ready.clock(), []
    for _ in range(3):
        assert ready.deliver() is True
        delivery = only(ready).delivery
        assert delivery.state is DeliveryState.PENDING
        assert "does not answer" in delivery.last_error
        tries.append(delivery.not_before - ready.clock())
        assert ready.deliver() is False
        ready.clock.now = delivery.not_before
    assert tries == [5.0, 10.0, 20.0]
    ready.archive.down = False
    ready.deliver()
    assert only(ready).delivery.state is DeliveryState.CLOSED
    assert ready.clock() - begin == 35.0
    assert len(ready.engine.requests) == 1  # nothing was synthesized again


def test_attempts_that_are_spent_end_in_quarantine_and_a_person_lets_it_go_on(ready: Node) -> None:
    ready.archive.down = True
    ready.run_to_rest()
    assert len(ready.archive.attempts) == PACS.retry.attempts
    assert only(ready).delivery.state is DeliveryState.QUARANTINED
    ready.archive.down = False
    assert ready.ledger.release(ready.only_job().job.key, ready.clock()) == 1
    ready.run_to_rest()
    assert only(ready).delivery.state is DeliveryState.CLOSED


def test_the_draw_shortens_the_wait(ready: Node) -> None:
    ready.archive.down = True
    ready.jitter = 0.25
    ready.deliver()
    assert only(ready).delivery.not_before == ready.clock() + 5.0 * 0.75


def test_after_a_broken_association_only_what_is_outstanding_goes_again(ready: Node) -> None:
    ready.archive.breaks_after = 2
    ready.deliver()
    assert only(ready).stored == 2
    ready.run_to_rest()
    assert ready.archive.attempts == [[0, 1, 2, 3], [2, 3]]
    assert {len(digests) for digests in ready.archive.stored.values()} == {1}
    assert only(ready).delivery.state is DeliveryState.CLOSED


def test_an_instance_the_destination_has_no_room_for_goes_again(ready: Node) -> None:
    ready.archive.answers = {1: (Outcome.RETRY, 0xA700)}
    ready.deliver()
    assert only(ready).delivery.state is DeliveryState.PENDING
    assert "instance 2" in only(ready).delivery.last_error
    assert "0xA700" in only(ready).delivery.last_error
    ready.run_to_rest()
    assert ready.archive.attempts == [[0, 1, 2, 3], [1]]
    assert only(ready).delivery.state is DeliveryState.CLOSED


def test_an_instance_that_is_refused_quarantines_the_delivery_with_its_status(
    ready: Node,
) -> None:
    ready.archive.answers = {2: (Outcome.REFUSED, 0xA900), 1: (Outcome.RETRY, 0xA700)}
    ready.run_to_rest()
    row = only(ready)
    assert (row.delivery.state, row.stored) == (DeliveryState.QUARANTINED, 2)
    assert row.delivery.last_error == "pacs refused instance 3 with status 0xA900"
    ready.ledger.release(ready.only_job().job.key, ready.clock())
    ready.run_to_rest()
    assert ready.archive.attempts == [[0, 1, 2, 3], [1, 2]]
    assert only(ready).delivery.state is DeliveryState.CLOSED


def test_a_destination_that_takes_no_such_objects_quarantines_the_delivery(ready: Node) -> None:
    ready.archive.refuses = RefusedError("pacs takes no DX")
    ready.run_to_rest()
    assert only(ready).delivery.state is DeliveryState.QUARANTINED
    assert only(ready).delivery.last_error == "pacs takes no DX"


def test_an_instance_without_an_answer_is_not_taken_for_stored(ready: Node) -> None:
    ready.archive.silent = {0, 3}
    ready.deliver()
    assert only(ready).delivery.state is DeliveryState.PENDING
    assert "did not confirm 2" in only(ready).delivery.last_error
    ready.run_to_rest()
    assert ready.archive.attempts == [[0, 1, 2, 3], [0, 3]]


def test_a_client_that_fails_in_a_way_nobody_foresaw_is_tried_again(ready: Node) -> None:
    ready.archive.refuses = KeyError("Test^Patient")
    ready.deliver()
    delivery = only(ready).delivery
    assert delivery.state is DeliveryState.PENDING
    assert delivery.last_error.startswith("unexpected KeyError at archive.py:")
    ready.run_to_rest()
    assert only(ready).delivery.state is DeliveryState.CLOSED


def test_a_damaged_file_is_never_sent(ready: Node) -> None:
    ready.spool.remove(only(ready).delivery.outstanding[3].digest)
    ready.run_to_rest()
    assert only(ready).delivery.state is DeliveryState.QUARANTINED
    assert "missing" in only(ready).delivery.last_error
    assert ready.archive.attempts == []


def test_a_destination_that_is_away_delays_no_other(node: Node) -> None:
    backup = replace(PACS, name="backup")
    node.destinations = (PACS, backup)
    node.routes = (route(send_to=("pacs", "backup")),)
    for number in (1, 2):
        node.receiving.receive(received(number))
    node.plan()
    node.synthesize()
    node.synthesize()
    node.archive.down = True
    node.deliver(PACS)
    node.archive.down = False
    assert node.deliver(backup) is True
    assert node.deliver(backup) is True
    states = {
        (d.delivery.destination, d.delivery.state)
        for row in node.ledger.jobs()
        for d in row.deliveries
    }
    assert states == {("pacs", DeliveryState.PENDING), ("backup", DeliveryState.CLOSED)}


def test_answers_keep_a_long_send_alive(ready: Node) -> None:
    """Four answers, each almost a lease apart: the send takes longer than one lease."""

    def slow(_: DerivedInstance) -> None:
        ready.clock.advance(500.0)
        ready.recovering.run_once(ready.clock())

    ready.archive.before_answer = slow
    ready.deliver()
    assert only(ready).delivery.state is DeliveryState.CLOSED
    assert ready.archive.attempts == [[0, 1, 2, 3]]


def test_a_slow_sender_leaves_the_delivery_to_its_successor(ready: Node) -> None:
    successor = FakeArchive()

    def overtaken(instance: DerivedInstance) -> None:
        if instance.index != 1:
            return
        ready.archive.before_answer = lambda _: None
        ready.clock.advance(1e4)
        ready.recovering.run_once(ready.clock())
        replace(ready.delivering(), client=successor).run_once(ready.clock())

    ready.archive.before_answer = overtaken
    assert ready.deliver() is True
    assert successor.attempts == [[1, 2, 3]]
    row = only(ready)
    assert (row.delivery.state, row.delivery.attempts) == (DeliveryState.CLOSED, 2)
    assert row.delivery.failures == 0


@pytest.mark.parametrize("commitment", [Commitment.IF_SUPPORTED, Commitment.REQUIRED])
def test_a_delivery_that_is_to_be_committed_is_stored_and_not_closed(
    ready: Node, commitment: Commitment
) -> None:
    ready.deliver(replace(PACS, commitment=commitment))
    assert only(ready).delivery.state is DeliveryState.STORED
    assert ready.ledger.removable(1e12, 9) == ()


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("nth", [1, 3, 4])
def test_a_power_cut_between_answers_sends_no_other_content_and_loses_nothing(
    ready: Node, nth: int, after: bool
) -> None:
    expected = {i.sop_instance_uid: i.digest for i in only(ready).delivery.outstanding}
    cut = CutAt(ready.ledger, "record_outcome", after=after, nth=nth)
    with pytest.raises(PowerCut):
        replace(ready.delivering(), ledger=cut).run_once(ready.clock())  # type: ignore[arg-type]
    restarted = ready.restarted()
    restarted.run_to_rest()
    recorded = nth if after else nth - 1
    assert restarted.archive.attempts[1:] == ([list(range(recorded, 4))] if recorded < 4 else [])
    assert {u: set(d) for u, d in restarted.archive.stored.items()} == {
        uid: {digest} for uid, digest in expected.items()
    }
    assert only(restarted).delivery.state is DeliveryState.CLOSED


@pytest.fixture
def three(node: Node) -> Node:
    """A node with three deliveries waiting for one destination."""
    for number in (1, 2, 3):
        node.receiving.receive(received(number))
    node.plan()
    while node.synthesize():
        pass
    return node


def test_a_destination_that_is_away_is_called_once_for_all_that_waits(three: Node) -> None:
    three.archive.down = True
    service = three.delivering()
    assert [service.run_once(three.clock()) for _ in range(3)] == [True, False, False]
    assert len(three.archive.attempts) == 1


def test_the_calls_to_a_destination_that_is_away_grow_rarer_up_to_the_longest_wait(
    three: Node,
) -> None:
    three.archive.down = True
    service, calls = three.delivering(), []
    begin = three.clock()
    for _ in range(120):
        before = len(three.archive.attempts)
        service.run_once(three.clock())
        if len(three.archive.attempts) > before:
            calls.append(three.clock() - begin)
        three.clock.advance(1.0)
    assert calls == [0.0, 5.0, 15.0, 35.0, 55.0, 75.0, 95.0, 115.0]


def test_a_destination_that_answers_again_is_sent_everything_at_once(three: Node) -> None:
    three.archive.down = True
    service = three.delivering()
    service.run_once(three.clock())
    three.archive.down = False
    three.clock.advance(5.0)
    assert [service.run_once(three.clock()) for _ in range(4)] == [True, True, True, False]


def test_a_clock_that_is_set_back_does_not_prolong_the_rest(three: Node) -> None:
    three.archive.down = True
    service = three.delivering()
    service.run_once(three.clock())
    three.archive.down = False
    for row in three.ledger.jobs():
        three.ledger.release(row.job.key, three.clock())
    three.clock.advance(-86400.0)
    # Nobody knows how long ago it failed: what waits is due, and the destination rests no more.
    assert service.run_once(three.clock()) is True
    assert three.archive.stored


def test_a_failure_of_one_delivery_delays_no_other(three: Node) -> None:
    three.archive.refuses = PeerError("the association broke")
    service = three.delivering()
    assert [service.run_once(three.clock()) for _ in range(4)] == [True, True, True, False]
    assert len(three.archive.stored) == 4
    assert len(three.archive.attempts) == 3


def test_a_destination_without_room_is_given_more_time_than_one_that_broke_off(
    ready: Node,
) -> None:
    ready.archive.answers = {0: (Outcome.RETRY, 0xA700)}
    ready.deliver()
    assert only(ready).delivery.not_before - ready.clock() == 30.0
    ready.clock.now = only(ready).delivery.not_before
    ready.archive.answers = {0: (Outcome.RETRY, 0x0110)}
    ready.deliver()
    assert only(ready).delivery.not_before - ready.clock() == 10.0


def test_a_delivery_that_the_stop_of_the_node_cut_has_not_failed(ready: Node) -> None:
    ready.archive.breaks_after = 2
    ready.stopping = True
    ready.deliver()
    delivery = only(ready).delivery
    assert (delivery.state, delivery.failures) == (DeliveryState.PENDING, 0)
    assert delivery.not_before == ready.clock()
    ready.stopping = False
    ready.deliver()
    assert ready.archive.attempts == [[0, 1, 2, 3], [2, 3]]
    assert only(ready).delivery.state is DeliveryState.CLOSED


def test_a_lack_of_room_of_our_own_is_no_failure_of_the_delivery(ready: Node) -> None:
    ready.archive.refuses = CapacityError("the disk is full")
    ready.deliver()
    delivery = only(ready).delivery
    assert (delivery.state, delivery.failures) == (DeliveryState.PENDING, 0)
    assert delivery.not_before - ready.clock() == 60.0


def test_the_association_is_let_go_when_nothing_is_left_to_send(three: Node) -> None:
    service = three.delivering()
    for _ in range(3):
        service.run_once(three.clock())
    assert three.archive.releases == 0
    service.run_once(three.clock())
    assert three.archive.releases == 1


def test_a_delivery_to_a_destination_that_left_the_configuration_is_quarantined_with_the_reason(
    three: Node,
) -> None:
    three.destinations = (replace(PACS, name="other"),)
    three.recovering.run_once(three.clock())
    for row in three.ledger.jobs():
        (delivery,) = row.deliveries
        assert delivery.delivery.state is DeliveryState.QUARANTINED
        assert "destination pacs is not configured" in delivery.delivery.last_error
        found = three.ledger.job(row.job.key)
        assert found is not None
        assert found.events[-1][1] == "pacs: gave_up"
    three.destinations = (PACS,)
    for row in three.ledger.jobs():
        three.ledger.release(row.job.key, three.clock())
    three.recovering.run_once(three.clock())
    three.run_to_rest()
    assert len(three.archive.stored) == 6


def test_a_failure_the_ledger_could_not_hear_of_is_told_when_it_is_back(ready: Node) -> None:
    away = CutAt(ready.ledger, "fail_delivery", error=CapacityError("the ledger is away"))
    service = replace(ready.delivering(), ledger=away)  # type: ignore[arg-type]
    ready.archive.breaks_after = 2
    with pytest.raises(CapacityError):
        service.run_once(ready.clock())
    assert only(ready).delivery.state is DeliveryState.SENDING
    ready.clock.advance(10.0)
    service.run_once(ready.clock())
    assert ready.archive.attempts == [[0, 1, 2, 3], [2, 3]]
    assert only(ready).delivery.state is DeliveryState.CLOSED


def test_a_delivery_whose_ledger_was_away_for_a_moment_does_not_wait_on_when_it_is_back(
    ready: Node,
) -> None:
    error = CapacityError("the ledger is away")
    away = CutAt(ready.ledger, "record_outcome", nth=3, error=error)
    away = CutAt(away, "fail_delivery", error=error)
    service = replace(ready.delivering(), ledger=away)  # type: ignore[arg-type]
    with pytest.raises(CapacityError):
        service.run_once(ready.clock())
    ready.clock.advance(1.0)
    assert service.run_once(ready.clock()) is True
    assert only(ready).delivery.state is DeliveryState.CLOSED
    assert only(ready).delivery.failures == 0


def test_a_destination_that_is_left_alone_is_called_when_somebody_asks(ready: Node) -> None:
    sender = ready.delivering()
    ready.archive.down = True
    assert sender.run_once(ready.clock())
    ready.archive.down = False
    ready.receiving.receive(received(2))
    ready.plan(), ready.synthesize()
    assert not sender.run_once(ready.clock()), "it is left alone, though something is due"
    sender.call_again()
    assert sender.run_once(ready.clock())
    states = {each.delivery.state for each in ready.ledger.deliveries()}
    assert states == {DeliveryState.CLOSED, DeliveryState.PENDING}
