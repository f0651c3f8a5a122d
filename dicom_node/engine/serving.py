"""An engine for a node on another machine: every connection gets a worker process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Final, cast

import structlog

from dicom_node.domain.errors import ConfigurationError
from dicom_node.engine.handshake import HandshakeError, HungUpError, ask
from dicom_node.engine.relay import CHUNK_BYTES, CONNECT_S, keep_alive

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO

__all__ = ["EngineServer"]

_ENDS_S: Final = 5.0

_log = structlog.get_logger(__name__)


class EngineServer:
    """Listens, and lends workers to those who know the secret.

    Args:
        host: To listen on.
        port: To listen on; 0 picks one.
        secret: That callers must know; read for every call.
        models: Checkpoint by name of model.
        device: Of torch, or ``auto``.
        workers: At one time; who comes when all are lent is turned away.
        module: What a worker runs.

    Raises:
        ConfigurationError: The address cannot be bound.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        secret: str,
        models: Mapping[str, str],
        device: str,
        workers: int = 1,
        module: str = "dicom_node.engine.worker",
    ) -> None:
        self._secret = secret
        self._command = [sys.executable, "-P", "-m", module, json.dumps(dict(models)), device]
        self._free = threading.Semaphore(workers)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._listener = socket.create_server((host, port), family=family, backlog=16)
        except OSError as error:
            raise ConfigurationError(
                f"cannot listen on {host}:{port}: {error.strerror or error}"
            ) from error

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    def serve(self) -> None:
        """Take calls until `close`."""
        while True:
            try:
                connection, address = self._listener.accept()
            except OSError:
                return
            threading.Thread(
                target=self._lend, args=(connection, str(address[0])), name="lend", daemon=True
            ).start()

    def close(self) -> None:
        """Listen no more. Workers end with their connections, or with this process."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _lend(self, connection: socket.socket, address: str) -> None:
        with connection:
            try:
                connection.settimeout(CONNECT_S)
                ask(connection, self._secret)
                connection.settimeout(None)
                keep_alive(connection)
            except HungUpError:
                return
            except (OSError, HandshakeError) as error:
                _log.warning("a caller gets no engine", address=address, reason=str(error))
                return
            if not self._free.acquire(blocking=False):
                _log.warning("a caller gets no engine", address=address, reason="all are lent")
                return
            try:
                self._work(connection, address)
            except OSError as error:
                _log.warning("a caller gets no engine", address=address, reason=str(error))
            finally:
                self._free.release()

    def _work(self, connection: socket.socket, address: str) -> None:
        # Standard error is this process's own: what libraries say belongs into its log.
        process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        _log.info("an engine is lent", address=address, pid=process.pid)
        asked = cast("BinaryIO", process.stdin)
        answers = threading.Thread(
            target=_answers, args=(process, connection), name="answers", daemon=True
        )
        answers.start()
        try:
            while chunk := connection.recv(CHUNK_BYTES):
                asked.write(chunk)
                asked.flush()
        except OSError:
            pass  # one of them is gone
        finally:
            process.kill()  # a computation for nobody is not worth its heat
            code = process.wait(_ENDS_S)
            answers.join(_ENDS_S)
            _log.info("an engine is back", address=address, pid=process.pid, code=code)


def _answers(process: subprocess.Popen[bytes], connection: socket.socket) -> None:
    """Pass answers on; when the worker ends, so does the connection."""
    output = cast("BinaryIO", process.stdout)
    try:
        while chunk := os.read(output.fileno(), CHUNK_BYTES):
            connection.sendall(chunk)
    except OSError:
        pass
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
