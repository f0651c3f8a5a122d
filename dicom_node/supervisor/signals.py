"""SIGTERM and SIGINT: the first asks for an orderly end, the second ends the process at once.

SIGHUP, by which other services are told to read their configuration, is only noted: that file and
the certificates are watched. To a node at a terminal it says that this is gone, and ends it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

__all__ = ["stop_on_signal"]

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

_STDIN: Final = 0

_log = structlog.get_logger(__name__)


@contextlib.contextmanager
def stop_on_signal(stop: threading.Event) -> Iterator[None]:
    """While inside, the first signal sets the event and another one ends the process at once.

    Call it from the main thread.
    """
    # A handler in Python must not touch the event: it runs inside whatever the main thread does,
    # and if that is waiting for the same event, both wait for its lock for ever; and a signal just
    # before the wait begins would not be seen before it ends. The interpreter's own handler writes
    # each signal's number to a pipe instead, and a thread reads it.
    incoming, outgoing = os.pipe()
    os.set_blocking(outgoing, False)
    noted = _SIGNALS if os.isatty(_STDIN) else (*_SIGNALS, signal.SIGHUP)
    before = {number: signal.signal(number, _noted) for number in noted}
    before_fd = signal.set_wakeup_fd(outgoing, warn_on_full_buffer=False)
    watch = threading.Thread(target=_watch, args=(incoming, stop), name="signals", daemon=True)
    watch.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before_fd)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(outgoing)
        watch.join()


def _noted(number: int, frame: FrameType | None) -> None:
    """Nothing: that there is a handler keeps the default, which kills, away."""


def _watch(incoming: int, stop: threading.Event) -> None:
    try:
        while arrived := os.read(incoming, 1):
            if arrived[0] == signal.SIGHUP:
                _log.info("SIGHUP changes nothing: configuration and certificates are watched")
            if arrived[0] not in _SIGNALS:
                continue
            if stop.is_set():
                os._exit(128 + arrived[0])
            stop.set()
    finally:
        os.close(incoming)
