"""A service in a thread: run it while it finds something to do, wait when it does not."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import structlog

from dicom_node.domain.errors import describe
from dicom_node.domain.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

    from dicom_node.ports import Clock

__all__ = ["IDLE_S", "ServiceLoop"]

IDLE_S: Final = 1.0
"""Longest sleep of a loop that nobody wakes: work that becomes due by time starts this late."""

_AFTER_FAILURE: Final = RetryPolicy(first_s=1.0, factor=2.0, max_s=30.0, attempts=2**63)

_log = structlog.get_logger(__name__)


class ServiceLoop:
    """Runs one service until it is told to stop; whatever the service raises, it goes on."""

    def __init__(
        self,
        name: str,
        run_once: Callable[[float], bool],
        *,
        clock: Clock,
        wake: threading.Event,
        stopping: threading.Event,
        after_failure: RetryPolicy = _AFTER_FAILURE,
    ) -> None:
        """Take the parts; `start` starts the thread.

        Args:
            name: Of the thread and in the log.
            run_once: The service; True when it did something.
            clock: Unix seconds it is given.
            wake: Set by others when there may be something to do.
            stopping: Once set, the loop ends after the current turn. Whoever sets it also wakes.
            after_failure: Wait after so many failures in a row.
        """
        self.name = name
        self._run_once = run_once
        self._clock = clock
        self._wake = wake
        self._stopping = stopping
        self._after_failure = after_failure
        self._retired = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def wake(self) -> threading.Event:
        """What ends its sleep."""
        return self._wake

    @property
    def started(self) -> bool:
        """Whether it was started."""
        return self._thread.ident is not None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def retire(self) -> None:
        """End after the current turn, though the node goes on."""
        self._retired.set()
        self._wake.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for its end; whether it ended."""
        self._thread.join(max(0.0, timeout_s))
        return not self._thread.is_alive()

    def _run(self) -> None:
        failures = 0
        while not self._ends():
            self._wake.clear()
            if self._ends():  # said between the two lines above
                return
            try:
                busy = self._run_once(self._clock())
            except Exception as error:  # noqa: BLE001 - service loop boundary: the service goes on
                failures += 1
                wait_s = self._after_failure.delay_s(failures) or 0.0
                _log.error(
                    "a service failed and goes on after a wait",
                    service=self.name,
                    reason=describe(error),
                    in_a_row=failures,
                    wait_s=wait_s,
                )
                self._stopping.wait(wait_s)
                continue
            failures = 0
            if not busy and not self._ends():
                self._wake.wait(IDLE_S)

    def _ends(self) -> bool:
        return self._stopping.is_set() or self._retired.is_set()
