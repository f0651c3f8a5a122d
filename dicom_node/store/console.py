"""The rows as the console shows them: found by their indices, newest first, a page at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from dicom_node.domain.deliveries import DeliveryState
from dicom_node.domain.errors import IntegrityError
from dicom_node.domain.identifiers import JobKey
from dicom_node.domain.jobs import JobState
from dicom_node.ports import DecidedAs, Kind, Product
from dicom_node.ports.console import (
    Activity,
    Failing,
    ImageLine,
    JobLine,
    JobRecord,
    LastSend,
    Reason,
    Untaken,
)
from dicom_node.store import (
    choosing,
    deliveries,
    images,
    jobs,
    overview,
    schema,
    searching,
    versions,
)
from dicom_node.store.transitions import image_state

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dicom_node.domain.jobs import Target
    from dicom_node.ports import ImageRow, NewJob
    from dicom_node.ports.console import Bulk, Search
    from dicom_node.store.database import Database

__all__ = ["SqlConsole"]

_images, _jobs, _deliveries = schema.images, schema.jobs, schema.deliveries
_derived, _events, _sends = schema.derived, schema.events, schema.sends

_EVENTS_READ: Final = 20_000
"""Newest events that figures over time are made of: their cost must not grow with the ledger."""

_IMAGES_READ: Final = 500
"""Newest images that tell what a rule takes."""

_ENOUGH: Final = 3
"""Images after which it is no accident that none is taken."""


class SqlConsole:
    """A `ports.ConsoleLedger`. Any number of threads may use one object."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find_jobs(
        self, search: Search, *, before: int | None = None, limit: int = 50
    ) -> tuple[JobLine, ...]:
        """See `ports.ConsoleLedger.find_jobs`."""
        query = (
            sa.select(
                *_jobs.c[
                    "id", "key", "state", "created_at", "updated_at", "attempts", "last_error"
                ],
                *_images.c["route", "calling_ae_title", "study_instance_uid", "accession_number"],
            )
            .join(_images, _images.c.id == _jobs.c.image_id)
            .where(*searching.jobs(search))
            .order_by(_jobs.c.id.desc())
            .limit(limit)
        )
        if before is not None:
            query = query.where(_jobs.c.id < before)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
            sends = _sent(connection, [row.id for row in rows])
        return tuple(_job_line(row, tuple(sends.get(row.id, ()))) for row in rows)

    def find_images(
        self, search: Search, *, before: int | None = None, limit: int = 50
    ) -> tuple[ImageLine, ...]:
        """See `ports.ConsoleLedger.find_images`."""
        newest = (
            sa.select(_jobs.c.key)
            .where(_jobs.c.image_id == _images.c.id)
            .order_by(_jobs.c.id.desc())
            .limit(1)
            .scalar_subquery()
        )
        query = (
            sa.select(_images, newest.label("job_key"))
            .where(*searching.images(search))
            .order_by(_images.c.id.desc())
            .limit(limit)
        )
        if before is not None:
            query = query.where(_images.c.id < before)
        with self._database.read() as connection:
            return tuple(_image_line(row) for row in connection.execute(query))

    def record_of(self, key_prefix: str) -> JobRecord | None:
        """See `ports.ConsoleLedger.record_of`."""
        with self._database.read() as connection:
            found = overview.find(connection, key_prefix)
            if found is None:
                return None
            query = (
                sa.select(_images, _jobs.c.id.label("job_id"))
                .join(_jobs, _jobs.c.image_id == _images.c.id)
                .where(_jobs.c.key == found.job.key)
            )
            row = connection.execute(query).one()
            made = connection.execute(
                sa.select(_derived).where(_derived.c.job_id == row.job_id).order_by(_derived.c.id)
            ).all()
        gone = row.file_removed_at is not None or any(each.file_removed_at for each in made)
        return JobRecord(
            row=found,
            image=images.from_row(row),
            accession=row.accession_number,
            products=tuple(_product(each) for each in made),
            files_kept=not gone,
        )

    def image(self, number: int) -> tuple[ImageRow, str] | None:
        """See `ports.ConsoleLedger.image`."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(_images).where(_images.c.id == number)).one_or_none()
            return None if row is None else (images.from_row(row), row.accession_number)

    def reasons(self, limit: int = 12) -> tuple[Reason, ...]:
        """See `ports.ConsoleLedger.reasons`."""
        stuck = (
            (Kind.IMAGES, _images.c.reason, sa.literal(""), searching.IN_QUARANTINE),
            (Kind.JOBS, _jobs.c.last_error, sa.literal(""), _jobs.c.state == "quarantined"),
            (
                Kind.DELIVERIES,
                _deliveries.c.last_error,
                _deliveries.c.destination,
                _deliveries.c.state == "quarantined",
            ),
        )
        found: list[Reason] = []
        with self._database.read() as connection:
            for kind, words, destination, where in stuck:
                columns = (words.label("words"), destination.label("destination"))
                query = sa.select(*columns, sa.func.count()).where(where)
                query = query.group_by(*(column.name for column in columns))
                for row in connection.execute(query.order_by(sa.func.count().desc()).limit(limit)):
                    found.append(Reason(kind=kind, words=row[0], destination=row[1], count=row[2]))
        return tuple(sorted(found, key=lambda each: -each.count)[:limit])

    def activity(self, since: float, step_s: float, now: float) -> tuple[Activity, ...]:
        """See `ports.ConsoleLedger.activity`."""
        count = max(1, int((now - since) // step_s) + 1)
        received, finished, seconds = [0] * count, [0] * count, [0.0] * count
        made_at = sa.func.coalesce(_jobs.c.created_at, _events.c.at)
        with self._database.read() as connection:
            last = connection.execute(sa.select(sa.func.max(_events.c.id))).scalar() or 0
            step = _whole(connection, (_events.c.at - since) / step_s)
            query = (
                sa.select(
                    step, _events.c.event, sa.func.count(), sa.func.sum(_events.c.at - made_at)
                )
                .outerjoin(_jobs, _jobs.c.id == _events.c.job_id)
                .where(
                    _events.c.id > last - _EVENTS_READ,
                    _events.c.at >= since,
                    _events.c.delivery_id.is_(None),
                    _events.c.event.in_(["received", "finished"]),
                )
                .group_by(step, _events.c.event)
            )
            for number, event, times, total in connection.execute(query):
                place = min(count - 1, max(0, number))
                if event == "received":
                    received[place] += times
                else:
                    finished[place] += times
                    seconds[place] += max(0.0, total)
        return tuple(
            Activity(
                at=since + step_s * place,
                received=received[place],
                finished=finished[place],
                latency_s=seconds[place] / finished[place] if finished[place] else None,
            )
            for place in range(count)
        )

    def last_sends(self) -> Mapping[str, LastSend]:
        """See `ports.ConsoleLedger.last_sends`."""
        with self._database.read() as connection:
            last = connection.execute(sa.select(sa.func.max(_events.c.id))).scalar() or 0
            newest = (
                sa.select(_deliveries.c.destination, sa.func.max(_events.c.id).label("event_id"))
                .join(_deliveries, _deliveries.c.id == _events.c.delivery_id)
                .where(
                    _events.c.id > last - _EVENTS_READ,
                    _events.c.event.in_(
                        ["failed", "gave_up", "all_stored", "all_stored_no_commitment"]
                    ),
                )
                .group_by(_deliveries.c.destination)
                .subquery()
            )
            rows = connection.execute(
                sa.select(newest.c.destination, *_events.c["at", "event", "detail"]).join(
                    _events, _events.c.id == newest.c.event_id
                )
            )
            return {row[0]: LastSend(at=row[1], event=row[2], detail=row[3]) for row in rows}

    def failing(self) -> Failing | None:
        """See `ports.ConsoleLedger.failing`."""
        open_states = (JobState.QUEUED.value, JobState.RUNNING.value)
        query = (
            sa.select(*_jobs.c["key", "failures", "last_error"], _images.c.route)
            .join(_images, _images.c.id == _jobs.c.image_id)
            .where(_jobs.c.state.in_(open_states), _jobs.c.failures > 0)
            .order_by(_jobs.c.failures.desc(), _jobs.c.id)
            .limit(1)
        )
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        return Failing(
            key=JobKey(row.key),
            route=row.route,
            failures=row.failures,
            last_error=row.last_error,
        )

    def untaken(self) -> Untaken | None:
        """See `ports.ConsoleLedger.untaken`."""
        with self._database.read() as connection:
            newest = versions.newest(connection, 1)
            if not newest:
                return None
            last = connection.execute(sa.select(sa.func.max(_images.c.id))).scalar() or 0
            is_new = sa.func.coalesce(_images.c.version_id, 0) == newest[0].number
            taken = sa.case((_images.c.decided_as == DecidedAs.ACCEPT.value, 1), else_=0)
            rows = connection.execute(
                sa.select(is_new, sa.func.count(), sa.func.sum(taken))
                .where(_images.c.id > last - _IMAGES_READ, _images.c.decided_as.is_not(None))
                .group_by(is_new)
            )
            found = {bool(row[0]): (row[1], row[2]) for row in rows}
        (came, now_taken), (_, taken_before) = found.get(True, (0, 0)), found.get(False, (0, 0))
        if came < _ENOUGH or now_taken or not taken_before:
            return None
        version = newest[0]
        return Untaken(
            version=version.number, author=version.version.author, at=version.at, images=came
        )

    def count_chosen(self, bulk: Bulk, search: Search) -> int:
        """See `ports.ConsoleLedger.count_chosen`."""
        with self._database.read() as connection:
            return choosing.count(connection, bulk, search)

    def settle_chosen(self, bulk: Bulk, search: Search, now: float) -> int:
        """See `ports.ConsoleLedger.settle_chosen`."""
        with self._database.write() as connection:
            return choosing.settle(connection, bulk, search, now)

    def hurry(self, kind: Kind, name: str, now: float) -> int:
        """See `ports.ConsoleLedger.hurry`."""
        table, waits = _deliveries, DeliveryState.PENDING.value
        where: sa.ColumnElement[bool] = _deliveries.c.destination == name
        if kind is Kind.JOBS:
            table, waits, where = _jobs, JobState.QUEUED.value, _jobs.c.key == name
        elif name.isdecimal():
            where = _deliveries.c.id == int(name)
        with self._database.write() as connection:
            return connection.execute(
                sa.update(table)
                .where(where, table.c.state == waits, table.c.not_before > now)
                .values(not_before=now)
            ).rowcount

    def send_also(self, key: JobKey, target: Target, now: float) -> int:
        """See `ports.ConsoleLedger.send_also`."""
        with self._database.write() as connection:
            row = connection.execute(
                sa.select(_jobs).where(_jobs.c.key == key).with_for_update()
            ).one_or_none()
            if row is None or row.state != JobState.DONE.value:
                raise IntegrityError("only a job that is done can be sent to one more destination")
            form = target.form.value
            there = sa.select(_deliveries.c.id).where(
                _deliveries.c.job_id == row.id,
                _deliveries.c.destination == target.destination,
                _deliveries.c.form == form,
            )
            if connection.execute(there).first() is not None:
                raise IntegrityError(f"the job has a delivery to {target.destination} already")
            made = connection.execute(
                sa.select(_derived.c.id).where(
                    _derived.c.job_id == row.id,
                    _derived.c.form == form,
                    _derived.c.banner == target.banner,
                    _derived.c.matrix == target.matrix.value,
                    _derived.c.file_removed_at.is_(None),
                    sa.or_(
                        _derived.c.document.is_(None),
                        _derived.c.document.in_([each.value for each in target.documents]),
                    ),
                )
            )
            derived_ids = [each.id for each in made]
            if not derived_ids:
                raise IntegrityError(
                    f"the views were not made in the form {target.destination} wants, or their "
                    "files are not kept any more: synthesize again"
                )
            return jobs.add_delivery(connection, row, target, derived_ids, now)

    def add_job(self, image_id: int, new_job: NewJob, detail: str, now: float) -> bool:
        """See `ports.ConsoleLedger.add_job`."""
        with self._database.write() as connection:
            return images.add_job(connection, image_id, new_job, now, detail=detail)


def _whole(connection: sa.Connection, number: sa.ColumnElement[Any]) -> sa.ColumnElement[int]:
    """A number that is not negative, rounded down: SQLite's cast does so, PostgreSQL's rounds."""
    down = number if connection.dialect.name == "sqlite" else sa.func.floor(number)
    return sa.cast(down, sa.Integer)


def _sent(connection: sa.Connection, ids: Sequence[int]) -> dict[int, list[tuple[str, str]]]:
    found: dict[int, list[tuple[str, str]]] = {}
    if ids:
        query = sa.select(*_deliveries.c["job_id", "destination", "state"])
        query = query.where(_deliveries.c.job_id.in_(ids)).order_by(_deliveries.c.id)
        for job_id, destination, state in connection.execute(query):
            found.setdefault(job_id, []).append((destination, state))
    return found


def _job_line(row: sa.Row[Any], sends: tuple[tuple[str, str], ...]) -> JobLine:
    return JobLine(
        id=row.id,
        key=JobKey(row.key),
        state=JobState(row.state),
        route=row.route,
        peer=row.calling_ae_title,
        study=row.study_instance_uid,
        accession=row.accession_number,
        created_at=row.created_at,
        updated_at=row.updated_at,
        attempts=row.attempts,
        last_error=row.last_error,
        deliveries=sends,
    )


def _image_line(row: sa.Row[Any]) -> ImageLine:
    return ImageLine(
        id=row.id,
        state=image_state(row),
        sop_instance_uid=row.sop_instance_uid,
        study=row.study_instance_uid,
        accession=row.accession_number,
        peer=row.calling_ae_title,
        route=row.route,
        reason=row.reason,
        received_at=row.received_at,
        job_key=row.job_key or "",
    )


def _product(row: sa.Row[Any]) -> Product:
    return Product(
        instance=deliveries.instance_from_row(row),
        provenance_json=row.provenance,
    )
