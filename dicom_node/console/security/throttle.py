"""How often somebody may fail to log in."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from typing import Final

__all__ = ["Throttle"]

_NAMES: Final = 10_000
"""Most accounts and addresses that are remembered; the longest quiet ones are forgotten first."""


class Throttle:
    """Counts failures by account and by address over a minute. Safe for many threads.

    It lives in memory: a restart forgets, and each node of several counts by itself.

    Args:
        at_most: Failures within the time.
        within_s: The time.
    """

    def __init__(self, at_most: int, *, within_s: float = 60.0) -> None:
        self._at_most = at_most
        self._within_s = within_s
        self._lock = threading.Lock()
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_s(self, *names: str, now: float) -> float:
        """Seconds until these may try again; 0 when they may now."""
        with self._lock:
            return max((self._wait_s(name, now) for name in names), default=0.0)

    def failed(self, *names: str, now: float) -> None:
        """They failed."""
        with self._lock:
            for name in names:
                times = self._failed.setdefault(name, deque(maxlen=self._at_most))
                times.append(now)
                self._failed.move_to_end(name)
            while len(self._failed) > _NAMES:
                self._failed.popitem(last=False)

    def succeeded(self, *names: str) -> None:
        """They got in: what they failed before is forgotten."""
        with self._lock:
            for name in names:
                self._failed.pop(name, None)

    def _wait_s(self, name: str, now: float) -> float:
        times = self._failed.get(name)
        if times is None or len(times) < self._at_most:
            return 0.0
        # A clock that was set back must not lock anybody out for longer than the time.
        return min(self._within_s, max(0.0, times[0] + self._within_s - now))
