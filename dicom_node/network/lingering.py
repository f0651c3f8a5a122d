"""How long to stay for a report on storage commitment, by where a destination has reported before.

Some archives report on the association on which they were asked, if it stays open for a moment;
others call back, some at once and some after hours. Staying for those would take seconds of every
request, and deliveries would come faster than they are asked about.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from dicom_node.domain.routes import Destination

__all__ = ["Lingering"]

_ASKED_AT_MOST: Final = 10_000
"""Transactions that are remembered until their report."""

_WORTH: Final = 4
"""For so many requests a report from elsewhere lets us not stay. An archive that has changed its
ways is stayed for again after that."""

_WORTH_AT_MOST: Final = 100

_Where = tuple[str, int, str]


class Lingering:
    """For many threads.

    Args:
        stay_s: How long to stay where nothing is known.
    """

    def __init__(self, stay_s: float) -> None:
        self._stay_s = stay_s
        self._lock = threading.Lock()
        self._asked: OrderedDict[str, tuple[_Where, threading.Event]] = OrderedDict()
        self._spare: dict[_Where, int] = {}

    def begin(
        self, transaction_uid: str, destination: Destination
    ) -> tuple[threading.Event, float]:
        """Before a request goes out: what is set by its report, and how long to stay for that."""
        where, heard = _where(destination), threading.Event()
        with self._lock:
            self._asked[transaction_uid] = where, heard
            if len(self._asked) > _ASKED_AT_MOST:
                self._asked.popitem(last=False)
            spare = self._spare.get(where, 0)
            if not spare:
                return heard, self._stay_s
            self._spare[where] = spare - 1
        return heard, 0.0

    def heard(self, transaction_uid: str, *, called_back: bool) -> None:
        """A report came: on the association of the request, or on another one."""
        with self._lock:
            where, heard = self._asked.pop(transaction_uid, (None, None))
            if where is None or heard is None:
                return
            spare = self._spare.get(where, 0) + _WORTH
            self._spare[where] = min(spare, _WORTH_AT_MOST) if called_back else 0
        heard.set()


def _where(destination: Destination) -> _Where:
    return destination.host, destination.port, destination.ae_title
