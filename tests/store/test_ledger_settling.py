"""The contract of a ledger: what people decide about what lies in quarantine."""

from __future__ import annotations

import pytest

from dicom_node.domain.deliveries import DeliveryState
from dicom_node.domain.errors import IntegrityError
from dicom_node.domain.images import ImageState
from dicom_node.domain.jobs import JobState
from dicom_node.ports import Chosen, DecidedAs, Deed, Kind, Ledger
from tests.fakes import rows

ALL = Chosen()
FAR = 1e9


def quarantined_image(ledger: Ledger, number: int, reason: str) -> None:
    ledger.record_image(rows.image(number), 10.0)
    (row,) = ledger.unplanned(1)
    ledger.record_decision(row.id, rows.decision(DecidedAs.QUARANTINE, reason), [], 20.0)


def quarantined_job(ledger: Ledger, number: int, error: str) -> str:
    new = rows.queue(ledger, number, 10.0)
    job = ledger.lease_job(20.0, 60.0)
    assert job is not None
    ledger.fail_job(job, error, retry_at=None, now=30.0)
    return new.key


def quarantined_delivery(ledger: Ledger, number: int, error: str) -> int:
    rows.queue(ledger, number, 10.0)
    rows.finish(ledger, 20.0)
    delivery = ledger.lease_delivery("pacs", 30.0, 60.0)
    assert delivery is not None
    ledger.fail_delivery(delivery, error, retry_at=None, now=40.0)
    return delivery.id


def image_states(ledger: Ledger) -> list[ImageState]:
    return [row.state for row in reversed(ledger.images())]


def test_a_released_image_is_planned_anew(ledger: Ledger) -> None:
    quarantined_image(ledger, 1, "no view position")
    assert ledger.settle(Kind.IMAGES, Deed.RELEASE, Chosen(name="1.2.3.1"), 50.0) == 1
    (row,) = ledger.unplanned(9)
    assert (row.state, row.decision) == (ImageState.WAITING, None)
    ledger.record_decision(row.id, rows.decision(), [rows.job_of(1)], 60.0)
    assert image_states(ledger) == [ImageState.ACCEPTED]


def test_a_cancelled_image_keeps_its_reason_and_its_file_may_go(ledger: Ledger) -> None:
    quarantined_image(ledger, 1, "no view position")
    assert ledger.removable(FAR, 9) == ()
    assert ledger.settle(Kind.IMAGES, Deed.CANCEL, Chosen(name="1.2.3.1"), 50.0) == 1
    (row,) = ledger.images()
    assert row.state is ImageState.CANCELLED
    assert row.decision is not None
    assert row.decision.reason == "no view position"
    assert ledger.removable(50.0, 9) == ()
    assert ledger.removable(50.1, 9) == (rows.image(1).digest,)
    assert ledger.settle(Kind.IMAGES, Deed.RELEASE, Chosen(name="1.2.3.1"), 60.0) == 0


def test_another_content_under_a_known_uid_can_only_be_cancelled(ledger: Ledger) -> None:
    rows.queue(ledger, 1, 10.0)
    ledger.record_image(rows.image(1, content="other"), 20.0)
    assert image_states(ledger) == [ImageState.ACCEPTED, ImageState.CONFLICTING]
    with pytest.raises(IntegrityError, match="conflicting"):
        ledger.settle(Kind.IMAGES, Deed.RELEASE, Chosen(name="1.2.3.1"), 30.0)
    assert ledger.settle(Kind.IMAGES, Deed.RELEASE, ALL, 30.0) == 0
    assert ledger.settle(Kind.IMAGES, Deed.CANCEL, ALL, 40.0) == 1
    assert image_states(ledger) == [ImageState.ACCEPTED, ImageState.CANCELLED]


def test_all_images_of_one_reason_are_released_and_no_other(ledger: Ledger) -> None:
    for number, reason in enumerate(("Pixel Spacing: none", "a phantom", "pixel spacing: 0"), 1):
        quarantined_image(ledger, number, reason)
    assert ledger.settle(Kind.IMAGES, Deed.RELEASE, Chosen(reason="PIXEL spacing"), 50.0) == 2
    assert image_states(ledger) == [
        ImageState.WAITING,
        ImageState.QUARANTINED,
        ImageState.WAITING,
    ]


def test_signs_in_a_reason_stand_for_themselves(ledger: Ledger) -> None:
    quarantined_image(ledger, 1, "100% black")
    quarantined_image(ledger, 2, "1000 black")
    assert ledger.settle(Kind.IMAGES, Deed.CANCEL, Chosen(reason="100% b"), 50.0) == 1


@pytest.mark.parametrize(
    ("deed", "state"), [(Deed.RELEASE, JobState.QUEUED), (Deed.CANCEL, JobState.CANCELLED)]
)
def test_quarantined_jobs_are_settled_by_reason(
    ledger: Ledger, deed: Deed, state: JobState
) -> None:
    first = quarantined_job(ledger, 1, "out of memory")
    quarantined_job(ledger, 2, "not finite")
    assert ledger.settle(Kind.JOBS, deed, Chosen(reason="memory"), 50.0) == 1
    states = {row.job.key: row.job.state for row in ledger.jobs()}
    assert states.pop(first) is state
    assert set(states.values()) == {JobState.QUARANTINED}
    found = ledger.job(first)
    assert found is not None
    assert found.events[-1] == (
        50.0,
        f"{deed.value}d".replace("canceld", "cancelled"),
        "out of memory",
    )
    assert ledger.settle(Kind.JOBS, deed, ALL, 60.0) == 1


def test_a_waiting_job_can_be_cancelled_by_name_and_a_finished_one_cannot(ledger: Ledger) -> None:
    key = rows.queue(ledger, 1, 10.0).key
    assert ledger.settle(Kind.JOBS, Deed.CANCEL, ALL, 20.0) == 0
    assert ledger.settle(Kind.JOBS, Deed.CANCEL, Chosen(name=key), 20.0) == 1
    assert ledger.lease_job(30.0, 60.0) is None
    other = rows.queue(ledger, 2, 40.0).key
    rows.finish(ledger, 50.0)
    with pytest.raises(IntegrityError, match="done"):
        ledger.settle(Kind.JOBS, Deed.CANCEL, Chosen(name=other), 60.0)


def test_deliveries_are_settled_by_number_destination_and_reason(ledger: Ledger) -> None:
    numbers = [quarantined_delivery(ledger, n, e) for n, e in ((1, "0xA900"), (2, "away"))]
    assert ledger.settle(Kind.DELIVERIES, Deed.RELEASE, Chosen(destination="other"), 50.0) == 0
    chosen = Chosen(destination="pacs", reason="a9")
    assert ledger.settle(Kind.DELIVERIES, Deed.CANCEL, chosen, 50.0) == 1
    assert ledger.settle(Kind.DELIVERIES, Deed.RELEASE, Chosen(name=str(numbers[1])), 50.0) == 1
    states = [row.delivery.state for row in reversed(ledger.deliveries())]
    assert states == [DeliveryState.CANCELLED, DeliveryState.PENDING]
    with pytest.raises(IntegrityError, match="cancelled"):
        ledger.settle(Kind.DELIVERIES, Deed.RELEASE, Chosen(name=str(numbers[0])), 60.0)


def test_the_files_of_a_cancelled_delivery_may_go(ledger: Ledger) -> None:
    quarantined_delivery(ledger, 1, "refused")
    assert ledger.removable(FAR, 9) == ()
    ledger.settle(Kind.DELIVERIES, Deed.CANCEL, ALL, 50.0)
    assert len(ledger.removable(FAR, 9)) == 3


def test_deliveries_are_listed_by_state_and_destination(ledger: Ledger) -> None:
    first = quarantined_delivery(ledger, 1, "refused")
    rows.queue(ledger, 2, 10.0)
    rows.finish(ledger, 50.0)
    assert [r.delivery.id for r in ledger.deliveries(state=DeliveryState.QUARANTINED)] == [first]
    assert len(ledger.deliveries()) == len(ledger.deliveries(destination="pacs")) == 2
    assert ledger.deliveries(destination="b") == ()
    (newest,) = ledger.deliveries(limit=1)
    assert (newest.delivery.state, newest.instances, newest.stored) == (DeliveryState.PENDING, 2, 0)
