"""How the node is, as one sentence and a list of what to do; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dicom_node.console.filters import counted, seconds, size
from dicom_node.domain.deliveries import DeliveryState
from dicom_node.domain.jobs import JobState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dicom_node.console.parts import Part
    from dicom_node.ports.console import LastSend
    from dicom_node.ports.figures import Queues

__all__ = ["Lane", "Trouble", "lanes", "troubles"]

_SLOW_S = 900.0
"""A wait after which somebody should look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One thing that is wrong, and what to do.

    Attributes:
        grave: It keeps the node from its work; else it will, or a person is waited for.
        words: What is wrong.
        todo: What to do.
        path: Of the page for it; empty: none of the console's.
        link: Words of the link.
    """

    grave: bool
    words: str
    todo: str
    path: str = ""
    link: str = ""


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
        count = {state: queues.deliveries.get((name, state), 0) for state in DeliveryState}
        found.append(
            Lane(
                name=name,
                problem=part.problem if part else "",
                words=part.words if part else "not asked yet",
                tried_at=part.at if part else None,
                waiting=count[DeliveryState.PENDING],
                sending=count[DeliveryState.SENDING],
                stuck=count[DeliveryState.QUARANTINED],
                last=last.get(name),
            )
        )
    return tuple(found)


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
    """
    found = [*_disk(free_bytes, min_free_bytes), *_destinations(lanes), *_others(parts)]
    found += _file(unusable, restart)
    found += _quarantine(queues, lanes)
    found += _waits(queues, now)
    return tuple(sorted(found, key=lambda each: not each.grave))


def _disk(free_bytes: int, min_free_bytes: int) -> list[Trouble]:
    if free_bytes < min_free_bytes:
        return [
            Trouble(
                grave=True,
                words=f"The disk is too full: {size(free_bytes)} are free and "
                f"{size(min_free_bytes)} are needed. Images are refused.",
                todo="Free space on the data folder's disk, or lower retention.keep_s so that "
                "files of closed work go sooner. Receiving goes on by itself once there is room.",
            )
        ]
    if free_bytes < 2 * min_free_bytes:
        return [
            Trouble(
                grave=False,
                words=f"The disk fills: {size(free_bytes)} are free, and below "
                f"{size(min_free_bytes)} images are refused.",
                todo="Free space on the data folder's disk, or lower retention.keep_s.",
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
            path=f"/jobs?destination={lane.name}",
            link="What waits for it",
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
                todo="It is started again by itself; when this stays, look at the node's log for "
                "why it ends."
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
                path="/routes",
                link="What is wrong with it",
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
            path="/quarantine",
            link="Reasons",
        )
    ]


def _waits(queues: Queues, now: float) -> list[Trouble]:
    oldest = queues.oldest_job_at
    if oldest is None or now - oldest < _SLOW_S:
        return []
    count = queues.jobs.get(JobState.QUEUED, 0)
    return [
        Trouble(
            grave=False,
            words=f"Waiting for the engine: {counted(count, 'jobs')}, the oldest for "
            f"{seconds(now - oldest)}.",
            todo="Look whether one job fails again and again; else give the engine a GPU or more "
            "workers, or wait.",
            path="/jobs?state=queued",
            link="The queue",
        )
    ]
