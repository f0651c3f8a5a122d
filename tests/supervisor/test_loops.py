from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from dicom_node.domain.retry import RetryPolicy
from dicom_node.supervisor.loops import ServiceLoop

AT_ONCE = RetryPolicy(first_s=1e-3, factor=1.0, max_s=1e-3, attempts=10**9)


class Loop:
    """A loop over a function, with everything it needs."""

    def __init__(self, run_once: Callable[[float], bool]) -> None:
        self.wake, self.stopping = threading.Event(), threading.Event()
        self.loop = ServiceLoop(
            "service",
            run_once,
            clock=lambda: 42.0,
            wake=self.wake,
            stopping=self.stopping,
            after_failure=AT_ONCE,
        )

    def stop(self) -> None:
        self.stopping.set()
        self.wake.set()
        assert self.loop.join(5)


def test_a_busy_service_runs_again_at_once_and_with_the_time() -> None:
    seen: list[float] = []
    enough = threading.Event()

    def run_once(now: float) -> bool:
        seen.append(now)
        if len(seen) == 1000:
            enough.set()
        return True

    made = Loop(run_once)
    made.loop.start()
    assert enough.wait(5)
    made.stop()
    assert set(seen) == {42.0}


def test_an_idle_service_waits_until_it_is_woken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicom_node.supervisor.loops.IDLE_S", 60.0)
    turns = threading.Semaphore(0)

    def run_once(now: float) -> bool:
        turns.release()
        return False

    made = Loop(run_once)
    made.loop.start()
    assert turns.acquire(timeout=5)
    assert not turns.acquire(timeout=0.2)
    made.wake.set()
    assert turns.acquire(timeout=5)
    made.stop()


def test_a_wake_during_a_turn_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicom_node.supervisor.loops.IDLE_S", 60.0)
    turns = threading.Semaphore(0)
    made: Loop

    def run_once(now: float) -> bool:
        if not turns._value:
            made.wake.set()  # work arrives just after this turn looked for it
        turns.release()
        return False

    made = Loop(run_once)
    made.loop.start()
    for _ in range(2):
        assert turns.acquire(timeout=5)
    made.stop()


def test_a_service_that_raises_goes_on_and_the_log_holds_no_foreign_text(
    capfd: pytest.CaptureFixture[str],
) -> None:
    turns: list[float] = []
    again = threading.Event()

    def run_once(now: float) -> bool:
        turns.append(now)
        if len(turns) < 3:
            raise RuntimeError("Secret^Patient")
        again.set()
        return False

    made = Loop(run_once)
    made.loop.start()
    assert again.wait(5)
    made.stop()
    logged = "".join(capfd.readouterr())
    assert logged.count("a service failed") == 2
    assert "Secret" not in logged


def test_a_loop_that_was_never_started_has_not_started() -> None:
    assert not Loop(lambda now: False).loop.started
