"""A clock that moves when it is told to."""

from __future__ import annotations


class ManualClock:
    """A `ports.Clock`."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> float:
        self.now += seconds
        return self.now
