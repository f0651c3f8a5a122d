"""Who is let in now: the list of peers, and how often and how many times at once each may come."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from dicom_node.network.peers import NotAPeer

if TYPE_CHECKING:
    from collections.abc import Callable

    from dicom_node.domain.routes import Peer
    from dicom_node.network.peers import PeerList, Subject

__all__ = ["Admission", "Caller", "Refusal"]

WINDOW_S: Final = 60.0
"""Over which what a peer may do in a minute is counted."""


class Caller(Protocol):
    """An association, as far as it counts: it holds its place for as long as it lives."""

    def is_alive(self) -> bool:
        """Whether it is still there."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a caller is not let in, and what it is told (PS3.8 Table 9-21)."""

    result: int
    source: int
    diagnostic: int
    reason: str

    @property
    def is_for_now(self) -> bool:
        """Whether the caller may come again later."""
        return self.result == _TRANSIENT


_TRANSIENT: Final = 2


def _unknown(reason: str) -> Refusal:
    # Rejected permanent, service user, calling AE title not recognised: whoever is no peer does not
    # learn how near it came.
    return Refusal(result=1, source=1, diagnostic=3, reason=reason)


def _congested(reason: str) -> Refusal:
    # Rejected transient, service provider (presentation related), temporary congestion.
    return Refusal(result=2, source=3, diagnostic=1, reason=reason)


def _full(reason: str) -> Refusal:
    # Rejected transient, service provider (presentation related), local limit exceeded.
    return Refusal(result=2, source=3, diagnostic=2, reason=reason)


class Admission:
    """Knows who is in. Safe to use from many threads.

    Args:
        peers: Who may come at all.
        now: Seconds that never go back.
    """

    def __init__(self, peers: PeerList, *, now: Callable[[], float] = time.monotonic) -> None:
        self._peers = peers
        self._now = now
        self._inside: dict[str, list[Caller]] = {}
        self._begun: dict[str, deque[float]] = {}
        self._stored: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def admit(
        self, caller: Caller, ae_title: str, address: str, subject: Subject | None
    ) -> Peer | Refusal:
        """Let a caller in, or say why not. Its place is free again when it lives no more.

        Args:
            caller: Holds the place.
            ae_title: It calls with.
            address: It calls from.
            subject: Of its certificate; None without TLS.
        """
        return self._let_in(caller, self._peers.find(ae_title, address, subject))

    def admit_bearer(
        self, caller: Caller, token: str, address: str, subject: Subject | None, *, name: str = ""
    ) -> Peer | Refusal:
        """The same for a caller over HTTP; see `PeerList.find_bearer`. A request of it counts as an
        association.
        """
        return self._let_in(caller, self._peers.find_bearer(token, address, subject, name=name))

    def _let_in(self, caller: Caller, peer: Peer | NotAPeer) -> Peer | Refusal:
        if isinstance(peer, NotAPeer):
            return _unknown(peer.value)
        with self._lock:
            if not _count(self._begun, peer.name, peer.associations_per_minute, self._now()):
                return _congested(f"{peer.name} calls too often")
            inside = [each for each in self._inside.get(peer.name, ()) if each.is_alive()]
            if peer.max_associations is not None and len(inside) >= peer.max_associations:
                return _full(f"{peer.name} has all its associations open")
            self._inside[peer.name] = [*inside, caller]
        return peer

    def replace(self, peers: PeerList) -> None:
        """From now on other peers may come. Who is inside stays, and keeps its place."""
        self._peers = peers

    def may_store(self, peer: Peer) -> bool:
        """Whether a peer may store one more image now; if so, it counts."""
        with self._lock:
            return _count(self._stored, peer.name, peer.images_per_minute, self._now())


def _count(times: dict[str, deque[float]], name: str, limit: int | None, now: float) -> bool:
    if limit is None:
        return True
    past = times.setdefault(name, deque())
    while past and past[0] <= now - WINDOW_S:
        past.popleft()
    if len(past) >= limit:
        return False
    past.append(now)
    return True
