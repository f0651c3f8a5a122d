"""The port for STOW-RS: HTTP/1.1 in threads of its own, plain or over TLS."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import time
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Final, cast

import structlog

from dicom_node.domain.errors import InputError, describe
from dicom_node.network.bodies import Body, framing_of
from dicom_node.network.bounded import BoundedServer, serving
from dicom_node.network.storing import RETRY_AFTER_S, Reply, Request, Way, refused
from dicom_node.network.tls import failure_of, peer_subject

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import BufferedIOBase

    from dicom_node.network.auditing import ReceptionAudit
    from dicom_node.network.intake import Intake
    from dicom_node.network.storing import Storing
    from dicom_node.network.tls import Credentials

__all__ = ["WebServer"]

LINGER_S: Final = 2.0
"""How long what a refused sender still sends is read and forgotten, so that it sees the answer and
not a broken connection."""

_EPILOGUE_BYTES: Final = 1 << 16
"""What may stand behind the last part of a body."""

_FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: %d\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n" % RETRY_AFTER_S
)

_FIELD: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\0]*\r?\n")
"""A line of a header (RFC 9112 5): nothing stands between its name and the colon, and no line goes
on with another. A proxy that reads it otherwise would see requests that we do not, or we some that
it does not."""

_log = structlog.get_logger(__name__)


class WebServer:
    """Listens for those who store by HTTP.

    Args:
        host: To listen on.
        port: To listen on; 0 picks one.
        storing: Answers.
        intake: Memory for what is received, shared with the other way in.
        max_request_bytes: Longest body.
        requests_at_most: Connections served at one time.
        request_s: A caller has for the head of a request, and for the handshake of TLS.
        idle_s: It may be silent in the middle of a body.
        credentials: For TLS; None for plain HTTP.
        audit: Told of handshakes that failed.
        on_answer: Called with the status of each answer.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        storing: Storing,
        intake: Intake,
        max_request_bytes: int,
        requests_at_most: int = 16,
        request_s: float = 15.0,
        idle_s: float = 90.0,
        credentials: Credentials | None = None,
        audit: ReceptionAudit | None = None,
        on_answer: Callable[[int], None] = lambda status: None,
    ) -> None:
        self._host = host
        self._wanted = port
        self._requests_at_most = requests_at_most
        self._credentials = credentials
        self._audit = audit
        self.storing = storing
        self.intake = intake
        self.max_request_bytes = max_request_bytes
        self.request_s = request_s
        self.idle_s = idle_s
        self.on_answer = on_answer
        self._server: _Server | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._wanted if self._server is None else self._server.port

    def start(self) -> None:
        """Bind and listen.

        Raises:
            ConfigurationError: The address cannot be bound, or the files of TLS cannot be used.
        """
        if self._credentials is not None:
            self._credentials.context()
        self._server = serving(
            lambda host, port: _Server(self, host, port, self._requests_at_most),
            section="dicomweb",
            host=self._host,
            port=self._wanted,
        )

    def stop(self, *, grace_s: float = 0.0) -> None:
        """Listen no more, give requests so long to end, cut the rest. Idempotent."""
        server, self._server = self._server, None
        if server is None:
            return
        server.stopping = True
        server.shutdown()
        server.server_close()
        for each in server.connections():
            if each.until is not None:  # between two requests
                each.cut()
        until = time.monotonic() + grace_s
        while server.connections() and time.monotonic() < until:
            time.sleep(0.05)
        for each in server.connections():
            each.cut()

    @property
    def is_secured(self) -> bool:
        """Whether it speaks TLS."""
        return self._credentials is not None

    def secure(self, request: socket.socket, address: str) -> socket.socket | None:
        """Make TLS of a connection; None when that failed."""
        if self._credentials is None:
            return request
        request.settimeout(self.request_s)
        secured = self._credentials.context().wrap_socket(
            request, server_side=True, do_handshake_on_connect=False
        )
        try:
            secured.do_handshake()
        except OSError as error:
            _log.warning("a TLS handshake failed", address=address, reason=failure_of(error))
            if self._audit is not None:
                self._audit.refused("", address, f"TLS handshake: {failure_of(error)}")
            with contextlib.suppress(OSError):
                secured.close()
            return None
        return secured


class _Server(BoundedServer):
    stopping = False

    def __init__(self, web: WebServer, host: str, port: int, at_most: int) -> None:
        self.web = web
        super().__init__(
            host, port, _Handler, at_most=at_most, within_s=web.request_s, secure=web.secure
        )

    def turn_away(self, request: socket.socket) -> None:
        _log.warning("a connection is cut off: there are too many", address=_peer_of(request))
        if self.web.is_secured:
            return
        with contextlib.suppress(OSError):
            request.setblocking(False)
            request.send(_FULL)


def _peer_of(request: socket.socket) -> str:
    try:
        return str(request.getpeername()[0])
    except OSError:
        return ""


class _Lines:
    """A file that keeps the lines that are read of it."""

    def __init__(self, file: BufferedIOBase) -> None:
        self.file = file
        self.read: list[bytes] = []

    def readline(self, limit: int = -1) -> bytes:
        line = self.file.readline(limit)
        self.read.append(line)
        return line


class _Handler(BaseHTTPRequestHandler):
    """Requests of one connection, one after the other."""

    protocol_version = "HTTP/1.1"
    server_version = "dicom-node"
    sys_version = ""

    def setup(self) -> None:
        server = cast("_Server", self.server)
        self._web = server.web
        self._connection = server.connection(self.request)
        self._continue = False
        super().setup()
        self.request.settimeout(server.web.idle_s)

    def handle_one_request(self) -> None:
        self._connection.until = time.monotonic() + self._web.request_s
        self._continue = False
        super().handle_one_request()
        if cast("_Server", self.server).stopping:
            self.close_connection = True

    def parse_request(self) -> bool:
        """As of the library, which reads a header as one of a mail: what stands behind a line that
        is none, or behind a sole CR, it takes for the text, or for a header of its own.
        """
        lines = _Lines(self.rfile)
        self.rfile = cast("Any", lines)
        try:
            parsed = super().parse_request()
        finally:
            self.rfile = lines.file
        if not parsed or all(map(_FIELD.fullmatch, lines.read[:-1])):
            return parsed
        self.close_connection = True
        self._send(refused(400, "a line of the header is none"))
        self._linger()
        return False

    def handle_expect_100(self) -> bool:
        self._continue = True  # told when the body is wanted, so a refused sender keeps its body
        return True

    def _serve(self) -> None:
        self._connection.until = None
        # The same name twice would let two programs read the same request in two ways.
        names = [name.lower() for name in self.headers]
        headers = {name.lower(): value for name, value in self.headers.items()}
        single = ("content-length", "transfer-encoding", "authorization", "content-type")
        try:
            if any(names.count(name) > 1 for name in single):
                raise InputError("a header stands twice")
            framing = framing_of(headers)
        except InputError as error:
            self.close_connection = True
            self._send(refused(400, str(error)))
            return
        way = Way()
        body = Body(
            cast("Any", self.rfile),
            framing,
            bytes_at_most=self._web.max_request_bytes,
            idle_s=self._web.idle_s,
            intake=self._web.intake,
            holder=way,
            wanted=self._go_on,
        )
        secured = self.request
        request = Request(
            method=self.command,
            path=self.path,
            headers=headers,
            address=str(self.client_address[0]),
            subject=peer_subject(secured) if isinstance(secured, ssl.SSLSocket) else None,
            body=body,
            way=way,
        )
        reply = self._answered(request)
        if body.is_broken or not (body.begun or body.ended):
            self.close_connection = True
        self._send(reply)
        if not self.close_connection and not body.drain(_EPILOGUE_BYTES):
            self.close_connection = True
        if not body.ended:
            self._linger()

    def _answered(self, request: Request) -> Reply:
        try:
            return self._web.storing.answer(request)
        except TimeoutError:
            self.close_connection = True
            _log.warning(
                "a caller is dropped",
                address=request.address,
                reason="it is silent, or its request comes too slowly",
            )
            return refused(408, "the request comes too slowly")
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001  the network's boundary: it must get an answer
            self.close_connection = True
            _log.error("a request was not answered", reason=describe(error))
            return refused(500, "a fault of the node: send it again")

    def _go_on(self) -> None:
        if self._continue:
            self._continue = False
            self.send_response_only(100)
            self.end_headers()

    def _send(self, reply: Reply) -> None:
        self._web.on_answer(reply.status)
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        self.send_header("Cache-Control", "no-store")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)
        self.wfile.flush()

    def _linger(self) -> None:
        """Let a sender that still sends come to the answer before the connection ends."""
        self._connection.until = time.monotonic() + LINGER_S
        with contextlib.suppress(OSError):
            self.request.shutdown(socket.SHUT_WR)
            while self.rfile.read1(_EPILOGUE_BYTES):
                pass

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = _serve

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: what was stored and refused has its own lines."""
