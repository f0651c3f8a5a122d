"""Rows of commitments asked of destinations; every function runs inside one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from dicom_node.domain.commitments import Commitment, Heard, Reference
from dicom_node.domain.deliveries import DeliveryEvent, DeliveryState
from dicom_node.store import schema
from dicom_node.store.transitions import change_delivery
from dicom_node.store.waiting import is_due, of_the_future

if TYPE_CHECKING:
    from collections.abc import Callable

    from dicom_node.domain.commitments import Report
    from dicom_node.domain.retry import RetryPolicy

__all__ = ["ask", "close_stored", "expire", "hear", "not_asked", "unsupported"]

_t, _items, _deliveries, _sends, _derived = (
    schema.commitments,
    schema.commitment_items,
    schema.deliveries,
    schema.sends,
    schema.derived,
)


def ask(
    connection: sa.Connection,
    destination: str,
    transaction_uid: str,
    *,
    now: float,
    answer_by: float,
) -> Commitment | None:
    """See `ports.CommitmentLedger.ask_commitment`."""
    row = connection.execute(
        sa.select(_deliveries)
        .where(
            _deliveries.c.state == DeliveryState.STORED.value,
            _deliveries.c.destination == destination,
            is_due(_deliveries, now),
        )
        .order_by(_deliveries.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).one_or_none()
    if row is None:
        return None
    change_delivery(connection, row, DeliveryEvent.COMMIT_ASKED, now)
    commitment_id = connection.execute(
        sa.insert(_t)
        .values(
            transaction_uid=transaction_uid,
            delivery_id=row.id,
            asked_at=now,
            answer_by=answer_by,
        )
        .returning(_t.c.id)
    ).scalar_one()
    expected = connection.execute(
        sa.select(_derived.c.id, _derived.c.sop_class_uid, _derived.c.sop_instance_uid)
        .join(_sends, _sends.c.derived_id == _derived.c.id)
        .where(_sends.c.delivery_id == row.id, _sends.c.committed_at.is_(None))
        .order_by(_derived.c.position)
    ).all()
    if expected:
        connection.execute(
            sa.insert(_items),
            [{"commitment_id": commitment_id, "derived_id": each.id} for each in expected],
        )
    return Commitment(
        transaction_uid=transaction_uid,
        delivery_id=row.id,
        failures=row.failures,
        instances=tuple(
            Reference(sop_class_uid=each.sop_class_uid, sop_instance_uid=each.sop_instance_uid)
            for each in expected
        ),
    )


def not_asked(
    connection: sa.Connection,
    transaction_uid: str,
    error: str,
    *,
    retry_at: float | None,
    now: float,
    counts: bool,
) -> None:
    """See `ports.CommitmentLedger.not_asked`."""
    found = _open(connection, _t.c.transaction_uid == transaction_uid)
    for row in found:
        _ask_again(connection, row, error, retry_at=retry_at, now=now, counts=counts)


def unsupported(connection: sa.Connection, transaction_uid: str, now: float) -> None:
    """See `ports.CommitmentLedger.unsupported`."""
    for row in _open(connection, _t.c.transaction_uid == transaction_uid):
        _end(connection, row.id, now)
        delivery = _delivery(connection, row.delivery_id)
        if delivery.state == DeliveryState.COMMIT_REQUESTED.value:
            change_delivery(connection, delivery, DeliveryEvent.COMMIT_UNSUPPORTED, now)


def expire(
    connection: sa.Connection,
    destination: str,
    delay_of: Callable[[int], float | None],
    now: float,
) -> int:
    """See `ports.CommitmentLedger.expire_commitments`."""
    overdue = sa.or_(_t.c.answer_by <= now, of_the_future(_t.c.asked_at, now))
    rows = _open(connection, sa.and_(overdue, _deliveries.c.destination == destination))
    for row in rows:
        delay_s = delay_of(_delivery(connection, row.delivery_id).failures + 1)
        _ask_again(
            connection,
            row,
            f"{destination} did not report on storage commitment in time",
            retry_at=None if delay_s is None else now + delay_s,
            now=now,
            counts=True,
        )
    return len(rows)


def close_stored(connection: sa.Connection, destination: str, now: float) -> int:
    """See `ports.CommitmentLedger.close_stored`."""
    rows = connection.execute(
        sa.select(_deliveries)
        .where(
            _deliveries.c.destination == destination,
            _deliveries.c.state.in_(
                [DeliveryState.STORED.value, DeliveryState.COMMIT_REQUESTED.value]
            ),
        )
        .with_for_update(skip_locked=True)
    ).all()
    for row in rows:
        connection.execute(
            sa.update(_t)
            .where(_t.c.delivery_id == row.id, _t.c.ended_at.is_(None))
            .values(ended_at=now)
        )
        change_delivery(
            connection,
            row,
            DeliveryEvent.COMMIT_UNSUPPORTED,
            now,
            detail="commitment is not wanted any more",
        )
    return len(rows)


def hear(
    connection: sa.Connection,
    report: Report,
    policy_of: Callable[[str], RetryPolicy],
    now: float,
) -> Heard:
    """See `ports.CommitmentLedger.hear_report`."""
    row = connection.execute(
        sa.select(_t).where(_t.c.transaction_uid == report.transaction_uid).with_for_update()
    ).one_or_none()
    if row is None:
        return Heard.UNKNOWN
    if row.answered_at is not None:
        return Heard.REPEATED
    delivery = _delivery(connection, row.delivery_id)
    asked = {
        each.sop_instance_uid: each.id
        for each in connection.execute(
            sa.select(_derived.c.id, _derived.c.sop_instance_uid)
            .join(_items, _items.c.derived_id == _derived.c.id)
            .where(_items.c.commitment_id == row.id)
        )
    }
    # An instance that is reported both ways is not believed to be safe.
    safe = [asked[uid] for uid in report.committed if uid in asked and uid not in report.failed]
    lost = [asked[uid] for uid in report.failed if uid in asked]
    if row.ended_at is not None and (lost or delivery.state not in _WAITS_FOR_A_REPORT):
        return Heard.REPEATED  # it was asked again since, and the newer answer counts
    connection.execute(
        sa.update(_t)
        .where(_t.c.id == row.id)
        .values(answered_at=now, ended_at=sa.func.coalesce(_t.c.ended_at, now))
    )
    mine = _sends.c.delivery_id == delivery.id
    connection.execute(
        sa.update(_sends).where(mine, _sends.c.derived_id.in_(safe)).values(committed_at=now)
    )
    if delivery.state not in _WAITS_FOR_A_REPORT:
        return Heard.REPEATED
    open_left = connection.execute(
        sa.select(sa.func.count()).select_from(_sends).where(mine, _sends.c.committed_at.is_(None))
    ).scalar_one()
    if not open_left:
        _end_others(connection, delivery.id, now)
        change_delivery(connection, delivery, DeliveryEvent.COMMIT_CONFIRMED, now, last_error="")
        return Heard.COMMITTED
    if row.ended_at is not None:
        return Heard.INCOMPLETE  # the newer asking goes on
    failures = delivery.failures + 1
    delay_s = policy_of(delivery.destination).delay_s(failures)
    if lost:
        reasons = sorted({f"0x{report.failed[uid]:04X}" for uid in report.failed if uid in asked})
        error = f"{delivery.destination} did not commit {len(lost)} instances: {', '.join(reasons)}"
        connection.execute(
            sa.update(_sends)
            .where(mine, _sends.c.derived_id.in_(lost))
            .values(outcome=None, status=None, answered_at=None)
        )
        change_delivery(
            connection,
            delivery,
            DeliveryEvent.GAVE_UP if delay_s is None else DeliveryEvent.COMMIT_FAILED,
            now,
            detail=error,
            last_error=error,
            failures=failures,
            not_before=now + (delay_s or 0.0),
        )
        return Heard.RESENT
    _ask_again(
        connection,
        row,
        f"{delivery.destination} reported on {len(safe)} of {len(asked)} instances",
        retry_at=None if delay_s is None else now + delay_s,
        now=now,
        counts=True,
    )
    return Heard.INCOMPLETE


_WAITS_FOR_A_REPORT = (DeliveryState.STORED.value, DeliveryState.COMMIT_REQUESTED.value)


def _open(connection: sa.Connection, where: sa.ColumnElement[bool]) -> list[sa.Row[Any]]:
    rows = connection.execute(
        sa.select(_t)
        .join(_deliveries, _deliveries.c.id == _t.c.delivery_id)
        .where(_t.c.ended_at.is_(None), where)
        .order_by(_t.c.id)
        .with_for_update(skip_locked=True, of=_t)
    )
    return list(rows.all())


def _delivery(connection: sa.Connection, delivery_id: int) -> sa.Row[Any]:
    return connection.execute(
        sa.select(_deliveries).where(_deliveries.c.id == delivery_id).with_for_update()
    ).one()


def _end(connection: sa.Connection, commitment_id: int, now: float) -> None:
    connection.execute(sa.update(_t).where(_t.c.id == commitment_id).values(ended_at=now))


def _end_others(connection: sa.Connection, delivery_id: int, now: float) -> None:
    connection.execute(
        sa.update(_t)
        .where(_t.c.delivery_id == delivery_id, _t.c.ended_at.is_(None))
        .values(ended_at=now)
    )


def _ask_again(
    connection: sa.Connection,
    row: sa.Row[Any],
    error: str,
    *,
    retry_at: float | None,
    now: float,
    counts: bool,
) -> None:
    """The transaction is over; its delivery waits for the next one, or for a person."""
    _end(connection, row.id, now)
    delivery = _delivery(connection, row.delivery_id)
    if delivery.state != DeliveryState.COMMIT_REQUESTED.value:
        return  # a report came first, or a person decided
    change_delivery(
        connection,
        delivery,
        DeliveryEvent.GAVE_UP if retry_at is None else DeliveryEvent.COMMIT_TIMED_OUT,
        now,
        detail=error,
        last_error=error,
        failures=delivery.failures + counts,
        not_before=delivery.not_before if retry_at is None else retry_at,
    )
