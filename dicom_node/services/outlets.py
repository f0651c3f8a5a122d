"""The services of each destination, while destinations come and go."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dicom_node.domain.routes import Destination
    from dicom_node.services.committing import Committing
    from dicom_node.services.delivering import Delivering

__all__ = ["Outlet", "Outlets"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outlet:
    """What serves one destination."""

    destination: Destination
    delivering: Delivering
    committing: Committing


class Outlets:
    """Keeps one outlet a destination; a destination that is as it was keeps the one it has.

    Args:
        make: The services of a destination.
        destinations: To begin with.
    """

    def __init__(
        self, make: Callable[[Destination], Outlet], destinations: Iterable[Destination]
    ) -> None:
        self._make = make
        self._changed: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._now = tuple(make(each) for each in destinations)

    @property
    def now(self) -> tuple[Outlet, ...]:
        """The outlets of the destinations that are configured now, in order."""
        return self._now

    def listen(self, changed: Callable[[], None]) -> None:
        """Be told after every change."""
        self._changed.append(changed)

    def call_again(self, name: str) -> None:
        """Have a destination called now, when it is left alone because it gave no association."""
        for each in self._now:
            if each.destination.name == name:
                each.delivering.call_again()

    def serve(self, destinations: Iterable[Destination]) -> None:
        """Have an outlet for each of these, and for no other."""
        with self._lock:
            kept = {_reached(each.destination): each for each in self._now}
            self._now = tuple(kept.get(_reached(each)) or self._make(each) for each in destinations)
            for changed in self._changed:
                changed()


def _reached(destination: Destination) -> tuple[Destination, object]:
    """All that makes one destination another one: also where its secret stands."""
    secret = None if destination.web is None else destination.web.authorization
    return destination, getattr(secret, "args", None)
