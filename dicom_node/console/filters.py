"""How times, sizes and numbers are written."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FILTERS", "age", "clock_time", "counted", "happened", "iso", "mask", "seconds", "size"]

_STEPS: Final = ((86400 * 2, 86400, "d"), (7200, 3600, "h"), (120, 60, "min"))
_SIZES: Final = ("B", "kB", "MB", "GB", "TB")

_HAPPENED: Final = {
    "leased": "begun",
    "lease_expired": "interrupted, begins again",
    "all_stored": "all stored",
    "all_stored_no_commitment": "all stored",
    "commit_asked": "asked to commit",
    "commit_confirmed": "committed",
    "commit_timed_out": "no answer to the commitment, asked again",
    "commit_failed": "not all committed, sent again",
    "commit_unsupported": "stored; it knows no commitment",
}
"""Events whose names are those of the machinery."""


def clock_time(unix_s: float | None) -> str:
    """Local date and time to the second."""
    if unix_s is None:
        return "never"
    return datetime.fromtimestamp(unix_s).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def iso(unix_s: float) -> str:
    """ISO 8601 in UTC, for machines."""
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds")


def age(unix_s: float | None, now: float) -> str:
    """How long ago, in one unit."""
    return "never" if unix_s is None else seconds(max(0.0, now - unix_s))


def seconds(duration_s: float | None) -> str:
    """A duration in one unit."""
    if duration_s is None:
        return "–"
    for least, unit_s, unit in _STEPS:
        if duration_s >= least:
            return f"{duration_s / unit_s:.0f} {unit}"
    return f"{duration_s:.1f} s" if duration_s < 10 else f"{duration_s:.0f} s"


def size(count: float) -> str:
    """A number of bytes."""
    for unit in _SIZES[:-1]:
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} {_SIZES[-1]}"


def counted(count: int, nouns: str) -> str:
    """A number of things: ``1 job``, ``2 jobs``, ``1 delivery``."""
    if count != 1:
        return f"{count} {nouns}"
    return f"1 {nouns[:-3]}y" if nouns.endswith("ies") else f"1 {nouns.removesuffix('s')}"


def happened(event: str) -> str:
    """An event of a job or of one of its deliveries, as people say it."""
    whose, between, name = event.rpartition(": ")
    return whose + between + _HAPPENED.get(name, name.replace("_", " "))


def mask(text: str) -> str:
    """An identifier of a patient, for eyes that may not see it. Its length is hidden too."""
    return "••••••" if text else ""


FILTERS: Final[dict[str, Callable[..., str]]] = {
    "age": age,
    "clock_time": clock_time,
    "counted": counted,
    "happened": happened,
    "iso": iso,
    "seconds": seconds,
    "size": size,
}
