"""Whether the node can do its work now: each part is tried, not asked."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from dicom_node.domain.errors import CapacityError, EngineDownError, describe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Beating", "Checked", "Readiness", "engine_answers", "enough_room"]

TRY_EVERY_S: Final = 2.0
"""How often the parts are tried at most, however many ask."""

WAIT_S: Final = 20.0
"""How long one who asks waits for the trial that another one began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What came of the trial of one part; ``problem`` is empty when it works."""

    part: str
    seconds: float
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Tries the parts of a node.

    Attributes:
        parts: Name of a part -> a trial of it, which raises when it does not work.
        now: Seconds that never go back.
    """

    parts: Mapping[str, Callable[[], object]]
    now: Callable[[], float] = time.monotonic
    _kept: list[tuple[float, tuple[Checked, ...]]] = field(default_factory=list, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def check(self) -> tuple[Checked, ...]:
        """One for each part, of now or a moment ago."""
        if not self._lock.acquire(timeout=WAIT_S):
            return (Checked(part="health", seconds=WAIT_S, problem="a trial takes too long"),)
        try:
            if not self._kept or self.now() - self._kept[0][0] >= TRY_EVERY_S:
                found = tuple(self._try(part, trial) for part, trial in self.parts.items())
                self._kept[:] = [(self.now(), found)]
            return self._kept[0][1]
        finally:
            self._lock.release()

    def _try(self, part: str, trial: Callable[[], object]) -> Checked:
        began, problem = self.now(), ""
        try:
            trial()
        except Exception as error:  # noqa: BLE001 - service boundary: whatever fails is not ready
            problem = describe(error)
        return Checked(part=part, seconds=self.now() - began, problem=problem)


def enough_room(free_bytes: Callable[[], int], min_free_bytes: int) -> Callable[[], None]:
    """A trial of the disk."""

    def trial() -> None:
        free = free_bytes()
        if free < min_free_bytes:
            raise CapacityError(f"{free} bytes are free, and {min_free_bytes} are needed")

    return trial


@runtime_checkable
class Beating(Protocol):
    """An engine whose heartbeat can be asked for."""

    def heartbeat(self) -> bool:
        """Whether its process answers, or works."""
        ...

    def warm_up(self) -> object:
        """Start it in the background."""
        ...


def engine_answers(engine: Beating) -> Callable[[], None]:
    """A trial of an engine process; one that is gone is started again."""

    def trial() -> None:
        if not engine.heartbeat():
            engine.warm_up()
            raise EngineDownError("the engine process did not run; it is being started")

    return trial
