"""A ledger in memory, written from the contract in ``ports`` and not from the tables."""

from __future__ import annotations

import functools
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from dicom_node.domain import deliveries as delivery_domain
from dicom_node.domain import images as image_domain
from dicom_node.domain import jobs as job_domain
from dicom_node.domain.deliveries import (
    Delivery,
    DeliveryEvent,
    DeliveryState,
    Outcome,
    stray_reason,
)
from dicom_node.domain.errors import CapacityError, IntegrityError, LeaseLostError
from dicom_node.domain.fetches import Fetch, FetchState
from dicom_node.domain.images import ImageEvent, ImageState
from dicom_node.domain.jobs import Job, JobEvent, JobState
from dicom_node.ports import (
    Chosen,
    DecidedAs,
    DecisionRow,
    Deed,
    DeliveryRow,
    ImageRow,
    JobRow,
    Kind,
    Receipt,
    Version,
)
from dicom_node.store.images import CONFLICT_REASON

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from dicom_node.domain.identifiers import JobKey
    from dicom_node.ports import NewImage, NewJob, NewVersion, Product

CLOSED_JOB = {JobState.DONE, JobState.CANCELLED}
CLOSED_DELIVERY = {DeliveryState.CLOSED, DeliveryState.COMMITTED, DeliveryState.CANCELLED}


@dataclass
class _Image:
    row: ImageRow
    decided_at: float | None = None
    conflicting: bool = False
    cancelled_at: float | None = None


@dataclass
class _Delivery:
    value: Delivery
    uids: list[str]
    updated_at: float
    outcomes: dict[str, Outcome] = field(default_factory=dict)


@dataclass
class _Job:
    value: Job
    image_id: int
    events: list[tuple[float, str, str]]
    products: list[Product] = field(default_factory=list)
    deliveries: list[_Delivery] = field(default_factory=list)


def _locked(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def run(self: MemoryLedger, *args: Any, **kwargs: Any) -> Any:
        with self._lock:
            return method(self, *args, **kwargs)

    return run


class MemoryLedger:
    """A `ports.Ledger`."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._images: list[_Image] = []
        self._jobs: list[_Job] = []
        self._deliveries: list[_Delivery] = []
        self._gone: set[str] = set()
        self._versions: list[Version] = []
        self._fetches: dict[int, Fetch] = {}
        self._fetches_made = 0

    @_locked
    def record_image(self, image: NewImage, now: float) -> Receipt:
        same_uid = [
            i for i in self._images if i.row.image.sop_instance_uid == image.sop_instance_uid
        ]
        believed = next((i for i in same_uid if not i.conflicting), None)
        row = ImageRow(id=len(self._images) + 1, image=image, received_at=now, decision=None)
        if believed is None:
            self._images.append(_Image(row))
            return Receipt.NEW
        if believed.row.image.digest == image.digest:
            return Receipt.DUPLICATE
        if not any(i.row.image.digest == image.digest for i in same_uid):
            decision = DecisionRow(
                decided_as=DecidedAs.QUARANTINE,
                route="",
                route_digest="",
                reason=CONFLICT_REASON,
                terms=(),
            )
            row = replace(row, decision=decision, state=ImageState.CONFLICTING)
            self._images.append(_Image(row, now, conflicting=True))
        return Receipt.CONFLICT

    @_locked
    def unplanned(self, limit: int) -> tuple[ImageRow, ...]:
        return tuple(i.row for i in self._images if i.row.decision is None)[:limit]

    @_locked
    def record_decision(
        self, image_id: int, decision: DecisionRow, jobs: Sequence[NewJob], now: float
    ) -> None:
        if jobs and decision.decided_as is not DecidedAs.ACCEPT:
            raise IntegrityError("only an accepted image has jobs")
        image = next((i for i in self._images if i.row.id == image_id), None)
        if image is None:
            raise IntegrityError("no such image")
        event = {
            DecidedAs.ACCEPT: ImageEvent.ACCEPTED,
            DecidedAs.IGNORE: ImageEvent.IGNORED,
            DecidedAs.QUARANTINE: ImageEvent.QUARANTINED,
        }[decision.decided_as]
        state = image_domain.advance(image.row.state, event)
        image.row, image.decided_at = replace(image.row, decision=decision, state=state), now
        for new in jobs:
            if any(job.value.key == new.key for job in self._jobs):
                continue
            value = Job(
                key=new.key,
                state=JobState.QUEUED,
                order=new.order,
                source_digest=image.row.image.digest,
                source_sop_class_uid=image.row.image.sop_class_uid,
                source_sop_instance_uid=image.row.image.sop_instance_uid,
                calling_ae_title=image.row.image.calling_ae_title,
                attempts=0,
                not_before=now,
                lease_until=None,
                last_error="",
                created_at=now,
                updated_at=now,
            )
            self._jobs.append(_Job(value, image_id, [(now, "queued", "")]))

    @_locked
    def lease_job(self, now: float, lease_s: float) -> Job | None:
        due = [
            j
            for j in self._jobs
            if j.value.state is JobState.QUEUED
            and (j.value.not_before <= now or j.value.updated_at > now + 60.0)
        ]
        if not due:
            return None
        job = max(due, key=lambda j: j.value.order.priority)
        attempts = job.value.attempts + 1
        self._change_job(
            job,
            JobEvent.LEASED,
            now,
            f"attempt {attempts}",
            attempts=attempts,
            lease_until=now + lease_s,
        )
        return job.value

    @_locked
    def finish_job(self, job: Job, products: Sequence[Product], now: float) -> None:
        held = self._held_job(job)
        count = len(job.order.views)
        wanted = {
            (writing, document, index)
            for writing, documents in job.order.wanted().items()
            for index, document in enumerate((*[None] * writing.images(count), *documents))
        }
        made = [(p.instance.writing, p.instance.document, p.instance.index) for p in products]
        if len(made) != len(wanted) or set(made) != wanted:
            raise IntegrityError("not what was ordered")
        taken = {p.instance.sop_instance_uid for j in self._jobs for p in j.products}
        uids = [p.instance.sop_instance_uid for p in products]
        if taken.intersection(uids) or len(set(uids)) != len(uids):
            raise IntegrityError("a SOP Instance UID is taken")
        targets = [(t.destination, t.form) for t in job.order.targets]
        if len(set(targets)) != len(targets):
            raise IntegrityError("a target stands there twice")
        self._change_job(held, JobEvent.FINISHED, now, "", last_error="")
        held.products = list(products)
        for target in job.order.targets:
            instances = [
                p.instance
                for p in sorted(products, key=lambda p: p.instance.index)
                if p.instance.writing == target.writing
                and p.instance.document in (None, *target.documents)
            ]
            delivery = _Delivery(
                Delivery(
                    id=len(self._deliveries) + 1,
                    job_key=job.key,
                    destination=target.destination,
                    form=target.form,
                    banner=target.banner,
                    matrix=target.matrix,
                    documents=target.documents,
                    state=DeliveryState.PENDING,
                    attempts=0,
                    failures=0,
                    not_before=now,
                    lease_until=None,
                    last_error="",
                    outstanding=tuple(instances),
                ),
                [i.sop_instance_uid for i in instances],
                now,
            )
            self._deliveries.append(delivery)
            held.deliveries.append(delivery)
            held.events.append((now, f"{target.destination}: queued", ""))

    @_locked
    def fail_job(
        self, job: Job, error: str, *, retry_at: float | None, now: float, counts: bool = True
    ) -> None:
        held = self._held_job(job)
        self._change_job(
            held,
            JobEvent.GAVE_UP if retry_at is None else JobEvent.FAILED,
            now,
            error,
            last_error=error,
            failures=held.value.failures + counts,
            not_before=held.value.not_before if retry_at is None else retry_at,
        )

    @_locked
    def lease_delivery(self, destination: str, now: float, lease_s: float) -> Delivery | None:
        for delivery in self._deliveries:
            value = delivery.value
            if (value.destination, value.state) != (destination, DeliveryState.PENDING):
                continue
            if value.not_before > now and delivery.updated_at <= now + 60.0:
                continue
            attempts = value.attempts + 1
            self._change_delivery(
                delivery,
                DeliveryEvent.LEASED,
                now,
                f"attempt {attempts}",
                attempts=attempts,
                lease_until=now + lease_s,
            )
            return delivery.value
        return None

    @_locked
    def record_outcome(
        self,
        delivery: Delivery,
        sop_instance_uid: str,
        outcome: Outcome,
        status: int,
        now: float,
        lease_s: float,
    ) -> None:
        held = self._held_delivery(delivery)
        if sop_instance_uid not in held.uids:
            raise IntegrityError("not an instance of this delivery")
        if held.outcomes.get(sop_instance_uid) is not Outcome.STORED:
            held.outcomes[sop_instance_uid] = outcome
        held.updated_at = now
        held.value = replace(
            held.value,
            lease_until=now + lease_s,
            outstanding=tuple(
                i
                for i in held.value.outstanding
                if held.outcomes.get(i.sop_instance_uid) is not Outcome.STORED
            ),
        )

    @_locked
    def finish_delivery(self, delivery: Delivery, *, commitment: bool, now: float) -> None:
        held = self._held_delivery(delivery)
        if held.value.outstanding:
            raise IntegrityError("some instances are not stored")
        event = DeliveryEvent.ALL_STORED if commitment else DeliveryEvent.ALL_STORED_NO_COMMITMENT
        self._change_delivery(held, event, now, "", last_error="", not_before=now)

    @_locked
    def fail_delivery(
        self,
        delivery: Delivery,
        error: str,
        *,
        retry_at: float | None,
        now: float,
        counts: bool = True,
    ) -> None:
        held = self._held_delivery(delivery)
        self._change_delivery(
            held,
            DeliveryEvent.GAVE_UP if retry_at is None else DeliveryEvent.FAILED,
            now,
            error,
            last_error=error,
            failures=held.value.failures + counts,
            not_before=held.value.not_before if retry_at is None else retry_at,
        )

    @_locked
    def quarantine_strays(self, destinations: Collection[str], now: float) -> tuple[str, ...]:
        strays = []
        for delivery in self._deliveries:
            value = delivery.value
            waits = value.state in (DeliveryState.PENDING, DeliveryState.STORED)
            if waits and value.destination not in destinations:
                reason = stray_reason(value.destination)
                self._change_delivery(
                    delivery, DeliveryEvent.GAVE_UP, now, reason, last_error=reason
                )
                strays.append(value.destination)
        return tuple(strays)

    @_locked
    def release(self, key: JobKey, now: float) -> int:
        fresh = {"not_before": now, "failures": 0, "lost_leases": 0}
        released = 0
        for job in self._jobs:
            if job.value.key != key:
                continue
            if job.value.state is JobState.QUARANTINED:
                self._change_job(job, JobEvent.RELEASED, now, "", **fresh)
                released += 1
            for delivery in job.deliveries:
                if delivery.value.state is DeliveryState.QUARANTINED:
                    self._change_delivery(delivery, DeliveryEvent.RELEASED, now, "", **fresh)
                    released += 1
        return released

    @_locked
    def settle(self, kind: Kind, deed: Deed, chosen: Chosen, now: float) -> int:
        if kind is Kind.IMAGES:
            return self._settle_images(deed, chosen, now)
        fresh = {} if deed is Deed.CANCEL else {"not_before": now, "failures": 0, "lost_leases": 0}
        if kind is Kind.JOBS:
            jobs = [
                j
                for j in self._jobs
                if (
                    j.value.key == chosen.name
                    if chosen.name
                    else j.value.state is JobState.QUARANTINED
                    and chosen.reason.lower() in j.value.last_error.lower()
                )
            ]
            for job in jobs:
                event = JobEvent.CANCELLED if deed is Deed.CANCEL else JobEvent.RELEASED
                self._change_job(job, event, now, job.value.last_error, **fresh)
            return len(jobs)
        deliveries = [
            d
            for d in self._deliveries
            if (
                str(d.value.id) == chosen.name
                if chosen.name
                else d.value.state is DeliveryState.QUARANTINED
                and chosen.reason.lower() in d.value.last_error.lower()
                and chosen.destination in ("", d.value.destination)
            )
        ]
        for delivery in deliveries:
            move = DeliveryEvent.CANCELLED if deed is Deed.CANCEL else DeliveryEvent.RELEASED
            self._change_delivery(delivery, move, now, delivery.value.last_error, **fresh)
        return len(deliveries)

    def _settle_images(self, deed: Deed, chosen: Chosen, now: float) -> int:
        dead = (ImageState.QUARANTINED, ImageState.CONFLICTING)
        images = []
        for image in self._images:
            row = image.row
            if row.state not in dead:
                continue
            assert row.decision is not None
            matches = chosen.reason.lower() in row.decision.reason.lower()
            if row.image.sop_instance_uid == chosen.name if chosen.name else matches:
                images.append(image)
        if deed is Deed.CANCEL:
            for image in images:
                state = image_domain.advance(image.row.state, ImageEvent.CANCELLED)
                image.row, image.cancelled_at = replace(image.row, state=state), now
            return len(images)
        free = [image for image in images if not image.conflicting]
        if chosen.name and images and not free:
            image_domain.advance(images[0].row.state, ImageEvent.RELEASED)
        for image in free:
            state = image_domain.advance(image.row.state, ImageEvent.RELEASED)
            image.row = replace(image.row, state=state, decision=None)
            image.decided_at = None
        return len(free)

    @_locked
    def expire_leases(self, now: float) -> int:
        return self._put_back(lambda until: until <= now, "the lease ran out", now)

    @_locked
    def requeue_leases(self, now: float) -> int:
        return self._put_back(lambda until: True, "the node stopped", now)

    @_locked
    def waiting(self) -> int:
        undecided = [image for image in self._images if image.row.decision is None]
        open_states = (JobState.QUEUED, JobState.RUNNING)
        return len(undecided) + sum(job.value.state in open_states for job in self._jobs)

    @_locked
    def next_due(self, now: float) -> float | None:
        jobs = [j.value.not_before for j in self._jobs if j.value.state is JobState.QUEUED]
        deliveries = [
            d.value.not_before for d in self._deliveries if d.value.state is DeliveryState.PENDING
        ]
        return min(jobs + deliveries, default=None)

    @_locked
    def jobs(self, *, state: JobState | None = None, limit: int = 1000) -> tuple[JobRow, ...]:
        chosen = [j for j in reversed(self._jobs) if state in (None, j.value.state)]
        return tuple(self._row(j) for j in chosen[:limit])

    @_locked
    def job(self, key_prefix: str) -> JobRow | None:
        found = [j for j in self._jobs if key_prefix and j.value.key.startswith(key_prefix)]
        if len(found) != 1:
            return None
        return replace(self._row(found[0]), events=tuple(found[0].events))

    @_locked
    def deliveries(
        self, *, state: DeliveryState | None = None, destination: str = "", limit: int = 1000
    ) -> tuple[DeliveryRow, ...]:
        return tuple(
            self._delivery_row(d)
            for d in reversed(self._deliveries)
            if state in (None, d.value.state) and destination in ("", d.value.destination)
        )[:limit]

    @_locked
    def images(self, *, limit: int = 1000) -> tuple[ImageRow, ...]:
        return tuple(i.row for i in reversed(self._images))[:limit]

    @_locked
    def removable(self, before: float, limit: int) -> tuple[str, ...]:
        claims: dict[str, bool] = {}
        for image in self._images:
            digest = image.row.image.digest
            claims[digest] = claims.get(digest, True) and self._image_closed(image, before)
        for job in self._jobs:
            for product in job.products:
                digest = product.instance.digest
                claims[digest] = claims.get(digest, True) and self._job_closed(job, before)
        closed = sorted(d for d, is_closed in claims.items() if is_closed and d not in self._gone)
        return tuple(closed[:limit])

    @_locked
    def forget_files(self, digests: Sequence[str], before: float, now: float) -> tuple[str, ...]:
        still = set(self.removable(before, 10**9))
        forgotten = tuple(sorted(still.intersection(digests)))
        self._gone.update(forgotten)
        return forgotten

    @_locked
    def known_digests(self) -> frozenset[str]:
        sources = {i.row.image.digest for i in self._images}
        made = {p.instance.digest for j in self._jobs for p in j.products}
        return frozenset(sources | made) - self._gone

    @_locked
    def record_version(self, version: NewVersion, now: float) -> Version:
        if self._versions and self._versions[-1].version.digest == version.digest:
            return self._versions[-1]
        parent = len(self._versions) or None
        self._versions.append(
            Version(number=len(self._versions) + 1, version=version, at=now, parent=parent)
        )
        return self._versions[-1]

    @_locked
    def versions(self, *, limit: int = 1000) -> tuple[Version, ...]:
        return tuple(self._versions[::-1][:limit])

    @_locked
    def version(self, number: int) -> Version | None:
        return next((each for each in self._versions if each.number == number), None)

    @_locked
    def ask_fetch(
        self, source: str, study_uid: str, who: str, *, at_most: int, keep: int, now: float
    ) -> Fetch:
        for each in self._fetches.values():
            if (each.source, each.study_uid) == (source, study_uid) and not each.state.is_over:
                return each
        waiting = [each for each in self._fetches.values() if each.state is FetchState.WAITING]
        if len(waiting) >= at_most:
            raise CapacityError("too many wait")
        self._fetches_made += 1
        number = self._fetches_made
        made = Fetch(number=number, source=source, study_uid=study_uid, who=who, asked_at=now)
        self._fetches[number] = made
        over = [number for number, each in self._fetches.items() if each.state.is_over]
        for number in over[: max(0, len(self._fetches) - keep)]:
            del self._fetches[number]
        return made

    @_locked
    def begin_fetch(self) -> Fetch | None:
        for number, each in self._fetches.items():
            if not each.state.is_over:
                self._fetches[number] = each.begun()
                return self._fetches[number]
        return None

    @_locked
    def end_fetch(self, fetch: Fetch) -> None:
        held = self._fetches.get(fetch.number)
        lease = None if held is None else (held.state, held.attempts)
        if lease != (FetchState.RUNNING, fetch.attempts):
            raise LeaseLostError("it changed hands")
        self._fetches[fetch.number] = fetch

    @_locked
    def fetch(self, number: int) -> Fetch | None:
        return self._fetches.get(number)

    @_locked
    def fetches(self) -> tuple[Fetch, ...]:
        return tuple(reversed(self._fetches.values()))

    def close(self) -> None:
        pass

    def _held_job(self, job: Job) -> _Job:
        for held in self._jobs:
            lease = (held.value.key, held.value.state, held.value.attempts)
            if lease == (job.key, JobState.RUNNING, job.attempts):
                return held
        raise LeaseLostError("the lease is over")

    def _held_delivery(self, delivery: Delivery) -> _Delivery:
        for held in self._deliveries:
            lease = (held.value.id, held.value.state, held.value.attempts)
            if lease == (delivery.id, DeliveryState.SENDING, delivery.attempts):
                return held
        raise LeaseLostError("the lease is over")

    def _change_job(
        self, job: _Job, event: JobEvent, now: float, detail: str, **values: Any
    ) -> None:
        state = job_domain.advance(job.value.state, event)
        values = {"lease_until": None, "updated_at": now} | values
        job.value = replace(job.value, state=state, **values)
        job.events.append((now, event.value, detail))

    def _change_delivery(
        self, delivery: _Delivery, event: DeliveryEvent, now: float, detail: str, **values: Any
    ) -> None:
        state = delivery_domain.advance(delivery.value.state, event)
        delivery.value = replace(delivery.value, state=state, **({"lease_until": None} | values))
        delivery.updated_at = now
        job = next(j for j in self._jobs if j.value.key == delivery.value.job_key)
        job.events.append((now, f"{delivery.value.destination}: {event.value}", detail))

    def _put_back(self, is_over: Callable[[float], bool], detail: str, now: float) -> int:
        count = 0
        for job in self._jobs:
            until = job.value.lease_until
            if until is not None and is_over(until):
                lost = job.value.lost_leases + 1
                self._change_job(
                    job,
                    JobEvent.LEASE_EXPIRED,
                    now,
                    detail,
                    lost_leases=lost,
                    not_before=now + job_domain.rest_s(lost),
                )
                count += 1
        for delivery in self._deliveries:
            until = delivery.value.lease_until
            if until is not None and is_over(until):
                lost = delivery.value.lost_leases + 1
                self._change_delivery(
                    delivery,
                    DeliveryEvent.LEASE_EXPIRED,
                    now,
                    detail,
                    lost_leases=lost,
                    not_before=now,
                )
                count += 1
        return count

    def _row(self, job: _Job) -> JobRow:
        return JobRow(
            job=job.value, deliveries=tuple(self._delivery_row(d) for d in job.deliveries)
        )

    def _delivery_row(self, held: _Delivery) -> DeliveryRow:
        return DeliveryRow(
            delivery=held.value,
            instances=len(held.uids),
            stored=len(held.uids) - len(held.value.outstanding),
        )

    def _image_closed(self, image: _Image, before: float) -> bool:
        decision = image.row.decision
        if image.cancelled_at is not None and image.cancelled_at >= before:
            return False
        if decision is None:
            return False
        if decision.decided_as is DecidedAs.QUARANTINE and image.cancelled_at is None:
            return False
        assert image.decided_at is not None
        mine = [j for j in self._jobs if j.image_id == image.row.id]
        return image.decided_at < before and all(self._job_closed(j, before) for j in mine)

    def _job_closed(self, job: _Job, before: float) -> bool:
        return (
            job.value.state in CLOSED_JOB
            and job.value.updated_at < before
            and all(
                d.value.state in CLOSED_DELIVERY and d.updated_at < before for d in job.deliveries
            )
        )
