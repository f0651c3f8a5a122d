"""The queue has an end: who comes when it is reached is told to come again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dicom_node.domain.errors import CapacityError
from dicom_node.services.receiving import Backlog, Receiving
from tests.fakes.radiographs import received

if TYPE_CHECKING:
    from tests.services.node import Node


def limited(node: Node, at_most: int | None) -> Receiving:
    return Receiving(
        ledger=node.ledger,
        spool=node.spool,
        clock=node.clock,
        wake=lambda: None,
        backlog=Backlog(ledger=node.ledger, clock=node.clock, at_most=at_most),
    )


def test_an_image_too_many_is_refused_as_out_of_resources_and_leaves_nothing(node: Node) -> None:
    receiving = limited(node, 3)
    for number in (1, 2, 3):
        receiving.receive(received(number))
    files = set(node.spool.digests())
    with pytest.raises(CapacityError, match="3 images and jobs wait") as refused:
        receiving.receive(received(4))
    assert refused.value.dimse_status == 0xA700
    assert set(node.spool.digests()) == files
    assert len(node.ledger.images()) == 3


def test_what_is_done_makes_room_within_a_second(node: Node) -> None:
    receiving = limited(node, 2)
    for number in (1, 2):
        receiving.receive(received(number))
    node.plan()
    with pytest.raises(CapacityError):
        receiving.receive(received(3))
    node.synthesize()
    assert node.ledger.waiting() == 1
    node.clock.advance(1.0)
    receiving.receive(received(3))


def test_a_clock_that_is_set_back_does_not_keep_an_old_count(node: Node) -> None:
    receiving = limited(node, 1)
    receiving.receive(received(1))
    with pytest.raises(CapacityError):
        receiving.receive(received(2))
    node.run_to_rest()
    node.clock.advance(-1e6)
    receiving.receive(received(2))


def test_rows_are_not_counted_for_every_image(node: Node) -> None:
    counted: list[int] = []
    real = node.ledger.waiting

    class Counting:
        def waiting(self) -> int:
            counted.append(1)
            return real()

    backlog = Backlog(ledger=Counting(), clock=node.clock, at_most=100)  # type: ignore[arg-type]
    for _ in range(50):
        backlog.check()
        backlog.add()
    assert len(counted) == 1


def test_without_a_limit_nothing_is_counted(node: Node) -> None:
    receiving = limited(node, None)
    for number in range(1, 6):
        receiving.receive(received(number))
    assert node.ledger.waiting() == 5


def test_undecided_images_queued_and_running_jobs_wait_and_nothing_else(node: Node) -> None:
    assert node.ledger.waiting() == 0
    for number in (1, 2):
        node.receiving.receive(received(number))
    node.plan()
    node.receiving.receive(received(3))
    assert node.ledger.waiting() == 3
    job = node.ledger.lease_job(node.clock(), 60.0)
    assert job is not None
    assert node.ledger.waiting() == 3
    node.ledger.fail_job(job, "broken", retry_at=None, now=node.clock())
    assert node.ledger.waiting() == 2
    node.run_to_rest()
    assert node.ledger.waiting() == 0
