"""What incoming and outgoing associations share: sizes, time-outs, and sockets that cannot hang."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pynetdicom import AE, evt

from dicom_node.network.contexts import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pynetdicom.association import Association
    from pynetdicom.events import Event, EventHandlerType

__all__ = ["MAXIMUM_PDU_BYTES", "Timeouts", "abort_all", "application_entity", "socket_guards"]

MAXIMUM_PDU_BYTES: Final = 131072
"""Largest PDU we ask peers to send: the most that DCMTK-based peers can, and eight times fewer
turns of the receiving loop than with the customary 16 KiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long to wait for a peer.

    Attributes:
        connect_s: For TCP to connect.
        acse_s: For an answer to an association or release request, and for a connected peer to
            send its request (the ARTIM timer, PS3.8 9.1.4).
        dimse_s: For the response to a message.
        network_s: For anything at all on an open association, and for the rest of a started PDU.
    """

    connect_s: float = 10.0
    acse_s: float = 15.0
    dimse_s: float = 60.0
    network_s: float = 90.0


def application_entity(ae_title: str, timeouts: Timeouts) -> AE:
    """An application entity that introduces itself as this product."""
    ae = AE(ae_title=ae_title)
    ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    ae.maximum_pdu_size = MAXIMUM_PDU_BYTES
    ae.connection_timeout = timeouts.connect_s
    ae.acse_timeout = timeouts.acse_s
    ae.dimse_timeout = timeouts.dimse_s
    ae.network_timeout = timeouts.network_s
    return ae


def socket_guards(timeouts: Timeouts) -> list[EventHandlerType]:
    """Event handlers that keep a silent or vanished peer from holding a thread for ever."""

    def guard_socket(event: Event) -> None:
        # pynetdicom reads the rest of a started PDU with a blocking recv and no limit: a peer that
        # stops in the middle would hold its thread and its place among the associations for ever.
        wrapper = event.assoc.dul.socket
        sock = wrapper.socket if wrapper is not None else None
        if sock is not None:
            sock.settimeout(timeouts.network_s)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def free_place(event: Event) -> None:
        # A connection that closes before it asks for an association (a port probe) would keep its
        # place until the ACSE time-out; "nothing came" ends the wait at once.
        association = event.assoc
        if association.is_acceptor and association.requestor.primitive is None:
            association.dul.to_user_queue.put(None)

    return [(evt.EVT_CONN_OPEN, guard_socket), (evt.EVT_CONN_CLOSE, free_place)]


def abort_all(associations: Iterable[Association], *, within_s: float = 1.0) -> None:
    """Abort associations side by side; the connection of one that does not react is cut."""
    aborting = []
    for association in associations:
        thread = threading.Thread(target=association.abort, name="abort", daemon=True)
        thread.start()
        aborting.append((association, thread))
    until = time.monotonic() + within_s
    for association, thread in aborting:
        thread.join(max(0.0, until - time.monotonic()))
        wrapper = association.dul.socket
        sock = wrapper.socket if wrapper is not None else None
        if thread.is_alive() and sock is not None:
            # It waits for the rest of a PDU, and so does the abort.
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            thread.join(within_s)
