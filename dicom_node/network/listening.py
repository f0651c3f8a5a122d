"""A listening socket that no caller can hold up: handshakes and limits, each in its own thread."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Any, Final, cast

import structlog
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from dicom_node.network.guarding import GuardedSocket, ReadLimits
from dicom_node.network.tls import failure_of
from dicom_node.network.waking import sleep_until_news

if TYPE_CHECKING:
    from collections.abc import Callable

    from pynetdicom.association import Association

    from dicom_node.network.tls import Credentials

__all__ = ["NodeServer"]

_BACKLOG: Final = 128
"""Connections the system holds for us until they are accepted."""

_STRANGERS: Final = 64
"""Connections beyond the associations: room for callers that are told there is no room. Whoever
comes when that is taken too is cut off, so that threads and memory stay bounded."""

_log = structlog.get_logger(__name__)


class NodeServer(ThreadedAssociationServer):
    """pynetdicom's server, made for callers that mean no good.

    There, the TLS handshake is made by the thread that accepts connections, without a time-out, so
    one silent caller keeps everyone out; and every connection gets its threads, however many.

    Args:
        credentials: For TLS; None for plain connections.
        max_associations: Served at one time.
        limits: Of what a caller may send, and for how long.
        on_handshake_failure: Called with the address of the caller and the reason.
        on_drop: The same, when it goes over a limit.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = _BACKLOG

    def __init__(
        self,
        *args: Any,
        credentials: Credentials | None,
        max_associations: int,
        limits: ReadLimits,
        on_drop: Callable[[str, str], None],
        on_handshake_failure: Callable[[str, str], None],
        **kwargs: Any,
    ) -> None:
        self._credentials = credentials
        self.limits = limits
        self.on_drop = on_drop
        self._connections_at_most = max_associations + _STRANGERS
        self._on_handshake_failure = on_handshake_failure
        self._handshaking = 0
        self._lock = threading.Lock()
        kwargs["request_handler"] = _GuardingHandler
        super().__init__(*args, **kwargs)

    @property
    def listening_port(self) -> int:
        """The port it listens on."""
        return int(self.server_address[1])

    @property
    def open_associations(self) -> list[Association]:
        """Callers that are connected."""
        return self.active_associations

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether there is room for one more connection; called before it gets a thread."""
        with self._lock:
            connections = len(self.active_associations) + self._handshaking
            fits = connections < self._connections_at_most
            self._handshaking += fits
        if not fits:
            _log.warning(
                "a connection is cut off: there are too many", address=str(client_address[0])
            )
        return fits

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a connection its thread."""
        try:
            super().process_request(request, client_address)
        except BaseException:
            with self._lock:
                self._handshaking -= 1
            raise

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Secure a connection and make it an association; in a thread of its own."""
        try:
            secured = self._secured(request, client_address)
            if secured is not None:
                super().finish_request(secured, client_address)
        finally:
            with self._lock:
                self._handshaking -= 1

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke before it was an association."""
        _log.warning("a connection broke", address=str(client_address[0]), exc_info=True)

    def _secured(self, request: socket.socket, client_address: Any) -> socket.socket | None:
        if self._credentials is None:
            return request
        request.settimeout(self.limits.request_s)
        try:
            secured = self._credentials.context().wrap_socket(
                request, server_side=True, do_handshake_on_connect=False
            )
        except OSError:  # it went before we looked
            self.shutdown_request(request)
            return None
        try:
            # The time-out is one for the whole handshake, not for each of its steps.
            secured.do_handshake()
        except OSError as error:
            self._on_handshake_failure(str(client_address[0]), failure_of(error))
            with contextlib.suppress(OSError):
                secured.close()
            return None
        return cast("socket.socket", secured)


class _GuardingHandler(RequestHandler):
    """Makes an association whose socket keeps within the limits."""

    def _create_association(self) -> Association:
        association = super()._create_association()
        server = cast("NodeServer", self.server)
        address = str(self.client_address[0])
        association.dul.event_queue.get_nowait()  # the guarded socket tells of the connection again
        guarded = GuardedSocket(
            association,
            self.request,
            limits=server.limits,
            on_drop=lambda reason: server.on_drop(address, reason),
        )
        association.dul.socket = guarded
        sleep_until_news(association, guarded.doorbell)
        return association
