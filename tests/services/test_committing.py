"""Asking for storage commitment: nothing is forgotten, nothing is believed that was not said."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from dicom_node.domain.commitments import Commitment as Transaction
from dicom_node.domain.commitments import Heard, Report
from dicom_node.domain.deliveries import DeliveryState, Outcome
from dicom_node.domain.errors import PeerError, RefusedError
from dicom_node.domain.jobs import Target
from dicom_node.domain.retry import RetryPolicy
from dicom_node.domain.routes import Commitment
from dicom_node.domain.writing import Document, Form
from dicom_node.services.committing import Committing, Hearing
from tests.fakes import rows
from tests.fakes.clock import ManualClock
from tests.fakes.database import emptied_ledger, fresh_ledger
from tests.services.node import PACS

if TYPE_CHECKING:
    from pathlib import Path

    from dicom_node.domain.routes import Destination
    from dicom_node.ports import DeliveryRow
    from dicom_node.store.ledger import SqlLedger

WANTS = replace(
    PACS,
    commitment=Commitment.REQUIRED,
    commitment_timeout_s=600.0,
    retry=RetryPolicy(first_s=5.0, factor=2.0, max_s=900.0, attempts=4),
)


def yes(transaction: Transaction) -> Report:
    return Report(
        transaction_uid=transaction.transaction_uid,
        committed=frozenset(each.sop_instance_uid for each in transaction.instances),
        failed={},
    )


@dataclass
class Archive:
    """A `ports.CommitmentClient` that keeps what it was asked and answers as told."""

    asked: list[Transaction] = field(default_factory=list)
    answer: Callable[[Transaction], Report] | None = None
    fails: Exception | None = None

    def ask(
        self,
        destination: Destination,
        commitment: Transaction,
        on_report: Callable[[Report], Heard],
    ) -> None:
        self.asked.append(commitment)
        if self.answer is not None:
            on_report(self.answer(commitment))
        if self.fails is not None:
            raise self.fails


class Site:
    def __init__(self, ledger: SqlLedger) -> None:
        self.ledger, self.clock, self.archive = ledger, ManualClock(), Archive()
        self.woken = 0
        self.stopping = False
        self.uids = (f"2.25.{number}" for number in itertools.count(700))

    @property
    def hearing(self) -> Hearing:
        def wake() -> None:
            self.woken += 1

        return Hearing(
            ledger=self.ledger,
            policies={"pacs": WANTS.retry},
            otherwise=RetryPolicy(),
            clock=self.clock,
            wake=wake,
        )

    def run(self, destination: Destination = WANTS) -> bool:
        return Committing(
            ledger=self.ledger,
            client=self.archive,
            hearing=self.hearing,
            destination=destination,
            clock=self.clock,
            jitter=lambda: 0.0,
            new_uid=lambda: next(self.uids),
            stopping=lambda: self.stopping,
        ).run_once(self.clock())

    def send(self) -> list[int]:
        """Bring what is outstanding; the indexes of it."""
        delivery = self.ledger.lease_delivery("pacs", self.clock(), 60.0)
        assert delivery is not None
        for each in delivery.outstanding:
            self.ledger.record_outcome(
                delivery, each.sop_instance_uid, Outcome.STORED, 0, self.clock(), 60.0
            )
        self.ledger.finish_delivery(delivery, commitment=True, now=self.clock())
        return [each.index for each in delivery.outstanding]

    @property
    def row(self) -> DeliveryRow:
        (row,) = self.ledger.deliveries()
        return row

    @property
    def state(self) -> DeliveryState:
        return self.row.delivery.state


@pytest.fixture(params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    ledger = (
        fresh_ledger(tmp_path)
        if request.param == "sqlite"
        else emptied_ledger(request.getfixturevalue("postgresql"))
    )
    made = Site(ledger)
    rows.queue(ledger, 1, made.clock(), views=3)
    rows.finish(ledger, made.clock())
    made.send()
    yield made
    ledger.close()


def test_what_is_expected_is_written_down_before_the_destination_is_asked(site: Site) -> None:
    seen = []

    def look(transaction: Transaction) -> Report:
        seen.append(site.state)
        return yes(transaction)

    site.archive.answer = look
    assert site.run() is True
    (asked,) = site.archive.asked
    assert seen == [DeliveryState.COMMIT_REQUESTED]
    assert len(asked.instances) == 3
    assert site.state is DeliveryState.COMMITTED
    assert site.run() is False


def test_a_report_on_another_association_counts_as_much(site: Site) -> None:
    site.run()
    assert site.state is DeliveryState.COMMIT_REQUESTED
    site.clock.advance(300.0)
    assert site.hearing.hear(yes(site.archive.asked[0])) is Heard.COMMITTED
    assert site.state is DeliveryState.COMMITTED


def test_a_report_before_an_association_that_breaks_counts(site: Site) -> None:
    site.archive.answer, site.archive.fails = yes, PeerError("it broke")
    site.run()
    assert site.state is DeliveryState.COMMITTED
    assert site.run() is False


def test_files_are_kept_until_they_are_committed(site: Site) -> None:
    assert site.ledger.removable(1e12, 99) == ()
    site.run()
    assert site.ledger.removable(1e12, 99) == ()
    site.hearing.hear(yes(site.archive.asked[0]))
    assert len(site.ledger.removable(1e12, 99)) == 4


def test_failed_instances_are_sent_again_and_asked_about_again(site: Site) -> None:
    def partly(transaction: Transaction) -> Report:
        first, second, third = (each.sop_instance_uid for each in transaction.instances)
        return Report(
            transaction_uid=transaction.transaction_uid,
            committed=frozenset({first, third}),
            failed={second: 0x0112},
        )

    site.archive.answer = partly
    site.run()
    delivery = site.row.delivery
    assert (delivery.state, delivery.failures) == (DeliveryState.PENDING, 1)
    assert "0x0112" in delivery.last_error
    assert site.woken == 1
    site.archive.answer = yes
    site.clock.now = delivery.not_before
    assert site.send() == [1]
    site.run()
    first, second = site.archive.asked
    assert first.transaction_uid != second.transaction_uid
    assert second.instances == first.instances[1:2]
    assert site.state is DeliveryState.COMMITTED


def test_a_destination_that_never_reports_is_asked_again_under_a_new_uid(site: Site) -> None:
    site.run()
    site.clock.advance(599.0)
    assert site.run() is False
    site.clock.advance(1.0)
    assert site.run() is True
    assert site.state is DeliveryState.STORED
    assert "in time" in site.row.delivery.last_error
    site.clock.advance(5.0)
    site.run()
    first, second = site.archive.asked
    assert first.transaction_uid != second.transaction_uid
    assert first.instances == second.instances
    assert site.hearing.hear(yes(second)) is Heard.COMMITTED


def test_reports_that_never_come_end_in_quarantine_and_a_person_lets_it_go_on(site: Site) -> None:
    for _ in range(20):
        site.run()
        site.clock.advance(1000.0)
    assert len(site.archive.asked) == WANTS.retry.attempts
    assert site.state is DeliveryState.QUARANTINED
    site.ledger.release(site.row.delivery.job_key, site.clock())
    assert site.send() == []
    site.archive.answer = yes
    site.run()
    assert site.state is DeliveryState.COMMITTED


def test_an_asking_does_not_wait_for_the_clock_of_when_the_delivery_was_made(
    site: Site,
) -> None:
    site.archive.answer = yes
    site.run()
    rows.queue(site.ledger, 2, site.clock())
    rows.finish(site.ledger, site.clock())
    site.clock.advance(-365 * 86_400.0)
    site.send()
    site.clock.advance(1.0)
    site.run()
    assert len(site.archive.asked) == 2


def test_an_asking_does_not_wait_for_a_clock_that_was_set_back(site: Site) -> None:
    site.clock.advance(-365 * 86_400.0)
    site.run()
    assert len(site.archive.asked) == 1


def test_a_report_that_is_awaited_for_a_year_after_the_clock_was_set_back_is_asked_for_again(
    site: Site,
) -> None:
    site.run()
    site.clock.advance(-365 * 86_400.0)
    assert site.run()
    site.clock.advance(5.0)
    site.run()
    assert len({each.transaction_uid for each in site.archive.asked}) == 2


def test_a_late_report_is_believed_while_nothing_was_sent_since(site: Site) -> None:
    site.run()
    site.clock.advance(600.0)
    site.run()
    assert site.state is DeliveryState.STORED
    assert site.hearing.hear(yes(site.archive.asked[0])) is Heard.COMMITTED
    assert site.state is DeliveryState.COMMITTED
    assert site.run() is False


def test_a_second_answer_changes_nothing(site: Site) -> None:
    site.archive.answer = yes
    site.run()
    (asked,) = site.archive.asked
    no = Report(
        transaction_uid=asked.transaction_uid,
        committed=frozenset(),
        failed={each.sop_instance_uid: 0x0110 for each in asked.instances},
    )
    for report in (no, yes(asked)):
        assert site.hearing.hear(report) is Heard.REPEATED
        assert site.state is DeliveryState.COMMITTED


def test_a_first_no_is_not_undone_by_a_second_yes(site: Site) -> None:
    site.run()
    (asked,) = site.archive.asked
    uids = [each.sop_instance_uid for each in asked.instances]
    no = Report(transaction_uid=asked.transaction_uid, committed=frozenset(), failed={uids[0]: 1})
    assert site.hearing.hear(no) is Heard.RESENT
    assert site.hearing.hear(yes(asked)) is Heard.REPEATED
    assert site.state is DeliveryState.PENDING


def test_a_report_of_another_transaction_changes_nothing(site: Site) -> None:
    site.run()
    stray = replace(yes(site.archive.asked[0]), transaction_uid="2.25.99")
    assert site.hearing.hear(stray) is Heard.UNKNOWN
    assert site.state is DeliveryState.COMMIT_REQUESTED


@pytest.mark.parametrize("others", [frozenset(), frozenset({"1.2.3.4.5"})])
def test_a_report_that_passes_over_instances_commits_none_of_those(
    site: Site, others: frozenset[str]
) -> None:
    def some(transaction: Transaction) -> Report:
        named = frozenset({transaction.instances[0].sop_instance_uid})
        return replace(yes(transaction), committed=named | others)

    site.archive.answer = some
    site.run()
    assert site.state is DeliveryState.STORED
    site.archive.answer = yes
    site.clock.advance(5.0)
    site.run()
    assert site.archive.asked[1].instances == site.archive.asked[0].instances[1:]
    assert site.state is DeliveryState.COMMITTED


def test_an_instance_that_is_reported_both_ways_is_sent_again(site: Site) -> None:
    def both(transaction: Transaction) -> Report:
        return replace(yes(transaction), failed={transaction.instances[1].sop_instance_uid: 0x0110})

    site.archive.answer = both
    site.run()
    site.clock.advance(5.0)
    assert site.send() == [1]


def test_a_failed_request_is_repeated_under_a_new_uid(site: Site) -> None:
    site.archive.fails = PeerError("no connection")
    site.run()
    delivery = site.row.delivery
    assert (delivery.state, delivery.failures) == (DeliveryState.STORED, 1)
    assert delivery.last_error == "no connection"
    site.archive.fails, site.archive.answer = None, yes
    assert site.run() is False
    site.clock.advance(5.0)
    site.run()
    assert len({each.transaction_uid for each in site.archive.asked}) == 2
    assert site.state is DeliveryState.COMMITTED


def test_a_stop_of_the_node_is_no_failure(site: Site) -> None:
    site.archive.fails, site.stopping = PeerError("cut"), True
    site.run()
    delivery = site.row.delivery
    assert (delivery.state, delivery.failures) == (DeliveryState.STORED, 0)
    assert delivery.not_before == site.clock()


@pytest.mark.parametrize(
    ("commitment", "state"),
    [
        (Commitment.IF_SUPPORTED, DeliveryState.CLOSED),
        (Commitment.REQUIRED, DeliveryState.QUARANTINED),
    ],
)
def test_a_destination_without_the_service_ends_it_as_configured(
    site: Site, commitment: Commitment, state: DeliveryState
) -> None:
    site.archive.fails = RefusedError("pacs does no storage commitment")
    site.run(replace(WANTS, commitment=commitment))
    assert site.state is state


def test_a_commitment_that_is_not_wanted_any_more_is_closed(site: Site) -> None:
    site.run()
    assert site.run(PACS) is True
    assert site.state is DeliveryState.CLOSED
    assert site.run(PACS) is False


def test_a_crash_between_the_row_and_the_request_is_asked_again(site: Site) -> None:
    asked = site.ledger.ask_commitment(
        "pacs", "2.25.1", now=site.clock(), answer_by=site.clock() + 60.0
    )
    assert asked is not None
    site.clock.advance(60.0)
    site.run()
    site.clock.advance(5.0)
    site.archive.answer = yes
    site.run()
    assert site.state is DeliveryState.COMMITTED


def test_documents_are_committed_with_the_images_they_go_with(tmp_path: Path) -> None:
    target = Target(destination="pacs", form=Form.DX, documents=tuple(Document))
    site = Site(fresh_ledger(tmp_path))
    rows.queue(site.ledger, 1, site.clock(), views=2, targets=(target,))
    rows.finish(site.ledger, site.clock())
    assert site.send() == [0, 1, 2, 3, 4]
    site.archive.answer = yes
    site.run()
    (asked,) = site.archive.asked
    assert len(asked.instances) == 5
    assert site.state is DeliveryState.COMMITTED
    site.ledger.close()
