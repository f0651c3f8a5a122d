"""How the parts of a node are, tried in the background while somebody looks: once a minute, more
often while something is wrong.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from dicom_node.console.parts import Part
from dicom_node.domain.errors import NodeError, describe
from dicom_node.monitoring.health import Beating, engine_answers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dicom_node.bootstrap import Node
    from dicom_node.domain.routes import Destination

__all__ = ["Pulse"]

_TRIED_EVERY_S: Final = 60.0
_SOONER_S: Final = 10.0
"""Where something was wrong: whoever puts it right is to see that it is."""

_SOON_S: Final = 30 * 86400.0


class Pulse:
    """Asks engines for a heartbeat, which starts those that ended, and destinations for an echo;
    nobody who looks waits for it.
    """

    def __init__(self, node: Node, destinations: Callable[[], Sequence[Destination]]) -> None:
        self._node = node
        self._destinations = destinations
        self._lock = threading.Lock()
        self._parts: tuple[Part, ...] = ()
        self._tried_at: float | None = None
        self._busy = False

    def parts(self) -> tuple[Part, ...]:
        """As they were found last; a new trial begins when that is too long ago."""
        now = self._node.clock()
        with self._lock:
            wait_s = _SOONER_S if any(part.problem for part in self._parts) else _TRIED_EVERY_S
            due = self._tried_at is None or abs(now - self._tried_at) >= wait_s
            if due and not self._busy and not self._node.stopping.is_set():
                self._busy, self._tried_at = True, now
                threading.Thread(target=self._try, name="pulse", daemon=True).start()
            return self._parts

    def _try(self) -> None:
        try:
            found = [*self._engines(), *self._certificates()]
            found += [self._echo(each) for each in self._destinations()]
            with self._lock:
                self._parts = tuple(found)
        finally:
            with self._lock:
                self._busy = False

    def _engines(self) -> list[Part]:
        now, found = self._node.clock(), []
        for number, engine in enumerate(self._node.engines, start=1):
            problem = ""
            if isinstance(engine, Beating):
                try:
                    engine_answers(engine)()
                except NodeError as error:
                    problem = describe(error)
            found.append(Part(name=f"engine {number}", problem=problem, at=now))
        return found

    def _certificates(self) -> list[Part]:
        now, found = self._node.clock(), []
        for where, ends_at in self._node.certificates.ends():
            left = ends_at - now
            found.append(
                Part(
                    name=f"certificate {where}",
                    problem="it has ended" if left <= 0 else "",
                    words=f"ends in {left / 86400:.0f} days",
                    at=now,
                    warns=left < _SOON_S,
                )
            )
        return found

    def _echo(self, destination: Destination) -> Part:
        name, problem, words = f"destination {destination.name}", "", ""
        try:
            seconds = self._node.client.echo(destination)
            words = f"answered in {seconds * 1000:.0f} ms"
        except NodeError as error:
            problem = describe(error)
        return Part(name=name, problem=problem, words=words, at=self._node.clock())
