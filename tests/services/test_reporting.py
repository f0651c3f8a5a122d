"""Answering peers that ask for storage commitment: from the ledger, however often it takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from dicom_node.domain.commitments import Demand, Reference, Report
from dicom_node.domain.errors import PeerError
from dicom_node.domain.retry import RetryPolicy
from dicom_node.services.reporting import Demanding, Reporting
from tests.fakes import rows
from tests.fakes.clock import ManualClock
from tests.fakes.database import emptied_ledger, fresh_ledger
from tests.fakes.spool import MemorySpool

if TYPE_CHECKING:
    from pathlib import Path

    from dicom_node.store.ledger import SqlLedger

CR = "1.2.840.10008.5.1.4.1.1.1"


def reference(number: int, sop_class: str = CR) -> Reference:
    return Reference(sop_class_uid=sop_class, sop_instance_uid=f"1.2.3.{number}")


@dataclass
class Modality:
    """A `ports.ReportClient` that keeps reports, or fails while told to."""

    reports: list[Report] = field(default_factory=list)
    fails: int = 0

    def report(self, demand: Demand, report: Report) -> None:
        if self.fails:
            self.fails -= 1
            raise PeerError("no association")
        self.reports.append(report)


class Files(MemorySpool):
    """Holds what the rows speak of, but for what is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.lost: set[str] = set()

    def holds(self, digest: str, size_bytes: int) -> bool:
        return digest not in self.lost


class Site:
    def __init__(self, ledger: SqlLedger) -> None:
        self.ledger, self.clock, self.modality = ledger, ManualClock(), Modality()
        self.spool = Files()

    def ask(self, *references: Reference, uid: str = "2.25.5") -> bool:
        service = Demanding(ledger=self.ledger, clock=self.clock)
        return service.take(uid, references, calling_ae_title="MODALITY", address="127.0.0.1")

    def run(self, seconds: int = 60) -> None:
        """Let so many seconds pass, a turn every second."""
        service = Reporting(
            ledger=self.ledger,
            spool=self.spool,
            client=self.modality,
            clock=self.clock,
            jitter=lambda: 0.0,
            retry=RetryPolicy(first_s=5.0, factor=2.0, max_s=10.0, attempts=3),
        )
        for _ in range(seconds):
            self.clock.advance(1.0)
            service.run_once(self.clock())


@pytest.fixture(params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    ledger = (
        fresh_ledger(tmp_path)
        if request.param == "sqlite"
        else emptied_ledger(request.getfixturevalue("postgresql"))
    )
    yield Site(ledger)
    ledger.close()


def test_what_is_in_the_ledger_is_committed_and_nothing_else(site: Site) -> None:
    site.ledger.record_image(rows.image(1), 1.0)
    site.ledger.record_image(rows.image(2), 1.0)
    other = "1.2.840.10008.5.1.4.1.1.7"
    assert site.ask(reference(1), reference(2, other), reference(3)) is True
    site.run()
    assert site.modality.reports == [
        Report(
            transaction_uid="2.25.5",
            committed=frozenset({"1.2.3.1"}),
            failed={"1.2.3.2": 0x0119, "1.2.3.3": 0x0112},
        )
    ]


def test_the_report_waits_until_the_response_is_out(site: Site) -> None:
    site.ledger.record_image(rows.image(1), 1.0)
    site.ask(reference(1))
    assert site.ledger.lease_demand(site.clock() + 0.2, 60.0) is None
    assert site.ledger.lease_demand(site.clock() + 0.3, 60.0) is not None


def test_an_instance_that_is_still_on_its_way_is_waited_for(site: Site) -> None:
    site.ask(reference(1))
    site.run(4)
    assert site.modality.reports == []
    site.ledger.record_image(rows.image(1), site.clock())
    site.run(2)
    (report,) = site.modality.reports
    assert report.committed == {"1.2.3.1"}


def test_an_object_whose_file_was_let_go_is_not_committed(site: Site) -> None:
    rows.queue(site.ledger, 1, 1.0)
    rows.finish(site.ledger, 2.0)
    with site.ledger._database.write() as connection:
        connection.exec_driver_sql("UPDATE images SET file_removed_at = 3.0")
    site.ask(reference(1))
    site.run()
    assert site.modality.reports[0].failed == {"1.2.3.1": 0x0112}


def test_an_object_whose_file_somebody_took_away_is_not_committed(site: Site) -> None:
    site.ledger.record_image(rows.image(1), 1.0)
    site.ledger.record_image(rows.image(2), 1.0)
    site.spool.lost.add(rows.image(2).digest)
    site.ask(reference(1), reference(2))
    site.run()
    assert site.modality.reports[0].committed == {"1.2.3.1"}
    assert site.modality.reports[0].failed == {"1.2.3.2": 0x0112}


def test_a_demand_does_not_wait_for_a_clock_that_was_set_back(site: Site) -> None:
    site.ledger.record_image(rows.image(1), 1.0)
    site.ask(reference(1))
    site.clock.advance(-365 * 86_400.0)
    site.run(2)
    assert len(site.modality.reports) == 1


def test_a_report_that_does_not_get_through_is_sent_again(site: Site) -> None:
    site.ledger.record_image(rows.image(1), 1.0)
    site.modality.fails = 2
    site.ask(reference(1))
    site.run()
    assert len(site.modality.reports) == 1


def test_a_peer_that_never_takes_its_report_is_given_up_until_it_asks_again(site: Site) -> None:
    site.ledger.record_image(rows.image(1), 1.0)
    site.modality.fails = 3
    site.ask(reference(1))
    site.run()
    assert site.modality.reports == []
    assert site.ask(reference(1)) is True
    site.run()
    assert len(site.modality.reports) == 1


def test_the_same_demand_again_is_reported_again_and_another_one_is_refused(site: Site) -> None:
    site.ledger.record_image(rows.image(1), 1.0)
    for _ in range(2):
        assert site.ask(reference(1)) is True
        site.run(3)
    assert len(site.modality.reports) == 2
    assert site.ask(reference(2)) is False
    assert site.ask(reference(2), uid="2.25.6") is True


def test_a_demand_whose_reporter_died_is_reported_by_the_next(site: Site) -> None:
    site.ledger.record_image(rows.image(1), 1.0)
    site.ask(reference(1))
    assert site.ledger.lease_demand(site.clock() + 1.0, 30.0) is not None
    site.run(20)
    assert site.modality.reports == []
    site.run(20)
    assert len(site.modality.reports) == 1
