"""How the node is, as one sentence and a list of what to do; pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from dicom_node.console.filters import counted, seconds, size
from dicom_node.domain.accounts import Role
from dicom_node.domain.deliveries import DeliveryState
from dicom_node.domain.jobs import JobState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dicom_node.console.parts import Part
    from dicom_node.ports.console import Failing, LastSend, Untaken
    from dicom_node.ports.figures import Queues

__all__ = ["NOT_SENT", "Lane", "Link", "Trouble", "is_slow", "lanes", "troubles"]

NOT_SENT: Final = ("failed", "gave_up")
"""Events of a delivery that was not taken."""

_SLOW_S = 900.0
"""A wait after which somebody should look."""


@dataclass(frozen=True, slots=True)
class Link:
    """The way to a page.

    Attributes:
        path: Of the page.
        words: On the link.
        role: Who may see the page.
    """

    path: str
    words: str
    role: Role = Role.VIEWER


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One thing that is wrong, and what to do.

    Attributes:
        grave: It keeps the node from its work; else it will, or a person is waited for.
        words: What is wrong.
        todo: What to do.
        links: To the pages for it.
    """

    grave: bool
    words: str
    todo: str
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A destination of today."""

    name: str
    problem: str
    words: str
    tried_at: float | None
    waiting: int
    sending: int
    stuck: int
    last: LastSend | None


def lanes(
    names: Sequence[str], parts: Sequence[Part], queues: Queues, last: Mapping[str, LastSend]
) -> tuple[Lane, ...]:
    """Every destination with what waits for it and how it answered."""
    by_name = {part.name: part for part in parts}
    found = []
    for name in names:
        part = by_name.get(f"destination {name}")
        since = part is not None and _is_back(part, last.get(name))
        count = {state: queues.deliveries.get((name, state), 0) for state in DeliveryState}
        found.append(
            Lane(
                name=name,
                problem=part.problem if part and not since else "",
                words="takes what is sent" if since else part.words if part else "not asked yet",
                tried_at=part.at if part else None,
                waiting=count[DeliveryState.PENDING],
                sending=count[DeliveryState.SENDING],
                stuck=count[DeliveryState.QUARANTINED],
                last=last.get(name),
            )
        )
    return tuple(found)


def _is_back(part: Part, last: LastSend | None) -> bool:
    """Whether a delivery was taken after the trial that had no answer."""
    if last is None or part.at is None or not part.problem:
        return False
    return last.at > part.at and last.event not in NOT_SENT


def troubles(
    *,
    queues: Queues,
    lanes: Sequence[Lane],
    parts: Sequence[Part],
    free_bytes: int,
    min_free_bytes: int,
    now: float,
    unusable: int = 0,
    restart: Sequence[str] = (),
    failing: Failing | None = None,
    untaken: Untaken | None = None,
    folder: str = "",
) -> tuple[Trouble, ...]:
    """What is wrong, the gravest first; empty when the node is well.

    Args:
        queues: What waits.
        lanes: The destinations.
        parts: What was tried of the node.
        free_bytes: Of the disk.
        min_free_bytes: Below which images are refused.
        now: Unix seconds.
        unusable: Problems for which the configuration file cannot be used.
        restart: Keys it changed that wait for a restart.
        failing: The job that fails most often.
        untaken: What the newest rules do not take.
        folder: Whose disk it is.
    """
    found = [*_disk(free_bytes, min_free_bytes, folder), *_destinations(lanes), *_others(parts)]
    found += [*_file(unusable, restart), *_rules(untaken, now)]
    found += _quarantine(queues, lanes)
    found += _waits(queues, failing, now)
    return tuple(sorted(found, key=lambda each: not each.grave))


def _disk(free_bytes: int, min_free_bytes: int, folder: str) -> list[Trouble]:
    where = f"the disk of {folder}" if folder else "the data folder's disk"
    links = (Link("/routes/text", "The configuration", Role.ADMIN),)
    if free_bytes < min_free_bytes:
        return [
            Trouble(
                grave=True,
                words=f"The disk is too full: {size(free_bytes)} are free and "
                f"{size(min_free_bytes)} are needed. Images are refused, and views wait.",
                todo=f"Free space on {where}; all then goes on by itself. Or lower "
                "retention.keep_s, so that files of closed work go sooner, and restart the node.",
                links=links,
            )
        ]
    if free_bytes < 2 * min_free_bytes:
        return [
            Trouble(
                grave=False,
                words=f"The disk fills: {size(free_bytes)} are free, and below "
                f"{size(min_free_bytes)} images are refused.",
                todo=f"Free space on {where}, or lower retention.keep_s and restart the node.",
                links=links,
            )
        ]
    return []


def _destinations(lanes: Sequence[Lane]) -> list[Trouble]:
    return [
        Trouble(
            grave=True,
            words=f"Destination {lane.name} does not answer: {lane.problem}. "
            f"Waiting for it: {counted(lane.waiting + lane.sending, 'deliveries')}.",
            todo="Bring it back, or correct its address. Deliveries are kept and tried again by "
            "themselves; nothing is lost.",
            links=(
                Link(f"/jobs?destination={lane.name}", "What waits for it"),
                Link(f"/destinations/edit/{lane.name}", "Its address", Role.ADMIN),
            ),
        )
        for lane in lanes
        if lane.problem
    ]


def _others(parts: Sequence[Part]) -> list[Trouble]:
    found = []
    for part in parts:
        if part.name.startswith("destination ") or not (part.problem or part.warns):
            continue
        engine = part.name.startswith("engine")
        found.append(
            Trouble(
                grave=bool(part.problem),
                words=f"{part.name.capitalize()}: {part.problem or part.words}.",
                todo="When this stays, look at the node's log for why it ends."
                if engine
                else "Renew it; the changed file is taken up by itself.",
            )
        )
    return found


def _file(unusable: int, restart: Sequence[str]) -> list[Trouble]:
    if unusable:
        return [
            Trouble(
                grave=False,
                words="The configuration file cannot be used as it is now: "
                f"{counted(unusable, 'problems')}. The rules in force before stay.",
                todo="Correct the lines that are named, or go back to a version before.",
                links=(Link("/routes", "What is wrong with it"),),
            )
        ]
    if restart:
        return [
            Trouble(
                grave=False,
                words=f"Changed in the configuration file: {', '.join(restart)}.",
                todo="This counts after a restart of the node, all the rest does already.",
            )
        ]
    return []


def _quarantine(queues: Queues, lanes: Sequence[Lane]) -> list[Trouble]:
    counts = (
        (queues.images_quarantined, "images"),
        (queues.jobs.get(JobState.QUARANTINED, 0), "jobs"),
        (sum(lane.stuck for lane in lanes), "deliveries"),
    )
    words = ", ".join(counted(count, noun) for count, noun in counts if count)
    if not words:
        return []
    return [
        Trouble(
            grave=False,
            words=f"In quarantine, waiting for a person: {words}.",
            todo="Read the reasons, put right what they name, then release or cancel.",
            links=(Link("/quarantine", "Reasons"),),
        )
    ]


def is_slow(queues: Queues, now: float) -> bool:
    """Whether a job has waited for the engine for too long."""
    return queues.oldest_job_at is not None and now - queues.oldest_job_at >= _SLOW_S


def _waits(queues: Queues, failing: Failing | None, now: float) -> list[Trouble]:
    if queues.oldest_job_at is None or not is_slow(queues, now):
        return []
    count = queues.jobs.get(JobState.QUEUED, 0)
    found = [
        Trouble(
            grave=False,
            words=f"Waiting for the engine: {counted(count, 'jobs')}, the oldest for "
            f"{seconds(now - queues.oldest_job_at)}.",
            todo="They are worked off in turn: wait, cancel those that nobody needs, or give the "
            "engine a GPU or more workers.",
            links=(Link("/jobs?state=queued", "The queue"),),
        )
    ]
    if failing is not None:
        found.append(
            Trouble(
                grave=False,
                words=f"A job of route {failing.route} holds the others up: it failed "
                f"{counted(failing.failures, 'times')} and is tried again ({failing.last_error}).",
                todo="Cancel it, or wait: after its last attempt it is put into quarantine.",
                links=(Link(f"/jobs/{failing.key}", "That job"),),
            )
        )
    return found


def _to_the_second(at: float) -> str:
    """Local time, as the search has it."""
    return datetime.fromtimestamp(at).isoformat(timespec="seconds")


def _rules(untaken: Untaken | None, now: float) -> list[Trouble]:
    if untaken is None:
        return []
    return [
        Trouble(
            grave=False,
            words=f"No route takes any image since version {untaken.version} of the configuration "
            f"({seconds(now - untaken.at)} ago, by {untaken.author}): {untaken.images} came, and "
            "before it some were taken.",
            todo="See what it changed, and put it right or go back; then have those that were "
            "ignored decided anew.",
            links=(
                Link(f"/routes/versions/{untaken.version}", "What it changed", Role.OPERATOR),
                Link(f"/images?state=ignored&since={_to_the_second(untaken.at)}", "The images"),
            ),
        )
    ]
