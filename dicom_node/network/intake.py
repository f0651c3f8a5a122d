"""How much of what callers send is in memory at one time, all of them together."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Intake"]

_LOOK_S = 1.0


class Intake:
    """Bytes that are held for callers. Who would go beyond the limit waits, unread, until others
    are done; the sender feels it as a slow network. Safe to use from many threads.

    The one that has held something for longest never waits, so somebody always gets on, and no
    more than the limit and one message is ever held.

    Args:
        bytes_at_most: The limit.
        now: Seconds that never go back.
    """

    def __init__(self, bytes_at_most: int, *, now: Callable[[], float] = time.monotonic) -> None:
        self._bytes_at_most = bytes_at_most
        self._now = now
        # In the order in which they began; a caller that is no more holds nothing.
        self._held: WeakKeyDictionary[object, int] = WeakKeyDictionary()
        self._changed = threading.Condition()

    @property
    def held_bytes(self) -> int:
        """What is held now."""
        with self._changed:
            return sum(self._held.values())

    def take(self, holder: object, nr_bytes: int, *, within_s: float) -> bool:
        """Hold more for a caller, as soon as there is room; False when there was none in time."""
        until = self._now() + within_s
        with self._changed:
            while not self._fits(holder, nr_bytes):
                left_s = until - self._now()
                if left_s <= 0:
                    return False
                self._changed.wait(min(left_s, _LOOK_S))
            self._held[holder] = self._held.get(holder, 0) + nr_bytes
        return True

    def keep(self, holder: object, nr_bytes: int = 0) -> None:
        """Hold only so much for a caller from now on; without anything it loses its turn."""
        with self._changed:
            if nr_bytes:
                self._held[holder] = nr_bytes
            else:
                self._held.pop(holder, None)
            self._changed.notify_all()

    def _fits(self, holder: object, nr_bytes: int) -> bool:
        first = next(iter(self._held), holder)
        return holder is first or sum(self._held.values()) + nr_bytes <= self._bytes_at_most
