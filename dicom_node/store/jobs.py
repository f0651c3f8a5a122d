"""Rows of jobs: leasing, finishing, failing; every function runs inside one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from dicom_node.domain.deliveries import DeliveryState
from dicom_node.domain.errors import IntegrityError
from dicom_node.domain.identifiers import JobKey
from dicom_node.domain.jobs import Job, JobEvent, JobState
from dicom_node.store import schema
from dicom_node.store.deliveries import documents_to_text
from dicom_node.store.orders import order_from_json
from dicom_node.store.transitions import change_job, leased_job
from dicom_node.store.waiting import is_due, untried

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dicom_node.domain.deliveries import DerivedInstance
    from dicom_node.domain.jobs import Target
    from dicom_node.ports import Product

__all__ = ["add_delivery", "fail", "finish", "from_row", "is_for", "lease", "selected"]

_t = schema.jobs


def selected() -> sa.Select[Any]:
    """Jobs with what `from_row` needs of their images."""
    return sa.select(
        _t,
        schema.images.c.digest.label("source_digest"),
        schema.images.c.sop_class_uid.label("source_sop_class_uid"),
        schema.images.c.sop_instance_uid.label("source_sop_instance_uid"),
        schema.images.c.calling_ae_title,
    ).join(schema.images, schema.images.c.id == _t.c.image_id)


def from_row(row: sa.Row[Any]) -> Job:
    """A row of `selected` as a value."""
    return Job(
        key=JobKey(row.key),
        state=JobState(row.state),
        order=order_from_json(row.order_json),
        source_digest=row.source_digest,
        source_sop_class_uid=row.source_sop_class_uid,
        source_sop_instance_uid=row.source_sop_instance_uid,
        calling_ae_title=row.calling_ae_title,
        attempts=row.attempts,
        failures=row.failures,
        lost_leases=row.lost_leases,
        not_before=row.not_before,
        lease_until=row.lease_until,
        last_error=row.last_error,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def lease(connection: sa.Connection, now: float, lease_s: float) -> Job | None:
    """See `ports.Ledger.lease_job`."""
    row = connection.execute(
        sa.select(_t)
        .where(_t.c.state == JobState.QUEUED.value, is_due(_t, now))
        .order_by(_t.c.priority.desc(), _t.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).one_or_none()
    if row is None:
        return None
    change_job(
        connection,
        row,
        JobEvent.LEASED,
        now,
        detail=f"attempt {row.attempts + 1}",
        attempts=row.attempts + 1,
        lease_until=now + lease_s,
    )
    return from_row(connection.execute(selected().where(_t.c.id == row.id)).one())


def finish(connection: sa.Connection, job: Job, products: Sequence[Product], now: float) -> None:
    """See `ports.Ledger.finish_job`."""
    row = leased_job(connection, job)
    _check_complete(job, products)
    change_job(connection, row, JobEvent.FINISHED, now, last_error="")
    derived_ids = [_insert_derived(connection, row.id, product) for product in products]
    for target in job.order.targets:
        wanted = [
            derived_id
            for derived_id, product in zip(derived_ids, products, strict=True)
            if is_for(product.instance, target)
        ]
        add_delivery(connection, row, target, wanted, now)


def add_delivery(
    connection: sa.Connection,
    row: sa.Row[Any],
    target: Target,
    derived_ids: Sequence[int],
    now: float,
) -> int:
    """A new delivery of instances of a job; its number."""
    delivery_id: int = connection.execute(
        sa.insert(schema.deliveries)
        .values(
            job_id=row.id,
            destination=target.destination,
            form=target.form.value,
            banner=target.banner,
            matrix=target.matrix.value,
            documents=documents_to_text(target.documents),
            state=DeliveryState.PENDING.value,
            **untried(now),
        )
        .returning(schema.deliveries.c.id)
    ).scalar_one()
    connection.execute(
        sa.insert(schema.sends),
        [{"delivery_id": delivery_id, "derived_id": derived_id} for derived_id in derived_ids],
    )
    connection.execute(
        sa.insert(schema.events).values(
            at=now,
            image_id=row.image_id,
            job_id=row.id,
            delivery_id=delivery_id,
            event="queued",
            state_from="",
            state_to=DeliveryState.PENDING.value,
            detail="",
        )
    )
    return delivery_id


def is_for(instance: DerivedInstance, target: Target) -> bool:
    """Whether a target of a job wants this of its instances."""
    return instance.writing == target.writing and (
        instance.document is None or instance.document in target.documents
    )


def fail(
    connection: sa.Connection,
    job: Job,
    error: str,
    *,
    retry_at: float | None,
    now: float,
    counts: bool,
) -> None:
    """See `ports.Ledger.fail_job`."""
    row = leased_job(connection, job)
    change_job(
        connection,
        row,
        JobEvent.GAVE_UP if retry_at is None else JobEvent.FAILED,
        now,
        detail=error,
        last_error=error,
        failures=row.failures + counts,
        not_before=row.not_before if retry_at is None else retry_at,
    )


def _insert_derived(connection: sa.Connection, job_id: int, product: Product) -> int:
    instance = product.instance
    inserted: int = connection.execute(
        sa.insert(schema.derived)
        .values(
            job_id=job_id,
            form=instance.form.value,
            banner=instance.banner,
            matrix=instance.matrix.value,
            document=None if instance.document is None else instance.document.value,
            position=instance.index,
            sop_instance_uid=instance.sop_instance_uid,
            sop_class_uid=instance.sop_class_uid,
            transfer_syntax_uid=instance.transfer_syntax_uid,
            series_instance_uid=instance.series_instance_uid,
            digest=instance.digest,
            size_bytes=instance.size_bytes,
            provenance=product.provenance_json,
        )
        .returning(schema.derived.c.id)
    ).scalar_one()
    return inserted


def _what(instance: DerivedInstance) -> str:
    return instance.document.value if instance.document else f"image {instance.index}"


def _check_complete(job: Job, products: Sequence[Product]) -> None:
    """Everything some target wants is there once, and nothing else is."""
    made = sorted((p.instance.writing.name, _what(p.instance)) for p in products)
    wanted = sorted(
        (writing.name, what)
        for writing, documents in job.order.wanted().items()
        for what in (
            *(f"image {index}" for index in range(writing.images(len(job.order.views)))),
            *(document.value for document in documents),
        )
    )
    if made != wanted:
        raise IntegrityError(
            f"job {job.key[:12]} has {len(made)} instances that are not the {len(wanted)} ordered"
        )
