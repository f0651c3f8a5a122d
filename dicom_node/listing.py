"""Jobs and images of the ledger as plain data for machines and as tables for people."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from rich import box
from rich.table import Table
from rich.text import Text

from dicom_node.domain.deliveries import DeliveryState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from dicom_node.inspection import Inspected
    from dicom_node.ports import DeliveryRow, ImageRow, JobRow

__all__ = [
    "deliveries_table",
    "delivery_json",
    "image_json",
    "images_table",
    "inspected_table",
    "job_details",
    "job_json",
    "jobs_table",
]

KEY_LENGTH: Final = 12
"""Digits of a job's key that tables show; enough to name it in ``jobs show``."""

_STYLES: Final = {
    "accept": "green",
    "accepted": "green",
    "done": "green",
    "closed": "green",
    "committed": "green",
    "ignore": "dim",
    "ignored": "dim",
    "cancelled": "dim",
    "quarantine": "bold red",
    "quarantined": "bold red",
    "conflicting": "bold red",
    "running": "cyan",
    "sending": "cyan",
}


def job_json(row: JobRow, *, events: bool = False) -> dict[str, Any]:
    """One job as plain data.

    Args:
        row: Of the ledger.
        events: Also what happened to it, and when.
    """
    job, order = row.job, row.job.order
    data: dict[str, Any] = {
        "key": job.key,
        "state": job.state.value,
        "route": order.route,
        "source_sop_instance_uid": job.source_sop_instance_uid,
        "views": [
            {
                "primary_deg": view.primary_deg,
                "secondary_deg": view.secondary_deg,
                "label": view.label,
            }
            for view in order.views
        ],
        "attempts": job.attempts,
        "last_error": job.last_error,
        "created_at": _iso(job.created_at),
        "updated_at": _iso(job.updated_at),
        "deliveries": [_delivery_json(each) for each in row.deliveries],
    }
    if events:
        data |= {
            "calling_ae_title": job.calling_ae_title,
            "source_digest": job.source_digest,
            "model": order.model,
            "weights_digest": order.weights_digest,
            "samples": order.samples,
            "steps": order.steps,
            "min_consistency": order.min_consistency,
            "allow_ineligible": order.allow_ineligible,
            "seed": order.seed,
            "priority": order.priority,
            "events": [
                {"at": _iso(at), "event": event, "detail": detail}
                for at, event, detail in row.events
            ],
        }
    return data


def delivery_json(row: DeliveryRow) -> dict[str, Any]:
    """One delivery as plain data; ``next_at`` is null unless it waits."""
    return {"number": row.delivery.id, "job": row.delivery.job_key} | _delivery_json(row)


def deliveries_table(rows: Sequence[DeliveryRow]) -> Table:
    """Deliveries, one a line."""
    table = _table(
        "Number",
        "Job",
        "Destination",
        "State",
        "Stored",
        "Attempts",
        "Next attempt",
        "Last error",
    )
    for row in rows:
        delivery = row.delivery
        table.add_row(
            str(delivery.id),
            delivery.job_key[:KEY_LENGTH],
            delivery.destination,
            _word(delivery.state.value),
            f"{row.stored}/{row.instances}",
            str(delivery.attempts),
            _local(delivery.not_before) if _waits(row) else "",
            delivery.last_error,
        )
    return table


def _delivery_json(row: DeliveryRow) -> dict[str, Any]:
    delivery = row.delivery
    return {
        "destination": delivery.destination,
        "form": delivery.form.value,
        "state": delivery.state.value,
        "attempts": delivery.attempts,
        "failures": delivery.failures,
        "next_at": _iso(delivery.not_before) if _waits(row) else None,
        "last_error": delivery.last_error,
        "instances": row.instances,
        "stored": row.stored,
    }


def image_json(row: ImageRow) -> dict[str, Any]:
    """One received image as plain data; ``decision`` is null until it is planned."""
    decision = row.decision
    return {
        "sop_instance_uid": row.image.sop_instance_uid,
        "state": row.state.value,
        "decision": decision.decided_as.value if decision else None,
        "route": (decision.route or None) if decision else None,
        "reason": decision.reason if decision else "waiting to be planned",
        "version": decision.version if decision else None,
        "sop_class_uid": row.image.sop_class_uid,
        "calling_ae_title": row.image.calling_ae_title,
        "digest": row.image.digest,
        "received_at": _iso(row.received_at),
    }


def jobs_table(rows: Sequence[JobRow]) -> Table:
    """Jobs, one a line."""
    table = _table("Job", "State", "Route", "Source", "Views", "Deliveries", "Updated")
    for row in rows:
        job = row.job
        table.add_row(
            job.key[:KEY_LENGTH],
            _word(job.state.value),
            job.order.route,
            job.source_sop_instance_uid,
            str(len(job.order.views)),
            Text("\n").join([_delivery_line(each) for each in row.deliveries]),
            _local(job.updated_at),
        )
    return table


def job_details(row: JobRow) -> list[RenderableType]:
    """One job at length: what it is, where it goes, what happened to it."""
    job, order = row.job, row.job.order
    facts = Table.grid(padding=(0, 2))
    for name, value in (
        ("job", str(job.key)),
        ("state", _word(job.state.value)),
        ("route", order.route),
        ("source", job.source_sop_instance_uid),
        ("sent by", job.calling_ae_title),
        ("model", f"{order.model} ({order.weights_digest[:KEY_LENGTH]})"),
        ("views", ", ".join(view.label for view in order.views)),
        ("attempts", str(job.attempts)),
        ("last error", job.last_error or "none"),
    ):
        facts.add_row(Text(name, style="dim"), value)
    deliveries = _table(
        "Destination", "Form", "State", "Stored", "Attempts", "Next attempt", "Last error"
    )
    for each in row.deliveries:
        deliveries.add_row(
            each.delivery.destination,
            each.delivery.form.value,
            _word(each.delivery.state.value),
            f"{each.stored}/{each.instances}",
            str(each.delivery.attempts),
            _local(each.delivery.not_before) if _waits(each) else "",
            each.delivery.last_error,
        )
    events = _table("When", "Event", "Detail")
    for at, event, detail in row.events:
        events.add_row(_local(at), event, detail)
    return [facts, *([deliveries] if row.deliveries else []), *([events] if row.events else [])]


def images_table(rows: Sequence[ImageRow]) -> Table:
    """Received images, one a line."""
    table = _table("Image", "From", "Received", "State", "Route", "Reason")
    for row in rows:
        data = image_json(row)
        table.add_row(
            row.image.sop_instance_uid,
            row.image.calling_ae_title,
            _local(row.received_at),
            _word(row.state.value),
            data["route"] or "",
            data["reason"],
        )
    return table


def inspected_table(inspected: Inspected) -> Table:
    """Every term of every route that was asked about one file."""
    table = _table("", "Route", "Where", "Term", "Value in the image")
    for term in inspected.decision.terms:
        mark = Text("yes", style="green") if term.holds else Text("no", style="red")
        table.add_row(mark, term.route, term.path, term.text, term.actual or "(absent)")
    return table


def decision_line(inspected: Inspected) -> Text:
    """One line of what becomes of a file."""
    line = Text(f"{inspected.path}: ")
    line.append_text(_word(inspected.decided_as.value))
    if inspected.route:
        line.append(f" by {inspected.route}")
    return line


def _delivery_line(row: DeliveryRow) -> Text:
    line = Text(f"{row.delivery.destination} ")
    line.append_text(_word(row.delivery.state.value))
    return line.append(f" {row.stored}/{row.instances}")


def _waits(row: DeliveryRow) -> bool:
    return row.delivery.state is DeliveryState.PENDING


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(Text(column), overflow="fold")
    return table


def _word(word: str) -> Text:
    return Text(word, style=_STYLES.get(word, ""))


def _iso(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds")


def _local(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s).astimezone().strftime("%Y-%m-%d %H:%M:%S")
