"""Rows of studies that are fetched from archives; every function runs inside one transaction."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

from dicom_node.domain.errors import CapacityError, LeaseLostError
from dicom_node.domain.fetches import Fetch, FetchState
from dicom_node.store import schema
from dicom_node.store.database import insert_new

__all__ = ["ask", "begin", "end", "find", "newest"]

_t = schema.fetches
_OPEN: Final = _t.c.state.in_([state.value for state in FetchState if not state.is_over])


def ask(
    connection: sa.Connection,
    source: str,
    study_uid: str,
    who: str,
    *,
    at_most: int,
    keep: int,
    now: float,
) -> Fetch:
    """See `ports.FetchLedger.ask_fetch`."""
    same = sa.select(_t).where(_t.c.source == source, _t.c.study_instance_uid == study_uid, _OPEN)
    row = connection.execute(same).one_or_none()
    if row is not None:
        return _fetch(row)
    waiting = sa.select(sa.func.count()).where(_t.c.state == FetchState.WAITING.value)
    if connection.execute(waiting).scalar_one() >= at_most:
        raise CapacityError(f"{at_most} studies wait to be fetched already")
    connection.execute(
        insert_new(connection, _t).values(
            source=source,
            study_instance_uid=study_uid,
            who=who,
            asked_at=now,
            state=FetchState.WAITING.value,
            attempts=0,
            passed_over=0,
            completed=0,
            failed=0,
            problem="",
            todo="",
        )
    )
    # Of somebody else, where two asked at one moment.
    made = _fetch(connection.execute(same).one())
    _forget(connection, keep)
    return made


def begin(connection: sa.Connection) -> Fetch | None:
    """See `ports.FetchLedger.begin_fetch`."""
    row = connection.execute(
        sa.select(_t).where(_OPEN).order_by(_t.c.id).limit(1).with_for_update()
    ).one_or_none()
    if row is None:
        return None
    begun = _fetch(row).begun()
    connection.execute(
        sa.update(_t)
        .where(_t.c.id == row.id)
        .values(state=begun.state.value, attempts=begun.attempts)
    )
    return begun


def end(connection: sa.Connection, fetch: Fetch) -> None:
    """See `ports.FetchLedger.end_fetch`."""
    changed = connection.execute(
        sa.update(_t)
        .where(
            _t.c.id == fetch.number,
            _t.c.state == FetchState.RUNNING.value,
            _t.c.attempts == fetch.attempts,
        )
        .values(
            state=fetch.state.value,
            series=fetch.series,
            passed_over=fetch.passed_over,
            completed=fetch.completed,
            failed=fetch.failed,
            problem=fetch.problem,
            todo=fetch.todo,
        )
    )
    if changed.rowcount != 1:
        raise LeaseLostError(f"fetch {fetch.number} changed hands before it was {fetch.state}")


def find(connection: sa.Connection, number: int) -> Fetch | None:
    """See `ports.FetchLedger.fetch`."""
    row = connection.execute(sa.select(_t).where(_t.c.id == number)).one_or_none()
    return None if row is None else _fetch(row)


def newest(connection: sa.Connection) -> tuple[Fetch, ...]:
    """See `ports.FetchLedger.fetches`."""
    return tuple(_fetch(row) for row in connection.execute(sa.select(_t).order_by(_t.c.id.desc())))


def _forget(connection: sa.Connection, keep: int) -> None:
    count = connection.execute(sa.select(sa.func.count()).select_from(_t)).scalar_one()
    over = sa.select(_t.c.id).where(sa.not_(_OPEN)).order_by(_t.c.id).limit(max(0, count - keep))
    numbers = connection.execute(over).scalars().all()
    connection.execute(sa.delete(_t).where(_t.c.id.in_(numbers)))


def _fetch(row: sa.Row[Any]) -> Fetch:
    return Fetch(
        number=row.id,
        source=row.source,
        study_uid=row.study_instance_uid,
        who=row.who,
        asked_at=row.asked_at,
        state=FetchState(row.state),
        attempts=row.attempts,
        series=row.series,
        passed_over=row.passed_over,
        completed=row.completed,
        failed=row.failed,
        problem=row.problem,
        todo=row.todo,
    )
