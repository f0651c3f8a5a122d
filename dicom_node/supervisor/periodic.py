"""What a node does by the clock: recovery, retention, a look at the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog
from apscheduler.schedulers.background import BackgroundScheduler

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
    "Watermark",
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
            "interval",
            seconds=every_s,
            id=name,
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,  # late is better than never
        )
    return scheduler


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
