"""What a node does by the clock: recovery, retention, a look at the disk."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from dicom_node.domain.errors import describe

if TYPE_CHECKING:
    from collections.abc import Callable

    from dicom_node.bootstrap import Node

__all__ = [
    "CERTIFICATES_EVERY_S",
    "RECOVER_EVERY_S",
    "RETAIN_EVERY_S",
    "SWEEP_EVERY_S",
    "WATERMARK_EVERY_S",
    "Every",
    "Watermark",
    "keep_time",
    "schedule",
]

RECOVER_EVERY_S: Final = 30
RETAIN_EVERY_S: Final = 3600
SWEEP_EVERY_S: Final = 1800
WATERMARK_EVERY_S: Final = 60
CERTIFICATES_EVERY_S: Final = 24 * 3600

_log = structlog.get_logger(__name__)


class Watermark:
    """Tells in the log when the disk becomes too full to receive, and when it no longer is."""

    def __init__(self, free_bytes: Callable[[], int], min_free_bytes: int) -> None:
        self._free_bytes = free_bytes
        self._min_free_bytes = min_free_bytes
        self.low = False

    def run_once(self, now: float) -> bool:
        """Look; whether it changed."""
        free = self._free_bytes()
        low = free < self._min_free_bytes
        changed, self.low = low != self.low, low
        if changed and low:
            _log.warning(
                "the disk is too full: images are refused until there is room",
                free_bytes=free,
                min_free_bytes=self._min_free_bytes,
            )
        elif changed:
            _log.info("the disk has room again", free_bytes=free)
        return changed


class Every(BaseTrigger):  # type: ignore[misc]
    """So long after it was last due, seen from now.

    The library's own trigger goes through every time that was passed over, one by one: a clock that
    jumps from 1970 to today has sixty million of them, which take minutes and gigabytes.

    Args:
        seconds: From one time to the next.
    """

    def __init__(self, seconds: float) -> None:
        self.interval = timedelta(seconds=seconds)

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """As of the library."""
        return now + self.interval


def schedule(node: Node) -> BackgroundScheduler:
    """A scheduler with the periodic work of a node, not started."""
    scheduler = BackgroundScheduler(timezone="UTC", daemon=True)
    watermark = Watermark(node.spool.free_bytes, node.settings.retention.min_free_bytes)
    for name, run_once, every_s in (
        ("recovering", node.recovering.run_once, RECOVER_EVERY_S),
        ("sweeping", node.recovering.sweep, SWEEP_EVERY_S),
        ("retaining", _until_idle(node.retaining.run_once, node), RETAIN_EVERY_S),
        ("watermark", watermark.run_once, WATERMARK_EVERY_S),
        ("certificates", node.certificates.run_once, CERTIFICATES_EVERY_S),
    ):
        scheduler.add_job(
            _guarded(name, run_once, node),
            Every(every_s),
            id=name,
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,  # late is better than never
        )
    return scheduler


def keep_time(scheduler: BackgroundScheduler) -> bool:
    """Run now what waits for longer than it ever should; whether there was any.

    The scheduler goes by the clock of the machine. When that is set back, what was to be done in a
    minute is to be done a minute after the time at which it was set back: in a day, or a year.
    """
    now, late = datetime.now(UTC), False
    for job in scheduler.get_jobs() if scheduler.running else ():
        if job.next_run_time - now > job.trigger.interval:
            job.modify(next_run_time=now)
            late = True
    return late


def _until_idle(run_once: Callable[[float], bool], node: Node) -> Callable[[float], bool]:
    def run(now: float) -> bool:
        did = False
        while not node.stopping.is_set() and run_once(now):
            did = True
        return did

    return run


def _guarded(name: str, run_once: Callable[[float], bool], node: Node) -> Callable[[], None]:
    def run() -> None:
        if node.stopping.is_set():
            return
        try:
            run_once(node.clock())
        except Exception as error:  # noqa: BLE001 - service boundary: the next turn comes
            _log.error("periodic work failed", service=name, reason=describe(error))

    return run
