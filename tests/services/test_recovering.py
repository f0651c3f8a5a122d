"""Recovering and retaining: nothing is forgotten that is needed, nothing stays that is not."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from dicom_node.domain.deliveries import DeliveryState
from dicom_node.domain.jobs import JobState
from dicom_node.domain.rules import Equals
from dicom_node.ports import Receipt
from dicom_node.store.spool import FileSpool
from tests.fakes.clock import ManualClock
from tests.fakes.database import fresh_ledger
from tests.fakes.power import CutAt, PowerCut
from tests.fakes.radiographs import radiograph, received
from tests.services.node import Node, route

if TYPE_CHECKING:
    from pathlib import Path


def closed(node: Node, number: int = 1) -> None:
    node.receiving.receive(received(number))
    node.run_to_rest()


def sweep_twice(node: Node) -> None:
    """First a sweep meets what nobody claims, an hour later one collects it."""
    node.recovering.sweep(node.clock())
    node.clock.advance(3601.0)
    node.recovering.sweep(node.clock())


def test_at_start_leased_work_is_put_back_and_done(node: Node) -> None:
    for number in (1, 2):
        node.receiving.receive(received(number))
    node.plan()
    node.synthesize()
    assert node.ledger.lease_job(node.clock(), 1e9) is not None
    assert node.ledger.lease_delivery("pacs", node.clock(), 1e9) is not None
    assert node.recovering.at_start(node.clock()) == 2
    node.run_to_rest()
    assert len(node.archive.stored) == 4


def test_a_lease_that_ran_out_is_put_back_and_everybody_is_woken(node: Node) -> None:
    node.receiving.receive(received(1))
    node.plan()
    assert node.ledger.lease_job(node.clock(), 60.0) is not None
    assert node.recovering.run_once(node.clock()) is False
    node.clock.advance(60.0)
    assert node.recovering.run_once(node.clock()) is True
    assert node.woken[-1] == "recovering"
    assert node.only_job().job.state is JobState.QUEUED


def test_a_file_nobody_claims_goes_when_it_is_old_and_claimed_ones_stay(node: Node) -> None:
    closed(node)
    claimed = set(node.spool.digests())
    orphan = node.spool.put(b"an image whose sender was told nothing").digest
    node.clock.advance(7200.0)
    assert node.recovering.sweep(node.clock()) is False  # it may have come this moment
    node.clock.advance(3600.0)
    assert node.recovering.sweep(node.clock()) is False
    assert orphan in set(node.spool.digests())
    node.clock.advance(1.0)
    assert node.recovering.sweep(node.clock()) is True
    assert set(node.spool.digests()) == claimed
    assert node.recovering.sweep(node.clock()) is False


def test_an_old_orphan_that_is_received_again_is_safe_before_its_row_is(node: Node) -> None:
    """Crash after the file; hours later the sender tries again while recovery is at work."""
    node.spool.put(radiograph(1))
    node.recovering.sweep(node.clock())
    node.clock.advance(7200.0)

    class Meanwhile:
        def put(self, data: bytes) -> object:
            spooled = node.spool.put(data)
            node.recovering.sweep(node.clock())
            return spooled

    receiving = replace(node.receiving, spool=Meanwhile())  # type: ignore[arg-type]
    assert receiving.receive(received(1)) is Receipt.NEW
    node.run_to_rest()
    assert len(node.archive.stored) == 2


def test_an_image_is_safe_when_the_clock_jumps_between_its_file_and_its_row(
    tmp_path: Path,
) -> None:
    """By more than the age of an orphan, while a sweep is due."""
    clock, steady = ManualClock(), ManualClock(0.0)
    spool = FileSpool(tmp_path / "spool", clock=clock, steady=steady)
    with closing(fresh_ledger(tmp_path)) as ledger:
        node = Node(ledger=ledger, spool=spool, clock=clock)

        class Meanwhile:
            def put(self, data: bytes) -> object:
                spooled = spool.put(data)
                for _ in range(2):
                    clock.advance(7200.0)
                    steady.advance(1.0)
                    node.recovering.sweep(clock())
                return spooled

        receiving = replace(node.receiving, spool=Meanwhile())  # type: ignore[arg-type]
        assert receiving.receive(received(1)) is Receipt.NEW
        node.run_to_rest()
        assert len(node.archive.stored) == 2


def test_files_of_closed_work_are_kept_for_their_time_and_then_go(node: Node) -> None:
    closed(node)
    assert len(list(node.spool.digests())) == 3
    retaining = node.retaining(100.0)
    node.clock.advance(100.0)
    assert retaining.run_once(node.clock()) is False
    node.clock.advance(0.1)
    assert retaining.run_once(node.clock()) is True
    assert list(node.spool.digests()) == []
    assert retaining.run_once(node.clock()) is False


def test_an_image_that_comes_again_after_its_files_went_makes_no_second_job(node: Node) -> None:
    closed(node)
    node.clock.advance(1000.0)
    node.retaining(100.0).run_once(node.clock())
    assert node.receiving.receive(received(1)) is Receipt.DUPLICATE
    node.run_to_rest()
    assert len(node.ledger.jobs()) == 1
    assert node.archive.attempts == [[0, 1]]
    sweep_twice(node)
    assert list(node.spool.digests()) == []


def test_open_work_is_kept_however_long_it_takes(node: Node) -> None:
    node.archive.down = True
    node.receiving.receive(received(1))
    node.plan()
    node.synthesize()
    node.deliver()
    node.clock.advance(1e8)
    assert node.retaining(1.0).run_once(node.clock()) is False
    assert node.recovering.run_once(node.clock()) is False
    assert node.recovering.sweep(node.clock()) is False
    node.archive.down = False
    node.run_to_rest()
    assert node.only_job().deliveries[0].delivery.state is DeliveryState.CLOSED


def test_quarantined_images_are_kept_and_ignored_ones_are_not(node: Node) -> None:
    node.routes = (route(Equals(attribute="BodyPartExamined", equals="CHEST")),)
    node.receiving.receive(received(1, BodyPartExamined="HAND"))
    node.receiving.receive(received(2, ViewPosition="LL"))
    node.run_to_rest()
    node.clock.advance(1000.0)
    assert node.retaining(100.0).run_once(node.clock()) is True
    quarantined = node.ledger.images()[0]
    assert list(node.spool.digests()) == [quarantined.image.digest]


def test_a_power_cut_between_row_and_file_leaves_no_claim_on_a_missing_file(node: Node) -> None:
    closed(node)
    node.clock.advance(1e6)
    cut = CutAt(node.spool, "remove", after=False)
    try:
        replace(node.retaining(100.0), spool=cut).run_once(node.clock())  # type: ignore[arg-type]
    except PowerCut:
        pass
    else:
        raise AssertionError("the power was not cut")
    assert node.ledger.known_digests() == frozenset()
    restarted = node.restarted()
    sweep_twice(restarted)
    assert list(restarted.spool.digests()) == []
