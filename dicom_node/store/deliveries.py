"""Rows of deliveries: leasing, answers, finishing, failing; each inside one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from dicom_node.domain.deliveries import (
    Delivery,
    DeliveryEvent,
    DeliveryState,
    DerivedInstance,
    Outcome,
)
from dicom_node.domain.errors import IntegrityError
from dicom_node.domain.identifiers import JobKey
from dicom_node.domain.writing import Document, Form, Matrix
from dicom_node.store import schema
from dicom_node.store.transitions import change_delivery, leased_delivery
from dicom_node.store.waiting import is_due

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "answer",
    "documents_to_text",
    "fail",
    "finish",
    "from_row",
    "instance_from_row",
    "lease",
    "outstanding",
]

_t, _sends, _derived = schema.deliveries, schema.sends, schema.derived

_not_stored = sa.or_(_sends.c.outcome.is_(None), _sends.c.outcome != Outcome.STORED.value)


def documents_to_text(documents: Iterable[Document]) -> str:
    """Their names, separated by spaces."""
    return " ".join(document.value for document in documents)


def from_row(
    row: sa.Row[Any], job_key: str, instances: tuple[DerivedInstance, ...] = ()
) -> Delivery:
    """A row as a value."""
    return Delivery(
        id=row.id,
        job_key=JobKey(job_key),
        destination=row.destination,
        form=Form(row.form),
        banner=row.banner,
        matrix=Matrix(row.matrix),
        documents=tuple(Document(name) for name in row.documents.split()),
        state=DeliveryState(row.state),
        attempts=row.attempts,
        failures=row.failures,
        lost_leases=row.lost_leases,
        not_before=row.not_before,
        lease_until=row.lease_until,
        last_error=row.last_error,
        outstanding=instances,
    )


def instance_from_row(row: sa.Row[Any]) -> DerivedInstance:
    """A row of an object that was made, as a value."""
    return DerivedInstance(
        sop_instance_uid=row.sop_instance_uid,
        sop_class_uid=row.sop_class_uid,
        transfer_syntax_uid=row.transfer_syntax_uid,
        series_instance_uid=row.series_instance_uid,
        form=Form(row.form),
        banner=row.banner,
        matrix=Matrix(row.matrix),
        document=None if row.document is None else Document(row.document),
        index=row.position,
        digest=row.digest,
        size_bytes=row.size_bytes,
    )


def outstanding(connection: sa.Connection, delivery_id: int) -> tuple[DerivedInstance, ...]:
    """What the destination has not confirmed yet, in order of index."""
    rows = connection.execute(
        sa.select(_derived)
        .join(_sends, _sends.c.derived_id == _derived.c.id)
        .where(_sends.c.delivery_id == delivery_id, _not_stored)
        .order_by(_derived.c.position)
    )
    return tuple(instance_from_row(row) for row in rows)


def lease(
    connection: sa.Connection, destination: str, now: float, lease_s: float
) -> Delivery | None:
    """See `ports.Ledger.lease_delivery`."""
    row = connection.execute(
        sa.select(_t)
        .where(
            _t.c.state == DeliveryState.PENDING.value,
            _t.c.destination == destination,
            is_due(_t, now),
        )
        .order_by(_t.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).one_or_none()
    if row is None:
        return None
    change_delivery(
        connection,
        row,
        DeliveryEvent.LEASED,
        now,
        detail=f"attempt {row.attempts + 1}",
        attempts=row.attempts + 1,
        lease_until=now + lease_s,
    )
    leased = connection.execute(
        sa.select(_t, schema.jobs.c.key.label("job_key"))
        .join(schema.jobs, schema.jobs.c.id == _t.c.job_id)
        .where(_t.c.id == row.id)
    ).one()
    return from_row(leased, leased.job_key, outstanding(connection, row.id))


def answer(
    connection: sa.Connection,
    delivery: Delivery,
    sop_instance_uid: str,
    outcome: Outcome,
    status: int,
    now: float,
    lease_s: float,
) -> None:
    """See `ports.Ledger.record_outcome`."""
    row = leased_delivery(connection, delivery)
    derived_id = connection.execute(
        sa.select(_sends.c.derived_id)
        .join(_derived, _derived.c.id == _sends.c.derived_id)
        .where(_sends.c.delivery_id == row.id, _derived.c.sop_instance_uid == sop_instance_uid)
    ).scalar_one_or_none()
    if derived_id is None:
        raise IntegrityError(f"delivery {row.id} was answered for an instance it does not hold")
    connection.execute(
        sa.update(_sends)
        .where(_sends.c.delivery_id == row.id, _sends.c.derived_id == derived_id, _not_stored)
        .values(outcome=outcome.value, status=status, answered_at=now)
    )
    connection.execute(
        sa.update(_t).where(_t.c.id == row.id).values(lease_until=now + lease_s, updated_at=now)
    )


def finish(connection: sa.Connection, delivery: Delivery, *, commitment: bool, now: float) -> None:
    """See `ports.Ledger.finish_delivery`."""
    row = leased_delivery(connection, delivery)
    left = len(outstanding(connection, row.id))
    if left:
        raise IntegrityError(f"delivery {row.id} cannot finish: {left} instances are not stored")
    event = DeliveryEvent.ALL_STORED if commitment else DeliveryEvent.ALL_STORED_NO_COMMITMENT
    # Due now: when it was due before may be a time of a clock that has been set back since.
    change_delivery(connection, row, event, now, last_error="", not_before=now)


def fail(
    connection: sa.Connection,
    delivery: Delivery,
    error: str,
    *,
    retry_at: float | None,
    now: float,
    counts: bool,
) -> None:
    """See `ports.Ledger.fail_delivery`."""
    row = leased_delivery(connection, delivery)
    change_delivery(
        connection,
        row,
        DeliveryEvent.GAVE_UP if retry_at is None else DeliveryEvent.FAILED,
        now,
        detail=error,
        last_error=error,
        failures=row.failures + counts,
        not_before=row.not_before if retry_at is None else retry_at,
    )
