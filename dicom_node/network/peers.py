"""Who may open an association: by AE title, address and certificate."""

from __future__ import annotations

import hmac
import ipaddress
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import structlog

from dicom_node.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from dicom_node.domain.routes import Peer

__all__ = ["NotAPeer", "PeerList", "Resolve", "Subject", "resolve_host", "within"]

_log = structlog.get_logger(__name__)

Subject = tuple[tuple[str, str], ...]
"""Attributes of a certificate's subject, in order."""

Resolve = Callable[[str], frozenset[str]]
"""A host name or address to its addresses; empty when it has none."""


class NotAPeer(StrEnum):
    """Why a caller is let in by no entry of the list."""

    UNKNOWN = "no peer has this AE title and address"
    WITHOUT_TLS = "this peer must call over TLS"
    OTHER_CERTIFICATE = "the certificate is not the one of this peer"
    NO_TOKEN = "the request bears no token"
    OTHER_TOKEN = "no peer with this address has this token"


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

    def find(self, ae_title: str, address: str, subject: Subject | None = None) -> Peer | NotAPeer:
        """The first peer that this caller is, or why it is none.

        Args:
            ae_title: Calling AE title; leading and trailing spaces do not count (PS3.5 6.2).
            address: IPv4 or IPv6, as the socket says.
            subject: Of its certificate; None when it calls without TLS.
        """
        wanted = ae_title.strip()
        same = [peer for peer in self.peers if peer.ae_title.strip() == wanted]
        return self._secured(same, address, subject, NotAPeer.UNKNOWN)

    def find_bearer(
        self, token: str, address: str, subject: Subject | None = None, *, name: str = ""
    ) -> Peer | NotAPeer:
        """The first peer that this caller over HTTP is, or why it is none.

        Args:
            token: It bears.
            address: IPv4 or IPv6.
            subject: Of its certificate, empty when it showed none; None when it calls without TLS.
            name: Of the peer it says it is; empty when it does not say.
        """
        if not token:
            return NotAPeer.NO_TOKEN
        # All tokens are compared, however early one is found, and in constant time each.
        same = [peer for peer in self.peers if _bears(peer, token) and name in ("", peer.name)]
        return self._secured(same, address, subject, NotAPeer.OTHER_TOKEN)

    def _secured(
        self, peers: Sequence[Peer], address: str, subject: Subject | None, otherwise: NotAPeer
    ) -> Peer | NotAPeer:
        here, why = _canonical(address), otherwise
        for peer in peers:
            if not self._comes_from(peer.host, here):
                continue
            if peer.require_tls and subject is None:
                why = NotAPeer.WITHOUT_TLS
            elif not set(peer.subject) <= set(subject or ()):
                why = NotAPeer.OTHER_CERTIFICATE
            else:
                return peer
        return why

    def _comes_from(self, host: str | None, here: str) -> bool:
        if host is None:
            return True
        if "/" in host:
            return within(here, host)
        return _canonical(host) == here or here in {
            _canonical(address) for address in self.resolve(host)
        }


def _bears(peer: Peer, token: str) -> bool:
    try:
        known = "" if peer.token is None else peer.token()
    except ConfigurationError as error:
        _log.warning("the token of a peer cannot be read", peer=peer.name, reason=str(error))
        return False
    return bool(known) and hmac.compare_digest(known.encode(), token.encode())


def within(address: str, network: str) -> bool:
    """Whether an address is one of a network (CIDR), or is that one address."""
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(network)
    except ValueError:
        return False


def _canonical(address: str) -> str:
    """One text per address: an IPv4 address that came in over IPv6 is that IPv4 address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    mapped = getattr(parsed, "ipv4_mapped", None)
    return str(mapped or parsed)
