"""The contract of a ledger: images and decisions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dicom_node.domain.errors import IntegrityError
from dicom_node.domain.jobs import JobState
from dicom_node.ports import DecidedAs, Ledger, Receipt
from tests.fakes import rows


def test_the_first_image_of_a_uid_is_new_and_waits_for_its_decision(ledger: Ledger) -> None:
    assert ledger.record_image(rows.image(1), 10.0) is Receipt.NEW
    (row,) = ledger.unplanned(10)
    assert row.image == rows.image(1)
    assert row.received_at == 10.0
    assert row.decision is None
    assert ledger.images() == (row,)


def test_the_same_image_again_is_a_duplicate_and_no_new_row(ledger: Ledger) -> None:
    ledger.record_image(rows.image(1), 10.0)
    assert ledger.record_image(rows.image(1), 11.0) is Receipt.DUPLICATE
    assert len(ledger.images()) == 1


def test_a_duplicate_from_another_sender_leaves_the_first_row_as_it_is(ledger: Ledger) -> None:
    ledger.record_image(rows.image(1), 10.0)
    again = replace(rows.image(1), calling_ae_title="OTHER")
    assert ledger.record_image(again, 11.0) is Receipt.DUPLICATE
    assert ledger.images()[0].image.calling_ae_title == "MODALITY"


def test_other_content_under_a_known_uid_is_kept_and_quarantined(ledger: Ledger) -> None:
    ledger.record_image(rows.image(1), 10.0)
    other = rows.image(1, content="other")
    assert ledger.record_image(other, 11.0) is Receipt.CONFLICT
    newest, first = ledger.images()
    assert first.decision is None
    assert newest.image == other
    assert newest.decision is not None
    assert newest.decision.decided_as is DecidedAs.QUARANTINE
    assert "content differs" in newest.decision.reason
    assert [row.image for row in ledger.unplanned(10)] == [rows.image(1)]
    assert other.digest in ledger.known_digests()


def test_the_same_conflict_again_makes_no_third_row(ledger: Ledger) -> None:
    ledger.record_image(rows.image(1), 10.0)
    other = rows.image(1, content="other")
    ledger.record_image(other, 11.0)
    assert ledger.record_image(other, 12.0) is Receipt.CONFLICT
    assert ledger.record_image(rows.image(1), 13.0) is Receipt.DUPLICATE
    assert len(ledger.images()) == 2


def test_unplanned_images_come_oldest_first_and_no_more_than_asked(ledger: Ledger) -> None:
    for number in (3, 1, 2):
        ledger.record_image(rows.image(number), float(number))
    assert [row.image for row in ledger.unplanned(2)] == [rows.image(3), rows.image(1)]
    assert [row.image for row in ledger.images(limit=1)] == [rows.image(2)]


def test_a_decision_is_stored_whole_and_ends_the_wait(ledger: Ledger) -> None:
    ledger.record_image(rows.image(1), 10.0)
    (row,) = ledger.unplanned(1)
    decision = rows.decision(DecidedAs.IGNORE, "no route holds")
    ledger.record_decision(row.id, decision, [], 11.0)
    assert ledger.unplanned(1) == ()
    assert ledger.images()[0].decision == decision


def test_a_second_decision_is_refused(ledger: Ledger) -> None:
    ledger.record_image(rows.image(1), 10.0)
    (row,) = ledger.unplanned(1)
    ledger.record_decision(row.id, rows.decision(DecidedAs.IGNORE, "a"), [], 11.0)
    with pytest.raises(IntegrityError):
        ledger.record_decision(row.id, rows.decision(), [rows.job_of(1)], 12.0)
    assert ledger.jobs() == ()
    decision = ledger.images()[0].decision
    assert decision is not None
    assert decision.reason == "a"


def test_a_decision_about_no_image_is_refused(ledger: Ledger) -> None:
    with pytest.raises(IntegrityError):
        ledger.record_decision(77, rows.decision(), [], 1.0)


@pytest.mark.parametrize("kind", [DecidedAs.IGNORE, DecidedAs.QUARANTINE])
def test_only_an_accepted_image_can_have_a_job(ledger: Ledger, kind: DecidedAs) -> None:
    ledger.record_image(rows.image(1), 10.0)
    (row,) = ledger.unplanned(1)
    with pytest.raises(IntegrityError):
        ledger.record_decision(row.id, rows.decision(kind), [rows.job_of(1)], 11.0)
    assert ledger.unplanned(1) == (row,)


def test_a_job_is_queued_with_the_decision_and_remembers_its_source(ledger: Ledger) -> None:
    new = rows.queue(ledger, 1, 10.0, priority=3, views=3)
    (row,) = ledger.jobs()
    job = row.job
    assert (job.key, job.order, job.state) == (new.key, new.order, JobState.QUEUED)
    assert job.source_digest == rows.image(1).digest
    assert job.source_sop_instance_uid == "1.2.3.1"
    assert job.source_sop_class_uid == rows.image(1).sop_class_uid
    assert job.calling_ae_title == "MODALITY"
    assert (job.attempts, job.failures, job.lost_leases, job.last_error) == (0, 0, 0, "")
    assert (job.created_at, job.updated_at, job.not_before) == (10.0, 10.0, 10.0)
    assert job.lease_until is None
    assert row.deliveries == ()


def test_a_job_whose_key_is_there_already_vanishes(ledger: Ledger) -> None:
    rows.queue(ledger, 1, 10.0)
    ledger.record_image(rows.image(2), 11.0)
    (row,) = ledger.unplanned(1)
    ledger.record_decision(row.id, rows.decision(), [rows.job_of(1)], 12.0)
    (job,) = ledger.jobs()
    assert job.job.source_sop_instance_uid == "1.2.3.1"
