"""A ledger with many jobs: rows like those of one that went through, as many more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from dicom_node.store import schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.console.conftest import Bench

TIMES: Final = {"received_at", "decided_at", "created_at", "updated_at", "at", "answered_at"}
REFERENCES: Final = {
    "image_id": "images",
    "job_id": "jobs",
    "delivery_id": "deliveries",
    "derived_id": "derived",
}


@dataclass(frozen=True, kw_only=True)
class Block:
    """Rows of a table that are copied together, and the first number that is free."""

    name: str
    rows: list[dict[str, Any]]
    first: int

    def number(self, copy: int, old: int) -> int:
        place = [row["id"] for row in self.rows].index(old)
        return self.first + copy * len(self.rows) + place


def copies(
    bench: Bench, key: str, count: int, state: str = "queued", *, every_s: float = 0.0
) -> None:
    """Copy a job with its image, views, deliveries and events.

    Args:
        bench: With the ledger.
        key: Of the job.
        count: How many more.
        state: Of the new jobs.
        every_s: Each is so much older than the one after it; the newest is as old as the first.
    """
    images, jobs, derived = schema.images, schema.jobs, schema.derived
    deliveries, sends, events = schema.deliveries, schema.sends, schema.events
    with bench.ledger._database.write() as connection:
        job = connection.execute(sa.select(jobs).where(jobs.c.key == key)).one()
        sent = sa.select(deliveries.c.id).where(deliveries.c.job_id == job.id)
        blocks: dict[str, Block] = {}
        for table, where in (
            (images, images.c.id == job.image_id),
            (jobs, jobs.c.id == job.id),
            (derived, derived.c.job_id == job.id),
            (deliveries, deliveries.c.job_id == job.id),
            (sends, sends.c.delivery_id.in_(sent)),
            (events, events.c.image_id == job.image_id),
        ):
            rows = [row._asdict() for row in connection.execute(sa.select(table).where(where))]
            last = connection.execute(sa.select(sa.func.max(next(iter(table.c))))).scalar() or 0
            block = Block(name=table.name, rows=rows, first=last + 1000)
            blocks[table.name] = block
            if rows:
                made = list(_copied(block, blocks, count, state, every_s))
                connection.execute(sa.insert(table), made)


def _copied(
    block: Block, blocks: dict[str, Block], count: int, state: str, every_s: float
) -> Iterator[dict[str, Any]]:
    """The rows of every copy, the oldest first."""
    for copy in range(count):
        earlier_s = (count - 1 - copy) * every_s
        for row in block.rows:
            new = {
                key: value - earlier_s if key in TIMES and value is not None else value
                for key, value in row.items()
            }
            for key, table in REFERENCES.items():
                if row.get(key) is not None:
                    new[key] = blocks[table].number(copy, row[key])
            if "id" in row:
                new["id"] = block.number(copy, row["id"])
            if "sop_instance_uid" in row:
                new["sop_instance_uid"] = f"1.9.{len(block.name)}.{new['id']}"
            if block.name == "jobs":
                new |= {"key": f"{new['id']:064x}", "state": state}
            yield new
