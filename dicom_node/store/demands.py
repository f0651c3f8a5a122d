"""Rows of what peers ask us to commit; every function runs inside one transaction."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from dicom_node.domain.commitments import Demand, DemandEvent, DemandState, Reference, advance
from dicom_node.domain.errors import LeaseLostError
from dicom_node.store import schema
from dicom_node.store.database import insert_new
from dicom_node.store.waiting import is_due, of_the_future

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["fail", "finish", "judge", "lease", "put_back", "record"]

NO_SUCH_INSTANCE: Final = 0x0112
CLASS_INSTANCE_CONFLICT: Final = 0x0119
"""Failure Reasons (PS3.3 C.14.1.1)."""

_t, _images = schema.demands, schema.images
_AT_ONCE: Final = 500


def record(
    connection: sa.Connection,
    transaction_uid: str,
    references: Sequence[Reference],
    *,
    calling_ae_title: str,
    address: str,
    now: float,
    report_at: float,
) -> bool:
    """See `ports.CommitmentLedger.record_demand`."""
    text = json.dumps([[each.sop_class_uid, each.sop_instance_uid] for each in references])
    inserted = connection.execute(
        insert_new(connection, _t)
        .values(
            transaction_uid=transaction_uid,
            calling_ae_title=calling_ae_title,
            address=address,
            references_json=text,
            state=DemandState.WAITING.value,
            attempts=0,
            not_before=report_at,
            last_error="",
            received_at=now,
            updated_at=now,
        )
        .returning(_t.c.id)
    ).scalar_one_or_none()
    if inserted is not None:
        return True
    row = connection.execute(
        sa.select(_t)
        .where(_t.c.calling_ae_title == calling_ae_title, _t.c.transaction_uid == transaction_uid)
        .with_for_update()
    ).one()
    if row.references_json != text:
        return False
    if row.state in (DemandState.REPORTED.value, DemandState.GIVEN_UP.value):
        # Our answer or our report was lost on the way: it is given once more.
        _change(connection, row, DemandEvent.REPEATED, now, not_before=report_at, address=address)
    return True


def lease(connection: sa.Connection, now: float, lease_s: float) -> Demand | None:
    """See `ports.CommitmentLedger.lease_demand`."""
    row = connection.execute(
        sa.select(_t)
        .where(_t.c.state == DemandState.WAITING.value, is_due(_t, now))
        .order_by(_t.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).one_or_none()
    if row is None:
        return None
    attempts = row.attempts + 1
    _change(connection, row, DemandEvent.LEASED, now, attempts=attempts, lease_until=now + lease_s)
    return Demand(
        id=row.id,
        transaction_uid=row.transaction_uid,
        calling_ae_title=row.calling_ae_title,
        address=row.address,
        received_at=row.received_at,
        attempts=attempts,
        references=tuple(
            Reference(sop_class_uid=sop_class, sop_instance_uid=uid)
            for sop_class, uid in json.loads(row.references_json)
        ),
    )


def judge(
    connection: sa.Connection,
    references: Sequence[Reference],
    is_there: Callable[[str, int], bool],
) -> dict[str, int | None]:
    """See `ports.CommitmentLedger.judge`."""
    held: dict[str, str] = {}
    uids = [each.sop_instance_uid for each in references]
    for start in range(0, len(uids), _AT_ONCE):
        rows = connection.execute(
            sa.select(
                _images.c.sop_instance_uid,
                _images.c.sop_class_uid,
                _images.c.digest,
                _images.c.size_bytes,
            ).where(
                _images.c.sop_instance_uid.in_(uids[start : start + _AT_ONCE]),
                sa.not_(_images.c.conflicting),
                _images.c.file_removed_at.is_(None),
            )
        )
        held.update(
            (row.sop_instance_uid, row.sop_class_uid)
            for row in rows
            if is_there(row.digest, row.size_bytes)
        )

    def reason(reference: Reference) -> int | None:
        found = held.get(reference.sop_instance_uid)
        if found is None:
            return NO_SUCH_INSTANCE
        return None if found == reference.sop_class_uid else CLASS_INSTANCE_CONFLICT

    return {each.sop_instance_uid: reason(each) for each in references}


def finish(connection: sa.Connection, demand: Demand, now: float) -> None:
    """See `ports.CommitmentLedger.finish_demand`."""
    _change(connection, _leased(connection, demand), DemandEvent.ANSWERED, now, last_error="")


def fail(
    connection: sa.Connection, demand: Demand, error: str, *, retry_at: float | None, now: float
) -> None:
    """See `ports.CommitmentLedger.fail_demand`."""
    _change(
        connection,
        _leased(connection, demand),
        DemandEvent.GAVE_UP if retry_at is None else DemandEvent.FAILED,
        now,
        last_error=error,
        not_before=now if retry_at is None else retry_at,
    )


def put_back(connection: sa.Connection, now: float) -> int:
    """Demands whose lease ran out wait again; how many."""
    rows = connection.execute(
        sa.select(_t)
        .where(
            _t.c.state == DemandState.REPORTING.value,
            sa.or_(_t.c.lease_until <= now, of_the_future(_t.c.updated_at, now)),
        )
        .with_for_update(skip_locked=True)
    ).all()
    for row in rows:
        _change(connection, row, DemandEvent.LEASE_EXPIRED, now, not_before=now)
    return len(rows)


def _leased(connection: sa.Connection, demand: Demand) -> sa.Row[Any]:
    row = connection.execute(
        sa.select(_t).where(_t.c.id == demand.id).with_for_update()
    ).one_or_none()
    held = (DemandState.REPORTING.value, demand.attempts)
    if row is None or (row.state, row.attempts) != held:
        raise LeaseLostError(f"demand {demand.id}: the lease of attempt {demand.attempts} is over")
    return row


def _change(
    connection: sa.Connection, row: sa.Row[Any], event: DemandEvent, now: float, **values: Any
) -> None:
    after = advance(DemandState(row.state), event)
    changed = connection.execute(
        sa.update(_t)
        .where(_t.c.id == row.id, _t.c.state == row.state, _t.c.attempts == row.attempts)
        .values({"state": after.value, "updated_at": now, "lease_until": None} | values)
    )
    if changed.rowcount != 1:
        raise LeaseLostError(f"demand {row.id} changed hands while it was {event}")
