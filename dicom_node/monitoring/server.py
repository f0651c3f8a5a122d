"""The port for those who watch: ``/metrics``, ``/health/live`` and ``/health/ready``, by HTTP."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Final, cast

import structlog
from prometheus_client.exposition import choose_encoder

from dicom_node import __version__
from dicom_node.network.bounded import BoundedServer, serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client import CollectorRegistry
    from prometheus_client.registry import Collector

    from dicom_node.monitoring.health import Checked

__all__ = ["MonitoringServer"]

REQUESTS_AT_MOST: Final = 8
"""Answered at one time; more are turned away."""

REQUEST_S: Final = 5.0
"""How long one may be silent while it asks or takes the answer."""

CONNECTION_S: Final = 30.0
"""How long one connection may take in all."""

_log = structlog.get_logger(__name__)


class MonitoringServer:
    """Answers whoever watches the node, in threads of its own.

    Args:
        host: To listen on.
        port: To listen on; 0 picks one.
        registry: What ``/metrics`` shows.
        ready: Tries the parts of the node.
        stopping: True once the node shuts down; then it is not ready.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        registry: CollectorRegistry,
        ready: Callable[[], tuple[Checked, ...]],
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._host = host
        self._wanted = port
        self._registry = registry
        self._ready = ready
        self._stopping = stopping
        self._server: _Server | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._wanted if self._server is None else self._server.port

    def start(self) -> None:
        """Bind and listen.

        Raises:
            ConfigurationError: The address cannot be bound.
        """
        self._server = serving(
            lambda host, port: _Server(host, port, self.answer),
            section="monitoring",
            host=self._host,
            port=self._wanted,
        )

    def stop(self) -> None:
        """Listen no more. Idempotent."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def answer(self, path: str, accept: str) -> tuple[int, str, bytes]:
        """Status, content type and body for a path.

        Args:
            path: As asked for, with its query.
            accept: Of the Accept header.
        """
        match path.partition("?")[0]:
            case "/metrics":
                encode, content_type = choose_encoder(accept)
                return 200, content_type, encode(cast("Collector", self._registry))
            case "/health/live":
                return _json(200, {"alive": True, "version": __version__})
            case "/health/ready":
                return self._readiness()
        return _json(404, {"error": "there is /metrics, /health/live and /health/ready"})

    def _readiness(self) -> tuple[int, str, bytes]:
        if self._stopping():
            return _json(503, {"ready": False, "problem": "the node stops"})
        checked = self._ready()
        ready = not any(each.problem for each in checked)
        if not ready:
            _log.warning(
                "the node is not ready",
                problems={each.part: each.problem for each in checked if each.problem},
            )
        parts = {
            each.part: {"ok": not each.problem, "seconds": round(each.seconds, 4)}
            | ({"problem": each.problem} if each.problem else {})
            for each in checked
        }
        return _json(200 if ready else 503, {"ready": ready, "parts": parts})


def _json(status: int, body: object) -> tuple[int, str, bytes]:
    return status, "application/json", json.dumps(body).encode() + b"\n"


class _Server(BoundedServer):
    """At most so many connections, none for longer than `CONNECTION_S`."""

    def __init__(self, host: str, port: int, answer: Callable[[str, str], tuple[int, str, bytes]]):
        self.answer = answer
        super().__init__(host, port, _Handler, at_most=REQUESTS_AT_MOST, within_s=CONNECTION_S)


class _Handler(BaseHTTPRequestHandler):
    """One request a connection."""

    timeout = REQUEST_S
    server_version = "dicom-node"
    sys_version = ""

    def do_GET(self) -> None:
        server = cast("_Server", self.server)
        try:
            status, kind, body = server.answer(self.path, self.headers.get("Accept", ""))
        except Exception as error:  # noqa: BLE001 - service boundary: the caller must get an answer
            _log.error("a request for monitoring failed", error=type(error).__name__)
            status, kind, body = _json(500, {"error": "see the log"})
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a scrape every few seconds is not worth a line."""
