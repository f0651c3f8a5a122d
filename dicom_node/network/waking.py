"""Associations of callers that sleep until there is something to do.

pynetdicom looks a thousand times a second, in both threads of every association, whether something
has come: ten callers that say nothing take half a processor. Here its two loops sleep in the places
where they look, and whatever brings news wakes them.
"""

from __future__ import annotations

import contextlib
import os
import queue
import select
import threading
import weakref
from typing import TYPE_CHECKING, Any, Final

from dicom_node.network.pausing import Checkpoint, pause_surely

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from pynetdicom.association import Association

__all__ = ["Doorbell", "sleep_until_news"]

LONGEST_S: Final = 0.25
"""Longest sleep: timers, and what ends without a word, are looked after this often."""


class Doorbell:
    """Wakes who waits for a socket, from another thread."""

    def __init__(self) -> None:
        self._descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._lock = threading.Lock()
        self._release = weakref.finalize(self, os.close, self._descriptor)

    def ring(self) -> None:
        """End the wait that is going on, or else the next one at once."""
        with self._lock:
            if self._release.alive:
                os.eventfd_write(self._descriptor, 1)

    def wait_beside(self, sock: socket.socket) -> None:
        """Until a socket has something to read, the bell rings, or it becomes too long."""
        poll = select.poll()
        # Closed meanwhile, there is nothing to wait for; its number may even be another's by now.
        with contextlib.suppress(OSError, ValueError):
            poll.register(sock, select.POLLIN)
            poll.register(self._descriptor, select.POLLIN)
            poll.poll(LONGEST_S * 1000.0)
        with self._lock, contextlib.suppress(BlockingIOError):  # it did not ring
            if self._release.alive:
                os.eventfd_read(self._descriptor)

    def close(self) -> None:
        """No more rings. May be called more than once."""
        with self._lock:
            self._release()


class _Telling(queue.Queue[Any]):
    """A queue that tells when something was put in."""

    def __init__(self, tell: Callable[[], None]) -> None:
        super().__init__()
        self._tell = tell

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        super().put(item, block, timeout)
        self._tell()


class _Checkpoint(Checkpoint):
    """One at which the thread sleeps while nothing is new."""

    def __init__(self, association: Association) -> None:
        super().__init__(association)
        self.news = threading.Event()

    def set(self) -> None:
        super().set()
        self.news.set()

    def call(self) -> None:
        self.news.set()

    def wait(self, timeout: float | None = None) -> bool:
        association = self._association
        if association.dimse.msg_queue.empty() and association.dul.to_user_queue.empty():
            self.news.wait(LONGEST_S)
        self.news.clear()  # before the queues are looked into, so nothing is overheard
        return super().wait(timeout)


def sleep_until_news(association: Association, doorbell: Doorbell) -> None:
    """Let the threads of an association sleep; to be called before they are started.

    Args:
        association: Of a caller.
        doorbell: Of its socket, beside which the thread that reads and writes waits.
    """
    checkpoint = _Checkpoint(association)
    pause_surely(association, checkpoint)
    association.dimse.msg_queue = _Telling(checkpoint.news.set)
    association.dul.to_user_queue = _Telling(checkpoint.news.set)
    association.dul.to_provider_queue = _Telling(doorbell.ring)
