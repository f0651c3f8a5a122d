"""The contract of a ledger: jobs, their leases, and what finishing publishes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dicom_node.domain.deliveries import DeliveryState
from dicom_node.domain.errors import IntegrityError, LeaseLostError
from dicom_node.domain.identifiers import JobKey
from dicom_node.domain.jobs import Job, JobState, Target
from dicom_node.domain.writing import Form
from dicom_node.ports import Ledger
from tests.fakes import rows


def leased(ledger: Ledger, now: float, lease_s: float = 60.0) -> Job:
    job = ledger.lease_job(now, lease_s)
    assert job is not None
    return job


def state_of(ledger: Ledger) -> Job:
    (row,) = ledger.jobs()
    return row.job


def test_nothing_is_leased_when_nothing_waits(ledger: Ledger) -> None:
    assert ledger.lease_job(1.0, 60.0) is None
    assert ledger.next_due(1.0) is None


def test_a_lease_marks_the_job_running_and_counts_the_attempt(ledger: Ledger) -> None:
    rows.queue(ledger, 1, 10.0)
    job = leased(ledger, 20.0)
    assert (job.state, job.attempts, job.lease_until) == (JobState.RUNNING, 1, 80.0)
    assert state_of(ledger) == job
    assert ledger.lease_job(21.0, 60.0) is None


def test_the_highest_priority_goes_first_and_then_the_oldest(ledger: Ledger) -> None:
    for number, priority in ((1, 5), (2, 9), (3, 5), (4, 9)):
        rows.queue(ledger, number, 10.0, priority=priority)
    order = [leased(ledger, 20.0).source_sop_instance_uid for _ in range(4)]
    assert order == ["1.2.3.2", "1.2.3.4", "1.2.3.1", "1.2.3.3"]


def test_a_failed_job_waits_until_its_time(ledger: Ledger) -> None:
    rows.queue(ledger, 1, 10.0)
    ledger.fail_job(leased(ledger, 10.0), "out of memory", retry_at=50.0, now=20.0)
    job = state_of(ledger)
    assert (job.state, job.failures, job.last_error) == (JobState.QUEUED, 1, "out of memory")
    assert (job.not_before, job.lease_until, job.updated_at) == (50.0, None, 20.0)
    assert ledger.next_due(20.0) == 50.0
    assert ledger.lease_job(49.9, 60.0) is None
    assert leased(ledger, 50.0).attempts == 2


def test_a_failure_that_is_not_the_jobs_own_is_not_counted(ledger: Ledger) -> None:
    rows.queue(ledger, 1, 10.0)
    ledger.fail_job(leased(ledger, 10.0), "no room", retry_at=50.0, now=20.0, counts=False)
    assert (state_of(ledger).failures, state_of(ledger).last_error) == (0, "no room")


def test_a_job_without_another_time_is_quarantined(ledger: Ledger) -> None:
    rows.queue(ledger, 1, 10.0)
    ledger.fail_job(leased(ledger, 10.0), "broken", retry_at=None, now=20.0)
    job = state_of(ledger)
    assert (job.state, job.last_error, job.lease_until) == (JobState.QUARANTINED, "broken", None)
    assert ledger.lease_job(1e12, 60.0) is None
    assert ledger.next_due(20.0) is None
    assert [row.job for row in ledger.jobs(state=JobState.QUARANTINED)] == [job]
    assert ledger.jobs(state=JobState.QUEUED) == ()


def test_a_released_job_starts_afresh_but_its_attempts_go_on(ledger: Ledger) -> None:
    new = rows.queue(ledger, 1, 10.0)
    ledger.fail_job(leased(ledger, 10.0), "broken", retry_at=None, now=20.0)
    assert ledger.release(new.key, 30.0) == 1
    job = state_of(ledger)
    assert (job.state, job.failures, job.lost_leases) == (JobState.QUEUED, 0, 0)
    assert job.not_before == 30.0
    assert leased(ledger, 30.0).attempts == 2


def test_releasing_what_is_not_quarantined_does_nothing(ledger: Ledger) -> None:
    new = rows.queue(ledger, 1, 10.0)
    assert ledger.release(new.key, 30.0) == 0
    assert ledger.release(JobKey(rows.digest("unknown")), 30.0) == 0


def test_finishing_publishes_instances_and_one_delivery_a_target(ledger: Ledger) -> None:
    targets = (
        Target(destination="pacs", form=Form.DX),
        Target(destination="research", form=Form.SC, banner=False),
    )
    rows.queue(ledger, 1, 10.0, targets=targets, views=3)
    job = leased(ledger, 20.0)
    products = rows.products(job)
    ledger.finish_job(job, products, 30.0)
    (row,) = ledger.jobs()
    assert (row.job.state, row.job.lease_until, row.job.updated_at) == (JobState.DONE, None, 30.0)
    pacs, research = row.deliveries
    assert [d.delivery.destination for d in row.deliveries] == ["pacs", "research"]
    assert pacs.delivery.state is DeliveryState.PENDING
    assert (pacs.instances, pacs.stored) == (3, 0)
    assert pacs.delivery.outstanding == tuple(p.instance for p in products[:3])
    assert research.delivery.outstanding == tuple(p.instance for p in products[3:])
    assert (research.delivery.form, research.delivery.banner) == (Form.SC, False)
    assert {p.instance.digest for p in products} < ledger.known_digests()
    assert ledger.next_due(30.0) == 30.0


def test_two_targets_of_one_variant_share_its_instances(ledger: Ledger) -> None:
    targets = (
        Target(destination="pacs", form=Form.DX),
        Target(destination="backup", form=Form.DX),
    )
    rows.queue(ledger, 1, 10.0, targets=targets)
    rows.finish(ledger, 20.0)
    (row,) = ledger.jobs()
    first, second = (d.delivery.outstanding for d in row.deliveries)
    assert first == second
    assert len(first) == 2


@pytest.mark.parametrize("broken", ["missing", "twice", "unwanted", "nothing"])
def test_a_result_that_is_not_what_was_ordered_is_refused(ledger: Ledger, broken: str) -> None:
    rows.queue(ledger, 1, 10.0)
    job = leased(ledger, 20.0)
    good = rows.products(job)
    extra = replace(good[0], instance=replace(good[0].instance, form=Form.SC))
    made = {
        "missing": good[:1],
        "twice": (good[0], good[0]),
        "unwanted": (*good, extra),
        "nothing": (),
    }[broken]
    with pytest.raises(IntegrityError):
        ledger.finish_job(job, made, 30.0)
    assert state_of(ledger) == job
    assert ledger.jobs()[0].deliveries == ()
    assert ledger.known_digests() == {rows.image(1).digest}


def test_a_sop_instance_uid_is_never_published_twice(ledger: Ledger) -> None:
    rows.queue(ledger, 1, 10.0)
    first = rows.products(rows.finish(ledger, 20.0))
    rows.queue(ledger, 2, 30.0)
    job = leased(ledger, 40.0)
    clashing = tuple(
        replace(p, instance=replace(p.instance, sop_instance_uid=q.instance.sop_instance_uid))
        for p, q in zip(rows.products(job), first, strict=True)
    )
    with pytest.raises(IntegrityError):
        ledger.finish_job(job, clashing, 50.0)
    assert ledger.jobs()[0].job == job
    assert ledger.jobs()[0].deliveries == ()


def test_a_job_is_finished_once(ledger: Ledger) -> None:
    rows.queue(ledger, 1, 10.0)
    job = rows.finish(ledger, 20.0)
    with pytest.raises(LeaseLostError):
        ledger.finish_job(job, rows.products(job, "other"), 30.0)
    (row,) = ledger.jobs()
    assert len(row.deliveries) == 1
    assert row.deliveries[0].delivery.outstanding == tuple(p.instance for p in rows.products(job))


def test_a_job_nobody_leased_cannot_be_finished_or_failed(ledger: Ledger) -> None:
    rows.queue(ledger, 1, 10.0)
    job = state_of(ledger)
    with pytest.raises(LeaseLostError):
        ledger.finish_job(job, rows.products(job), 30.0)
    with pytest.raises(LeaseLostError):
        ledger.fail_job(job, "no", retry_at=None, now=30.0)
    assert state_of(ledger) == job


def test_a_lease_that_ran_out_puts_the_job_back(ledger: Ledger) -> None:
    rows.queue(ledger, 1, 10.0)
    leased(ledger, 20.0, lease_s=60.0)
    assert ledger.expire_leases(79.9) == 0
    assert ledger.expire_leases(80.0) == 1
    job = state_of(ledger)
    assert (job.state, job.attempts, job.failures, job.lost_leases) == (JobState.QUEUED, 1, 0, 1)
    assert leased(ledger, 80.0).attempts == 2


def test_a_job_under_which_the_node_stops_again_and_again_lets_others_go_first(
    ledger: Ledger,
) -> None:
    rows.queue(ledger, 1, 10.0)
    rows.queue(ledger, 2, 10.0)
    first = leased(ledger, 20.0).key
    rests = []
    for _ in range(9):
        ledger.requeue_leases(100.0)
        (row,) = [row for row in ledger.jobs() if row.job.key == first]
        rests.append(row.job.not_before - 100.0)
        assert leased(ledger, 100.0 + rests[-1]).key == first
    assert rests == [0.0, 0.0, 0.0, 5.0, 10.0, 20.0, 40.0, 60.0, 60.0]
    ledger.requeue_leases(100.0)
    assert leased(ledger, 100.0).key != first


@pytest.mark.parametrize("deed", ["finish", "fail", "give up"])
@pytest.mark.parametrize("successor", ["waits", "runs", "done"])
def test_a_worker_whose_lease_ran_out_cannot_overwrite_its_successor(
    ledger: Ledger, deed: str, successor: str
) -> None:
    rows.queue(ledger, 1, 10.0)
    slow = leased(ledger, 20.0, lease_s=60.0)
    ledger.expire_leases(100.0)
    if successor != "waits":
        quick = leased(ledger, 100.0)
        if successor == "done":
            ledger.finish_job(quick, rows.products(quick), 110.0)
    before = ledger.jobs()
    with pytest.raises(LeaseLostError):
        match deed:
            case "finish":
                ledger.finish_job(slow, rows.products(slow, "other"), 120.0)
            case "fail":
                ledger.fail_job(slow, "late", retry_at=130.0, now=120.0)
            case _:
                ledger.fail_job(slow, "late", retry_at=None, now=120.0)
    assert ledger.jobs() == before


def test_a_worker_that_is_late_but_was_not_replaced_may_finish(ledger: Ledger) -> None:
    rows.queue(ledger, 1, 10.0)
    job = leased(ledger, 20.0, lease_s=60.0)
    ledger.finish_job(job, rows.products(job), 1000.0)
    assert state_of(ledger).state is JobState.DONE


def test_at_start_every_lease_is_put_back_however_long_it_runs(ledger: Ledger) -> None:
    rows.queue(ledger, 1, 10.0)
    rows.queue(ledger, 2, 10.0)
    rows.finish(ledger, 20.0)
    leased(ledger, 20.0, lease_s=1e9)
    assert ledger.lease_delivery("pacs", 20.0, 1e9) is not None
    assert ledger.requeue_leases(30.0) == 2
    states = {row.job.state for row in ledger.jobs()}
    assert states == {JobState.QUEUED, JobState.DONE}
    assert ledger.lease_delivery("pacs", 30.0, 60.0) is not None
    assert ledger.lease_job(30.0, 60.0) is not None


def test_a_job_is_found_by_the_beginning_of_its_key_with_its_story(ledger: Ledger) -> None:
    new = rows.queue(ledger, 1, 10.0)
    ledger.fail_job(leased(ledger, 20.0), "out of memory", retry_at=25.0, now=21.0)
    rows.finish(ledger, 30.0)
    found = ledger.job(new.key[:8])
    assert found is not None
    assert found.job.key == new.key
    assert found.events == (
        (10.0, "queued", ""),
        (20.0, "leased", "attempt 1"),
        (21.0, "failed", "out of memory"),
        (30.0, "leased", "attempt 2"),
        (30.0, "finished", ""),
        (30.0, "pacs: queued", ""),
    )
    assert ledger.jobs()[0].events == ()


@pytest.mark.parametrize("prefix", ["", "zz", "%", "_", "0" * 65])
def test_no_job_is_found_by_something_that_begins_no_key(ledger: Ledger, prefix: str) -> None:
    rows.queue(ledger, 1, 10.0)
    assert ledger.job(prefix) is None


def test_a_beginning_that_fits_several_jobs_finds_none(ledger: Ledger) -> None:
    # 17 keys of hexadecimal digits cannot all begin differently.
    keys = [rows.queue(ledger, number, 10.0).key for number in range(17)]
    shared = next(k[0] for k in keys if [other[0] for other in keys].count(k[0]) > 1)
    assert ledger.job(shared) is None


def test_jobs_come_newest_first_and_no_more_than_asked(ledger: Ledger) -> None:
    for number in (1, 2, 3):
        rows.queue(ledger, number, float(number))
    uids = [row.job.source_sop_instance_uid for row in ledger.jobs(limit=2)]
    assert uids == ["1.2.3.3", "1.2.3.2"]
