"""The contract of a ledger: which files rows still need."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dicom_node.domain.deliveries import Outcome
from dicom_node.ports import DecidedAs, Ledger, Receipt
from tests.fakes import rows

FAR = 1e9


def closed(ledger: Ledger, number: int, *, commitment: bool = False) -> set[str]:
    """Bring image ``number`` all the way, closed at 60; the digests it took."""
    rows.queue(ledger, number, 10.0)
    job = rows.finish(ledger, 20.0)
    delivery = ledger.lease_delivery("pacs", 30.0, 60.0)
    assert delivery is not None
    for instance in delivery.outstanding:
        uid = instance.sop_instance_uid
        ledger.record_outcome(delivery, uid, Outcome.STORED, 0, 40.0, 60.0)
    ledger.finish_delivery(delivery, commitment=commitment, now=60.0)
    return {job.source_digest, *(p.instance.digest for p in rows.products(job))}


def test_files_of_closed_work_are_removable_once_it_is_old_enough(ledger: Ledger) -> None:
    digests = closed(ledger, 1)
    assert ledger.removable(60.0, 10) == ()
    assert set(ledger.removable(60.1, 10)) == digests
    assert ledger.known_digests() == digests


def test_no_more_is_named_than_asked(ledger: Ledger) -> None:
    closed(ledger, 1)
    assert len(ledger.removable(FAR, 2)) == 2


def test_forgotten_files_are_claimed_no_more_and_rows_stay(ledger: Ledger) -> None:
    digests = closed(ledger, 1)
    assert set(ledger.forget_files(sorted(digests), FAR, 100.0)) == digests
    assert ledger.known_digests() == frozenset()
    assert ledger.removable(FAR, 10) == ()
    assert len(ledger.images()) == len(ledger.jobs()) == 1
    assert ledger.record_image(rows.image(1), 200.0) is Receipt.DUPLICATE


def test_what_is_needed_again_is_not_forgotten(ledger: Ledger) -> None:
    ledger.record_image(rows.image(1), 10.0)
    digest = rows.image(1).digest
    assert ledger.forget_files([digest], FAR, 100.0) == ()
    assert ledger.known_digests() == {digest}


def test_an_ignored_image_is_removable_and_a_quarantined_one_is_not(ledger: Ledger) -> None:
    for number, kind in ((1, DecidedAs.IGNORE), (2, DecidedAs.QUARANTINE)):
        ledger.record_image(rows.image(number), 10.0)
        (row,) = ledger.unplanned(1)
        ledger.record_decision(row.id, rows.decision(kind, "because"), [], 20.0)
    ledger.record_image(rows.image(1, content="conflict"), 10.0)
    assert ledger.removable(FAR, 10) == (rows.image(1).digest,)


@pytest.mark.parametrize("stage", ["received", "queued", "running", "quarantined", "finished"])
def test_work_that_is_not_closed_keeps_its_files(ledger: Ledger, stage: str) -> None:
    if stage == "received":
        ledger.record_image(rows.image(1), 10.0)
    else:
        rows.queue(ledger, 1, 10.0)
    if stage == "finished":
        rows.finish(ledger, 20.0)
    if stage in ("running", "quarantined"):
        job = ledger.lease_job(20.0, 60.0)
        assert job is not None
        if stage == "quarantined":
            ledger.fail_job(job, "broken", retry_at=None, now=30.0)
    assert ledger.removable(FAR, 10) == ()


@pytest.mark.parametrize("stage", ["sending", "retry", "quarantined", "stored"])
def test_a_delivery_that_is_not_closed_keeps_the_files_of_its_job(
    ledger: Ledger, stage: str
) -> None:
    if stage == "stored":
        closed(ledger, 1, commitment=True)
    else:
        rows.queue(ledger, 1, 10.0)
        rows.finish(ledger, 20.0)
        delivery = ledger.lease_delivery("pacs", 30.0, 60.0)
        assert delivery is not None
        if stage != "sending":
            retry_at = 50.0 if stage == "retry" else None
            ledger.fail_delivery(delivery, "away", retry_at=retry_at, now=40.0)
    assert ledger.removable(FAR, 10) == ()


def test_open_work_does_not_keep_the_files_of_closed_work(ledger: Ledger) -> None:
    digests = closed(ledger, 1)
    rows.queue(ledger, 2, 10.0)
    assert set(ledger.removable(FAR, 100)) == digests


def test_a_file_that_two_images_claim_stays_while_either_is_open(ledger: Ledger) -> None:
    ledger.record_image(rows.image(1), 10.0)
    (row,) = ledger.unplanned(1)
    ledger.record_decision(row.id, rows.decision(DecidedAs.IGNORE, "because"), [], 20.0)
    twin = replace(rows.image(2), digest=rows.image(1).digest)
    ledger.record_image(twin, 30.0)
    assert ledger.removable(FAR, 10) == ()
    assert ledger.forget_files([twin.digest], FAR, 40.0) == ()
    (row,) = ledger.unplanned(1)
    ledger.record_decision(row.id, rows.decision(DecidedAs.IGNORE, "because"), [], 50.0)
    assert ledger.removable(FAR, 10) == (twin.digest,)
