"""A server of threads that stays within bounds: so many connections, none silent for too long."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from socketserver import BaseRequestHandler, TCPServer
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from dicom_node.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BoundedServer", "Connection", "serving"]

_POLL_S: Final = 0.2
"""How often deadlines are looked at."""


class Connection:
    """One that is open.

    Attributes:
        socket: It has; another one once it is secured.
        until: When it is cut; None when something else watches it now. `time.monotonic`.
    """

    def __init__(self, sock: socket.socket, until: float | None) -> None:
        self.socket = sock
        self.until = until

    def cut(self) -> None:
        """End it, whatever its thread waits for."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)


class BoundedServer(TCPServer):
    """Gives each connection a thread, and a time until which it must have come to something.

    Args:
        host: To listen on.
        port: To listen on; 0 picks one.
        handler: Of connections.
        at_most: Connections at one time; more are turned away.
        within_s: A connection has; its handler may move that, see `Connection.until`.
        secure: Makes TLS of a socket, in the connection's thread; None of it when that failed.
    """

    allow_reuse_address = True
    request_queue_size = 16

    def __init__(
        self,
        host: str,
        port: int,
        handler: type[BaseRequestHandler],
        *,
        at_most: int,
        within_s: float,
        secure: Callable[[socket.socket, str], socket.socket | None] | None = None,
    ) -> None:
        self._at_most = at_most
        self._within_s = within_s
        self._secure = secure
        self._open: dict[socket.socket, Connection] = {}
        self._lock = threading.Lock()
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        self.address_family = family
        super().__init__(cast("tuple[str, int]", address), handler)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def connections(self) -> list[Connection]:
        """Those that are open."""
        with self._lock:
            return list(self._open.values())

    def connection(self, sock: socket.socket) -> Connection:
        """The one of a socket that a handler was given."""
        with self._lock:
            return self._open[sock]

    def turn_away(self, request: socket.socket) -> None:
        """Tell one that is too many, if there is a way to; it is closed next. Must not wait."""

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give it a thread, if there is room."""
        with self._lock:
            full = len(self._open) >= self._at_most
            if not full:
                self._open[request] = Connection(request, time.monotonic() + self._within_s)
        if full:
            self.turn_away(request)
            self.shutdown_request(request)
            return
        threading.Thread(
            target=self._serve, args=(request, client_address), name="served", daemon=True
        ).start()

    def _serve(self, request: Any, client_address: Any) -> None:
        served = request
        try:
            if self._secure is not None:
                served = self._secure(request, str(client_address[0]))
                if served is None:
                    return
                with self._lock:
                    self._open[served] = self._open.pop(request)
                    self._open[served].socket = served
            self.finish_request(served, client_address)
        except OSError:
            pass  # it went away, or was too slow
        finally:
            with self._lock:
                self._open.pop(request, None)
                self._open.pop(served, None)
            self.shutdown_request(request if served is None else served)

    def service_actions(self) -> None:
        """Cut who takes too long."""
        now = time.monotonic()
        for each in self.connections():
            if each.until is not None and each.until < now:
                each.cut()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: it has no place in the log."""


_Server = TypeVar("_Server", bound=BoundedServer)


def serving(make: Callable[[str, int], _Server], *, section: str, host: str, port: int) -> _Server:
    """A server that listens, and serves in a thread of its own until it is shut down.

    Args:
        make: Binds a server to a host and a port.
        section: Of the configuration; names the thread and the trouble.
        host: To listen on.
        port: To listen on; 0 picks one.

    Raises:
        ConfigurationError: The address cannot be bound.
    """
    try:
        server = make(host, port)
    except OSError as error:
        raise ConfigurationError(
            f"{section}: cannot listen on {host}:{port}: {error.strerror or error}; "
            "choose a free port (0 picks one)"
        ) from error
    threading.Thread(
        target=server.serve_forever, args=(_POLL_S,), name=section, daemon=True
    ).start()
    return server
