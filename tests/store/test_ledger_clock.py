"""The contract of a ledger: clocks jump, and neither waits for what was nor for what will be."""

from __future__ import annotations

import pytest

from dicom_node.domain.errors import LeaseLostError
from dicom_node.domain.jobs import JobState
from dicom_node.ports import Ledger
from tests.fakes import rows

NOW = 1_700_000_000.0
DAY_S = 86_400.0


def test_a_job_does_not_wait_for_a_clock_that_was_set_back(ledger: Ledger) -> None:
    rows.queue(ledger, 1, NOW)
    assert ledger.lease_job(NOW - DAY_S, 60.0) is not None


def test_a_job_that_failed_before_the_clock_was_set_back_is_due(ledger: Ledger) -> None:
    rows.queue(ledger, 1, NOW)
    job = ledger.lease_job(NOW, 60.0)
    assert job is not None
    ledger.fail_job(job, "broken", retry_at=NOW + 600.0, now=NOW)
    assert ledger.lease_job(NOW - 365 * DAY_S, 60.0) is not None


def test_a_small_step_back_does_not_shorten_a_wait(ledger: Ledger) -> None:
    rows.queue(ledger, 1, NOW)
    job = ledger.lease_job(NOW, 60.0)
    assert job is not None
    ledger.fail_job(job, "broken", retry_at=NOW + 600.0, now=NOW)
    assert ledger.lease_job(NOW - 30.0, 60.0) is None


def test_a_delivery_does_not_wait_for_a_clock_that_was_set_back(ledger: Ledger) -> None:
    rows.queue(ledger, 1, NOW)
    rows.finish(ledger, NOW)
    delivery = ledger.lease_delivery("pacs", NOW, 60.0)
    assert delivery is not None
    ledger.fail_delivery(delivery, "away", retry_at=NOW + 600.0, now=NOW)
    assert ledger.lease_delivery("pacs", NOW + 1.0, 60.0) is None
    assert ledger.lease_delivery("pacs", NOW - DAY_S, 60.0) is not None


def test_what_was_taken_up_after_the_clock_was_set_back_and_given_back_is_due(
    ledger: Ledger,
) -> None:
    ahead = NOW + 365 * DAY_S
    rows.queue(ledger, 1, ahead)
    assert ledger.lease_job(NOW, 60.0) is not None
    assert ledger.requeue_leases(NOW + 1.0) == 1
    rows.finish(ledger, NOW + 2.0)
    rows.queue(ledger, 2, ahead)
    rows.finish(ledger, ahead)
    for again in (0.0, 2.0):
        for _ in range(2):
            assert ledger.lease_delivery("pacs", NOW + 3.0 + again, 60.0) is not None
        assert ledger.requeue_leases(NOW + 4.0 + again) == 2


def test_a_clock_that_jumps_a_year_ahead_ends_leases_and_publishes_nothing_twice(
    ledger: Ledger,
) -> None:
    rows.queue(ledger, 1, NOW)
    slow = ledger.lease_job(NOW, 60.0)
    assert slow is not None
    later = NOW + 365 * DAY_S
    assert ledger.expire_leases(later) == 1
    fresh = ledger.lease_job(later, 60.0)
    assert fresh is not None
    ledger.finish_job(fresh, rows.products(fresh), later)
    with pytest.raises(LeaseLostError):
        ledger.finish_job(slow, rows.products(slow), NOW + 1.0)
    (row,) = ledger.jobs()
    assert row.job.state is JobState.DONE
    assert len(row.deliveries) == 1
