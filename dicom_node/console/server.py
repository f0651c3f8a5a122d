"""The console's own thread: uvicorn on a socket that is bound before anything starts."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING, Final

import structlog

from dicom_node.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from dicom_node.console.parts import Parts

__all__ = ["ConsoleServer", "start_console"]

_STARTS_WITHIN_S: Final = 15.0
_ANSWERS_END_WITHIN_S: Final = 2

_log = structlog.get_logger(__name__)


class ConsoleServer:
    """A running console."""

    def __init__(self, parts: Parts) -> None:
        """Bind and start.

        Raises:
            ConfigurationError: The extra is not installed, or the address cannot be used.
        """
        try:
            import uvicorn

            from dicom_node.console.app import create_app

            app = create_app(parts)
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                f"console.enabled: {error.name} is not installed: "
                'pip install "dicom-node[console]", or give false'
            ) from error
        access = parts.access
        self._socket = _bound(access.host, access.port)
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            app,
            log_config=None,
            log_level="critical",  # errors of pages are told by the console, without their texts
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            proxy_headers=bool(access.trusted_proxies),
            forwarded_allow_ips=list(access.trusted_proxies),
            timeout_keep_alive=5,
            timeout_graceful_shutdown=_ANSWERS_END_WITHIN_S,
            limit_concurrency=256,
            h11_max_incomplete_event_size=64 * 1024,
        )
        self._server = uvicorn.Server(config)
        # uvicorn touches signals only in the main thread, so this one leaves them to the node.
        self._thread = threading.Thread(target=self._run, name="console", daemon=True)
        self._thread.start()
        until = time.monotonic() + _STARTS_WITHIN_S
        while not self._server.started and self._thread.is_alive() and time.monotonic() < until:
            time.sleep(0.01)

    def stop(self, within_s: float = 3.0) -> None:
        """End what is being answered, then the thread. Idempotent."""
        self._server.should_exit = True
        self._thread.join(within_s)
        self._socket.close()

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])


def start_console(parts: Parts) -> ConsoleServer:
    """A console that answers when this returns.

    Raises:
        ConfigurationError: The extra is not installed, or the address cannot be used.
    """
    server = ConsoleServer(parts)
    _log.info("the console is served", port=server.port)
    return server


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=256)
    except OSError as error:
        raise ConfigurationError(
            f"console.port: {host}:{port} cannot be listened on: {error.strerror}"
        ) from error
