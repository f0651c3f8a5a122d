"""Who may open an association: by AE title and address."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dicom_node.domain.routes import Peer

__all__ = ["PeerList", "Resolve", "resolve_host"]

Resolve = Callable[[str], frozenset[str]]
"""A host name or address to its addresses; empty when it has none."""


def resolve_host(host: str) -> frozenset[str]:
    """Every address of a host name, by the system's resolver; empty when it knows none."""
    try:
        entries = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return frozenset()
    return frozenset(str(entry[4][0]) for entry in entries)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerList:
    """The peers of the configuration. Nobody else is let in.

    Attributes:
        peers: As configured.
        resolve: Looks host names up anew for every association, so that a peer whose address
            changed is known without a restart.
    """

    peers: Sequence[Peer]
    resolve: Resolve = resolve_host

    def find(self, ae_title: str, address: str) -> Peer | None:
        """The first peer of this AE title that may call from this address; None when there is none.

        Args:
            ae_title: Calling AE title; leading and trailing spaces do not count (PS3.5 6.2).
            address: IPv4 or IPv6, as the socket says.
        """
        wanted = ae_title.strip()
        here = _canonical(address)
        for peer in self.peers:
            if peer.ae_title.strip() == wanted and self._comes_from(peer.host, here):
                return peer
        return None

    def _comes_from(self, host: str | None, here: str) -> bool:
        if host is None or _canonical(host) == here:
            return True
        return here in {_canonical(address) for address in self.resolve(host)}


def _canonical(address: str) -> str:
    """One text per address: an IPv4 address that came in over IPv6 is that IPv4 address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    mapped = getattr(parsed, "ipv4_mapped", None)
    return str(mapped or parsed)
