"""Today."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Request

from dicom_node.console.pages import page
from dicom_node.console.registry import Entry, Section
from dicom_node.console.security.guard import Somebody
from dicom_node.console.today.charts import HEIGHT, WIDTH, bars
from dicom_node.console.today.standing import NOT_SENT, is_slow, lanes, troubles
from dicom_node.domain.deliveries import DeliveryState
from dicom_node.domain.jobs import JobState

if TYPE_CHECKING:
    from fastapi.responses import HTMLResponse

    from dicom_node.console.parts import Parts

__all__ = ["SECTION", "figures"]

router = APIRouter()

_HOURS: Final = 12
_STEP_S: Final = 900.0


@router.get("/")
def today(request: Request, who: Somebody) -> HTMLResponse:
    """The page."""
    return page(request, "today.html", title="Today", **figures(request.app.state.parts))


@router.get("/today/live")
def live(request: Request, who: Somebody) -> HTMLResponse:
    """What changes of it, which the page asks for again and again."""
    return page(request, "_today.html", title="Today", **figures(request.app.state.parts))


def figures(parts: Parts) -> dict[str, Any]:
    """All that the page shows."""
    now = parts.clock()
    queues, tried = parts.ledger.queues(), parts.health()
    names = [each.name for each in parts.facts.destinations]
    found = lanes(names, tried, queues, parts.found.last_sends())
    free = parts.spool.free_bytes()
    since = (now // _STEP_S - _HOURS * 3600 / _STEP_S + 1) * _STEP_S
    state_of_file = parts.desk.book.state if parts.desk is not None else None
    activity = parts.found.activity(since, _STEP_S, now)
    state = DeliveryState
    return {
        "queues": queues,
        "lanes": found,
        "tried": [part for part in tried if not part.name.startswith("destination ")],
        "free": free,
        "troubles": troubles(
            queues=queues,
            lanes=found,
            parts=tried,
            free_bytes=free,
            min_free_bytes=parts.facts.min_free_bytes,
            now=now,
            unusable=len(state_of_file.problems) if state_of_file is not None else 0,
            restart=state_of_file.restart if state_of_file is not None else (),
            failing=parts.found.failing() if is_slow(queues, now) else None,
            untaken=parts.found.untaken() if parts.desk is not None else None,
            folder=parts.facts.data_dir,
        ),
        "counts": {
            "queued": queues.jobs.get(JobState.QUEUED, 0),
            "running": queues.jobs.get(JobState.RUNNING, 0),
            "sending": sum(
                count
                for (_, which), count in queues.deliveries.items()
                if which in (state.PENDING, state.SENDING)
            ),
            "quarantined": queues.images_quarantined
            + queues.jobs.get(JobState.QUARANTINED, 0)
            + sum(lane.stuck for lane in found),
        },
        "done": bars([(each.at, float(each.finished)) for each in activity]),
        "latency": bars([(each.at, each.latency_s) for each in activity]),
        "received_total": sum(each.received for each in activity),
        "finished_total": sum(each.finished for each in activity),
        "not_sent": NOT_SENT,
        "hours": _HOURS,
        "step_s": _STEP_S,
        "width": WIDTH,
        "height": HEIGHT,
    }


SECTION: Final = Section(
    name="today", router=router, entries=(Entry(title="Today", path="/", order=10),)
)
