"""Stands in for an engine process that runs on another machine.

``python -m dicom_node.engine.relay HOST PORT``; the secret is in `SECRET_VARIABLE`. What comes on
standard input goes there, and what comes from there to standard output, until either side ends.
So the node treats it as its own child: it starts it, asks it, and kills it at a deadline.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from typing import TYPE_CHECKING, Final

from dicom_node.engine.handshake import HandshakeError, prove

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SECRET_VARIABLE", "keep_alive", "main"]

SECRET_VARIABLE: Final = "DICOM_NODE_ENGINE_SECRET"
"""Environment variable that holds the secret."""

CONNECT_S: Final = 10.0
"""How long the engine's machine may take to answer a connection and to prove itself."""

CHUNK_BYTES: Final = 1 << 16
"""Moved at a time."""

_IDLE_S, _BETWEEN_S, _TIMES = 30, 10, 3


def keep_alive(connection: socket.socket) -> None:
    """Notice within a minute that the other machine is gone, also when it says nothing."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", _IDLE_S),
        ("TCP_KEEPINTVL", _BETWEEN_S),
        ("TCP_KEEPCNT", _TIMES),
    ):
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def main(arguments: Sequence[str]) -> int:
    """Relay until the node says no more, which is status 0, or the engine ends, which is 1.

    Args:
        arguments: Host and port of the engine.
    """
    host, port = arguments
    try:
        connection = socket.create_connection((host, int(port)), timeout=CONNECT_S)
        prove(connection, os.environ.get(SECRET_VARIABLE, ""))
    except (OSError, HandshakeError) as error:
        sys.stderr.write(f"the engine at {host}:{port} cannot be used: {error}\n")
        return 1
    connection.settimeout(None)
    keep_alive(connection)
    threading.Thread(target=_give, args=(connection,), name="give", daemon=True).start()
    try:
        while chunk := connection.recv(CHUNK_BYTES):
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
    except OSError as error:
        sys.stderr.write(f"the connection to the engine broke: {error}\n")
    return 1


def _give(connection: socket.socket) -> None:
    """What the node says goes there; when it says no more, all ends."""
    try:
        while chunk := os.read(0, CHUNK_BYTES):
            connection.sendall(chunk)
    except OSError:
        pass
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
