"""A year of clock in a moment: leases, retries, retention and local time, with every odd hour."""

from __future__ import annotations

import time
from io import BytesIO
from typing import TYPE_CHECKING

import pytest
from pydicom import dcmread

from dicom_node.domain.deliveries import DeliveryState
from dicom_node.domain.jobs import JobState
from dicom_node.domain.routes import Commitment
from tests.fakes.radiographs import received
from tests.services.test_committing import WANTS, site, yes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.services.node import Node
    from tests.services.test_committing import Site

__all__ = ["site"]

DAY_S = 86400.0
KEEP_S = 7 * DAY_S
EVERY_DAYS = 14
SPRING_FORWARD, FALL_BACK = 1_711_846_800.0, 1_729_990_800.0
"""01:00 UTC on 2024-03-31 and 2024-10-27, when Central Europe puts its clocks on and back."""


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def keep_house(node: Node) -> None:
    """What the scheduler does by the clock."""
    now = node.clock()
    node.recovering.run_once(now)
    node.recovering.sweep(now)
    while node.retaining(KEEP_S).run_once(now):
        pass


def test_after_a_year_everything_was_delivered_once_and_a_week_of_files_is_left(
    node: Node, berlin: None
) -> None:
    """Every other week an image; the archive is away, the node dies, the clock is wrong."""
    began, images = node.clock(), 0
    while node.clock() < began + 365 * DAY_S:
        images += 1
        node.receiving.receive(received(images))
        node.plan()
        match images % 6:
            case 1:  # killed in the middle of a job, and only its lease tells
                assert node.ledger.lease_job(node.clock(), 900.0) is not None
            case 2:  # killed while it sends
                node.synthesize()
                assert node.ledger.lease_delivery("pacs", node.clock(), 600.0) is not None
            case 3:  # the archive is away over the week-end
                node.archive.down = True
                for _ in range(2):
                    node.synthesize()
                    node.deliver()
                    node.clock.advance(300.0)
                node.archive.down = False
            case 4:  # a leap second, smeared by nobody
                node.clock.advance(-1.0)
            case 5:  # an administrator sets the clock back by a day, then right again
                node.clock.advance(-DAY_S)
                node.run_to_rest()
                node.clock.advance(DAY_S)
        keep_house(node)
        node.run_to_rest()
        node.clock.advance(EVERY_DAYS * DAY_S)
        keep_house(node)
    assert images == 27
    rows = node.ledger.jobs(limit=1000)
    assert {row.job.state for row in rows} == {JobState.DONE}
    assert len(rows) == images
    deliveries = [each.delivery for row in rows for each in row.deliveries]
    assert {each.state for each in deliveries} == {DeliveryState.CLOSED}
    assert len(node.archive.stored) == 2 * images
    assert all(len(contents) == 1 for contents in node.archive.stored.values())
    assert len(list(node.spool.digests())) <= 3 * 2
    node.clock.advance(KEEP_S + 1.0)
    keep_house(node)
    assert list(node.spool.digests()) == []


@pytest.mark.parametrize(
    ("change", "offset_before", "offset_after"),
    [(SPRING_FORWARD, "+0100", "+0200"), (FALL_BACK, "+0200", "+0100")],
    ids=["spring", "autumn"],
)
def test_the_hour_that_is_not_or_is_twice_delays_nothing_and_times_are_of_their_own_offset(
    node: Node, berlin: None, change: float, offset_before: str, offset_after: str
) -> None:
    for number, (now, offset) in enumerate(
        [(change - 1.0, offset_before), (change + 1.0, offset_after)], start=1
    ):
        node.clock.now = now
        node.receiving.receive(received(number))
        node.run_to_rest()
        assert node.clock() == now, "nothing had to wait"
        made = [
            dcmread(BytesIO(node.spool.read(digest)))
            for digest in node.spool.digests()
            if digest not in {row.image.digest for row in node.ledger.images()}
        ]
        assert offset in {ds.TimezoneOffsetFromUTC for ds in made}


def test_an_archive_that_says_nothing_is_asked_once_for_a_year_that_was_jumped(site: Site) -> None:
    """Not once for every time-out that passed unseen: the machine slept."""
    assert WANTS.commitment is Commitment.REQUIRED
    site.run()
    assert len(site.archive.asked) == 1
    site.clock.advance(365 * DAY_S)
    for _ in range(5):
        site.run()
    assert len(site.archive.asked) <= 2
    site.archive.answer = yes
    site.clock.advance(DAY_S)
    for _ in range(3):
        site.run()
    assert site.state is DeliveryState.COMMITTED
    uids = [each.transaction_uid for each in site.archive.asked]
    assert len(set(uids)) == len(uids)
