"""The loops of the destinations: as many as there are destinations, also when those change."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import structlog

from dicom_node.supervisor.loops import ServiceLoop

if TYPE_CHECKING:
    from dicom_node.bootstrap import Node
    from dicom_node.services.outlets import Outlet

__all__ = ["OutletLoops"]

_ENDS_WITHIN_S: Final = 60.0
"""How long a loop that is retired may take to end before its association is given up as well."""

_log = structlog.get_logger(__name__)


class OutletLoops:
    """Two loops for each outlet of a node: one sends, one asks for commitment.

    Loops of a destination that was taken out, or is another one now, finish what they are at and
    end; what still waits for a destination that is gone is found as a stray by recovery.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._lock = threading.Lock()
        self._running: dict[Outlet, list[ServiceLoop]] = {}
        self._retired: list[ServiceLoop] = []
        node.outlets.listen(self.follow)

    @property
    def loops(self) -> list[ServiceLoop]:
        """Every loop that may still run."""
        with self._lock:
            self._retired = [each for each in self._retired if not each.join(0.0)]
            return [*(loop for pair in self._running.values() for loop in pair), *self._retired]

    def follow(self) -> None:
        """Start the loops of outlets that are new, retire those of outlets that are gone."""
        with self._lock:
            now = self._node.outlets.now
            for outlet in [each for each in self._running if each not in now]:
                self._retire(outlet, self._running.pop(outlet))
            if self._node.stopping.is_set():
                return
            for outlet in now:
                if outlet not in self._running:
                    self._running[outlet] = self._start(outlet)

    def _start(self, outlet: Outlet) -> list[ServiceLoop]:
        name = outlet.destination.name
        loops = []
        for kind, run_once in (
            ("delivering", outlet.delivering.run_once),
            ("committing", outlet.committing.run_once),
        ):
            loop = ServiceLoop(
                f"{kind}-{name}",
                run_once,
                clock=self._node.clock,
                wake=self._node.bell.listen(),
                stopping=self._node.stopping,
            )
            loop.start()
            loops.append(loop)
        return loops

    def _retire(self, outlet: Outlet, loops: list[ServiceLoop]) -> None:
        for loop in loops:
            loop.retire()
            self._node.bell.forget(loop.wake)
        self._retired += loops
        threading.Thread(
            target=self._part,
            args=(outlet, loops),
            name=f"retiring-{outlet.destination.name}",
            daemon=True,
        ).start()

    def _part(self, outlet: Outlet, loops: list[ServiceLoop]) -> None:
        """Release the association that was kept open, once nobody sends over it any more."""
        for loop in loops:
            loop.join(_ENDS_WITHIN_S)
        if outlet.destination.name not in {
            each.destination.name for each in self._node.outlets.now
        }:
            self._node.client.release(outlet.destination)
        _log.info("a destination is served no more as it was", destination=outlet.destination.name)
