"""Who may use an engine over the network: whoever knows its secret, which is never sent."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import socket

__all__ = ["HandshakeError", "HungUpError", "ask", "prove"]

_NONCE_BYTES: Final = 32
_PROOF_BYTES: Final = 32
_ASKED, _ANSWERED = b"dicom-node engine 1: node", b"dicom-node engine 1: engine"


class HandshakeError(Exception):
    """The other side does not know the secret, or speaks something else."""


class HungUpError(HandshakeError):
    """The other side said nothing and hung up, as one does who only tries the port."""


def ask(connection: socket.socket, secret: str) -> None:
    """The engine's side: let nobody in who cannot prove that he knows the secret, then prove it.

    Raises:
        HandshakeError: He cannot.
        HungUpError: He did not try.
        OSError: The connection broke.
    """
    nonce = secrets.token_bytes(_NONCE_BYTES)
    connection.sendall(nonce)
    answer = _exactly(connection, _NONCE_BYTES + _PROOF_BYTES)
    theirs, proof = answer[:_NONCE_BYTES], answer[_NONCE_BYTES:]
    if not hmac.compare_digest(proof, _proof(secret, _ASKED, nonce + theirs)):
        raise HandshakeError("a caller does not know the secret")
    connection.sendall(_proof(secret, _ANSWERED, theirs + nonce))


def prove(connection: socket.socket, secret: str) -> None:
    """The node's side.

    Raises:
        HandshakeError: The engine does not know the secret, or does not believe us.
        OSError: The connection broke.
    """
    theirs = _exactly(connection, _NONCE_BYTES)
    nonce = secrets.token_bytes(_NONCE_BYTES)
    connection.sendall(nonce + _proof(secret, _ASKED, theirs + nonce))
    proof = _exactly(connection, _PROOF_BYTES)
    if not hmac.compare_digest(proof, _proof(secret, _ANSWERED, nonce + theirs)):
        raise HandshakeError("the engine does not know the secret")


def _proof(secret: str, side: bytes, nonces: bytes) -> bytes:
    return hmac.new(secret.encode(), side + nonces, hashlib.sha256).digest()


def _exactly(connection: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        more = connection.recv(count - len(found))
        if not more:
            kind = HandshakeError if found else HungUpError
            raise kind("the other side hung up: is the secret the same?")
        found += more
    return found
