"""The contract of a ledger: deliveries and what destinations answer."""

from __future__ import annotations

import pytest

from dicom_node.domain.deliveries import Delivery, DeliveryState, Outcome
from dicom_node.domain.errors import IntegrityError, LeaseLostError
from dicom_node.domain.jobs import Target
from dicom_node.domain.writing import Form
from dicom_node.ports import DeliveryRow, Ledger
from tests.fakes import rows


def leased(ledger: Ledger, now: float, lease_s: float = 60.0) -> Delivery:
    delivery = ledger.lease_delivery("pacs", now, lease_s)
    assert delivery is not None
    return delivery


def only(ledger: Ledger) -> DeliveryRow:
    (row,) = ledger.jobs()
    (delivery,) = row.deliveries
    return delivery


def answer(
    ledger: Ledger, delivery: Delivery, index: int, outcome: Outcome, now: float = 50.0
) -> None:
    uid = next(i for i in delivery.outstanding if i.index == index).sop_instance_uid
    status = {Outcome.STORED: 0x0000, Outcome.RETRY: 0xA700, Outcome.REFUSED: 0xA900}[outcome]
    ledger.record_outcome(delivery, uid, outcome, status, now, 60.0)


@pytest.fixture
def sending(ledger: Ledger) -> Delivery:
    """A delivery of three instances, leased at 40 for a minute."""
    rows.queue(ledger, 1, 10.0, views=3)
    rows.finish(ledger, 30.0)
    return leased(ledger, 40.0)


def test_a_lease_marks_the_delivery_and_names_what_is_outstanding(
    ledger: Ledger, sending: Delivery
) -> None:
    assert sending.state is DeliveryState.SENDING
    assert (sending.attempts, sending.lease_until, sending.failures) == (1, 100.0, 0)
    assert [i.index for i in sending.outstanding] == [0, 1, 2]
    assert only(ledger).delivery == sending
    assert ledger.lease_delivery("pacs", 41.0, 60.0) is None


def test_deliveries_of_other_destinations_are_left_alone(ledger: Ledger) -> None:
    rows.queue(ledger, 1, 10.0)
    rows.finish(ledger, 30.0)
    assert ledger.lease_delivery("elsewhere", 40.0, 60.0) is None


def test_the_oldest_due_delivery_goes_first(ledger: Ledger) -> None:
    for number in (1, 2):
        rows.queue(ledger, number, 10.0)
        rows.finish(ledger, 20.0)
    first = leased(ledger, 30.0)
    ledger.fail_delivery(first, "away", retry_at=90.0, now=30.0)
    second = leased(ledger, 30.0)
    assert second.id > first.id
    assert ledger.lease_delivery("pacs", 89.9, 60.0) is None
    assert ledger.next_due(30.0) == 90.0
    assert leased(ledger, 90.0).id == first.id


def test_every_answer_is_kept_and_a_stored_instance_is_outstanding_no_more(
    ledger: Ledger, sending: Delivery
) -> None:
    answer(ledger, sending, 0, Outcome.STORED)
    answer(ledger, sending, 1, Outcome.RETRY)
    row = only(ledger)
    assert (row.instances, row.stored) == (3, 1)
    assert [i.index for i in row.delivery.outstanding] == [1, 2]


def test_an_answer_renews_the_lease(ledger: Ledger, sending: Delivery) -> None:
    answer(ledger, sending, 0, Outcome.STORED, now=90.0)
    assert only(ledger).delivery.lease_until == 150.0
    assert ledger.expire_leases(149.0) == 0
    assert ledger.expire_leases(150.0) == 1


def test_what_is_stored_stays_stored(ledger: Ledger, sending: Delivery) -> None:
    answer(ledger, sending, 0, Outcome.STORED)
    answer(ledger, sending, 0, Outcome.REFUSED)
    assert only(ledger).stored == 1


def test_an_answer_for_a_foreign_instance_is_refused(ledger: Ledger, sending: Delivery) -> None:
    with pytest.raises(IntegrityError):
        ledger.record_outcome(sending, "1.2.3.999", Outcome.STORED, 0, 50.0, 60.0)


def test_the_next_attempt_brings_only_what_is_outstanding(
    ledger: Ledger, sending: Delivery
) -> None:
    answer(ledger, sending, 1, Outcome.STORED)
    ledger.fail_delivery(sending, "the association broke", retry_at=60.0, now=50.0)
    again = leased(ledger, 60.0)
    assert [i.index for i in again.outstanding] == [0, 2]
    assert (again.attempts, again.failures, again.last_error) == (2, 1, "the association broke")


def test_a_failure_that_is_not_its_own_is_not_counted(ledger: Ledger, sending: Delivery) -> None:
    ledger.fail_delivery(sending, "stopping", retry_at=60.0, now=50.0, counts=False)
    assert only(ledger).delivery.failures == 0


@pytest.mark.parametrize(
    ("commitment", "state"), [(False, DeliveryState.CLOSED), (True, DeliveryState.STORED)]
)
def test_a_delivery_ends_when_every_instance_is_stored(
    ledger: Ledger, sending: Delivery, commitment: bool, state: DeliveryState
) -> None:
    for index in range(3):
        answer(ledger, sending, index, Outcome.STORED)
    ledger.finish_delivery(sending, commitment=commitment, now=60.0)
    row = only(ledger)
    assert (row.delivery.state, row.stored) == (state, 3)
    assert (row.delivery.lease_until, row.delivery.outstanding) == (None, ())
    assert ledger.lease_delivery("pacs", 1e12, 60.0) is None


def test_a_delivery_with_something_outstanding_cannot_end(
    ledger: Ledger, sending: Delivery
) -> None:
    for index in range(2):
        answer(ledger, sending, index, Outcome.STORED)
    with pytest.raises(IntegrityError):
        ledger.finish_delivery(sending, commitment=False, now=60.0)
    assert only(ledger).delivery.state is DeliveryState.SENDING


def test_a_quarantined_delivery_is_released_with_its_job_and_brings_the_rest(
    ledger: Ledger, sending: Delivery
) -> None:
    answer(ledger, sending, 0, Outcome.STORED)
    answer(ledger, sending, 1, Outcome.REFUSED)
    ledger.fail_delivery(sending, "refused with 0xA900", retry_at=None, now=60.0)
    assert only(ledger).delivery.state is DeliveryState.QUARANTINED
    assert ledger.lease_delivery("pacs", 1e12, 60.0) is None
    assert ledger.release(sending.job_key, 70.0) == 1
    again = leased(ledger, 70.0)
    assert [i.index for i in again.outstanding] == [1, 2]
    assert (again.attempts, again.failures) == (2, 0)


@pytest.mark.parametrize("deed", ["answer", "finish", "fail", "give up"])
@pytest.mark.parametrize("successor", ["waits", "sends"])
def test_a_sender_whose_lease_ran_out_cannot_overwrite_its_successor(
    ledger: Ledger, sending: Delivery, deed: str, successor: str
) -> None:
    ledger.expire_leases(200.0)
    if successor == "sends":
        leased(ledger, 200.0)
    before = ledger.jobs()
    with pytest.raises(LeaseLostError):
        match deed:
            case "answer":
                answer(ledger, sending, 0, Outcome.STORED, now=210.0)
            case "finish":
                ledger.finish_delivery(sending, commitment=False, now=210.0)
            case "fail":
                ledger.fail_delivery(sending, "late", retry_at=220.0, now=210.0)
            case _:
                ledger.fail_delivery(sending, "late", retry_at=None, now=210.0)
    assert ledger.jobs() == before


def test_the_story_of_a_delivery_is_told_with_its_job(ledger: Ledger, sending: Delivery) -> None:
    ledger.fail_delivery(sending, "away", retry_at=60.0, now=50.0)
    ledger.expire_leases(1e9)
    found = ledger.job(sending.job_key)
    assert found is not None
    assert found.events[-2:] == (
        (40.0, "pacs: leased", "attempt 1"),
        (50.0, "pacs: failed", "away"),
    )


def test_two_targets_are_delivered_apart(ledger: Ledger) -> None:
    targets = (Target(destination="pacs", form=Form.DX), Target(destination="b", form=Form.SC))
    rows.queue(ledger, 1, 10.0, targets=targets, views=1)
    rows.finish(ledger, 20.0)
    pacs = leased(ledger, 30.0)
    answer(ledger, pacs, 0, Outcome.STORED)
    ledger.finish_delivery(pacs, commitment=False, now=40.0)
    (row,) = ledger.jobs()
    assert [d.delivery.state for d in row.deliveries] == [
        DeliveryState.CLOSED,
        DeliveryState.PENDING,
    ]
    other = ledger.lease_delivery("b", 50.0, 60.0)
    assert other is not None
    assert other.form is Form.SC


def test_what_waits_for_a_destination_nobody_knows_is_quarantined_and_nothing_else(
    ledger: Ledger,
) -> None:
    targets = (Target(destination="pacs", form=Form.DX), Target(destination="gone", form=Form.SC))
    rows.queue(ledger, 1, 10.0, targets=targets, views=1)
    rows.finish(ledger, 20.0)
    assert ledger.quarantine_strays({"pacs"}, 30.0) == ("gone",)
    assert ledger.quarantine_strays({"pacs"}, 31.0) == ()
    (row,) = ledger.jobs()
    assert [d.delivery.state for d in row.deliveries] == [
        DeliveryState.PENDING,
        DeliveryState.QUARANTINED,
    ]
    assert "gone" in row.deliveries[1].delivery.last_error


def test_what_is_being_sent_is_no_stray(ledger: Ledger, sending: Delivery) -> None:
    assert ledger.quarantine_strays((), 50.0) == ()
    assert only(ledger).delivery.state is DeliveryState.SENDING
