"""Audit messages to a syslog receiver over TLS: RFC 5424 headers in RFC 5425 frames.

The trail on disk is the queue: a position beside it says how far it was sent, so nothing waits for
the receiver, nothing is lost while it is away, and a restart goes on where it stopped. A message
whose sending was cut may come twice; syslog has no answers.
"""

from __future__ import annotations

import datetime
import os
import re
import socket
import ssl
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from dicom_node.audit.chain import parsed
from dicom_node.domain.errors import ConfigurationError, PeerError
from dicom_node.network.tls import Credentials, failure_of

if TYPE_CHECKING:
    from pathlib import Path

    from dicom_node.domain.security import DestinationTls

__all__ = ["SyslogShipper", "SyslogTarget", "frame"]

_PRIORITY: Final = 10 * 8 + 5
"""Facility 10, security and authorisation; severity 5, notice (RFC 5424 6.2.1)."""

_MESSAGE_ID: Final = "DICOM+RFC3881"
"""MSGID of DICOM audit messages (PS3.15 A.6.1)."""

_CONNECT_S: Final = 10.0
_AWAY_S: Final = 15.0
_BATCH_BYTES: Final = 1 << 22
_WHEN: Final = re.compile(r'EventDateTime="([^"]+)"')

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyslogTarget:
    """A receiver: RFC 5425 over TLS."""

    host: str
    port: int
    tls: DestinationTls


def frame(message: str, *, machine: str, process: int, at: str) -> bytes:
    """One message with its header (RFC 5424), in a frame (RFC 5425 4.3).

    Args:
        message: XML.
        machine: Host name of the sender.
        process: Its number.
        at: When it happened, as RFC 3339 writes it.
    """
    name = re.sub(r"[^\x21-\x7e]", "_", machine)[:255] or "-"
    header = f"<{_PRIORITY}>1 {at} {name} dicom-node {process} {_MESSAGE_ID} - "
    data = header.encode() + b"\xef\xbb\xbf" + message.encode()
    return str(len(data)).encode() + b" " + data


class SyslogShipper:
    """Brings what is in the trail to the receiver, from its own loop.

    Args:
        trail: File of the audit trail.
        target: Receiver.
        machine: Our host name.
    """

    def __init__(self, trail: Path, target: SyslogTarget, *, machine: str) -> None:
        self._trail = trail
        self._target = target
        self._machine = machine
        self._credentials = Credentials(
            target.tls.files, server_side=False, check_host=target.tls.check_host
        )
        self._position_file = trail.with_name(f"{trail.name}.sent")
        self._connection: ssl.SSLSocket | None = None
        self._not_before = 0.0
        self._away = False
        self._lock = threading.Lock()

    def run_once(self, now: float) -> bool:
        """Send what is due; whether something was sent. A receiver that is away is called again
        after a while, and the log tells of it once.
        """
        # A clock that was set back must not make the wait any longer.
        if 0.0 < self._not_before - now <= _AWAY_S:
            return False
        try:
            sent = self.send(now)
        except (PeerError, ConfigurationError) as error:
            self._not_before = now + _AWAY_S
            if not self._away:
                _log.warning("the syslog receiver is away: audit messages wait", reason=str(error))
            self._away = True
            return False
        if sent and self._away:
            _log.info("the syslog receiver is back: what waited was sent")
            self._away = False
        return sent

    def send(self, now: float) -> bool:
        """Send what is due; whether there was anything.

        Raises:
            PeerError: The receiver is away; what was not sent goes out later.
            ConfigurationError: The files of TLS cannot be used.
        """
        with self._lock:
            position = self._position()
            lines, end = self._after(position)
            if end == position:
                return False
            connection = self._connected()
            try:
                for line in lines:
                    link = parsed(line)
                    if link is not None:
                        connection.sendall(self._framed(link.message, now))
            except OSError as error:
                self._drop()
                raise PeerError(
                    f"the syslog receiver {self._target.host} went away: {failure_of(error)}"
                ) from error
            self._keep(end)
            return True

    def close(self) -> None:
        """End the connection."""
        with self._lock:
            self._drop()

    def _framed(self, message: str, now: float) -> bytes:
        found = _WHEN.search(message)
        at = found[1] if found else datetime.datetime.fromtimestamp(now, datetime.UTC).isoformat()
        return frame(message, machine=self._machine, process=os.getpid(), at=at)

    def _connected(self) -> ssl.SSLSocket:
        if self._connection is not None and _is_closed(self._connection):
            self._drop()
        if self._connection is None:
            target = self._target
            try:
                plain = socket.create_connection((target.host, target.port), timeout=_CONNECT_S)
                self._connection = self._credentials.context().wrap_socket(
                    plain, server_hostname=target.host
                )
            except OSError as error:
                raise PeerError(
                    f"the syslog receiver {target.host}:{target.port} cannot be reached: "
                    f"{failure_of(error)}"
                ) from error
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _after(self, position: int) -> tuple[list[str], int]:
        """Whole lines after a position, some of them, and where they end."""
        try:
            with self._trail.open("rb") as file:
                if position > file.seek(0, os.SEEK_END):
                    position = 0  # another file than the one that was sent
                file.seek(position)
                data = file.read(_BATCH_BYTES)
        except FileNotFoundError:
            return [], position
        whole = data[: data.rfind(b"\n") + 1]
        return whole.decode("utf-8", "replace").split("\n"), position + len(whole)

    def _position(self) -> int:
        try:
            return int(self._position_file.read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            return 0

    def _keep(self, position: int) -> None:
        temporary = self._position_file.with_suffix(".new-sent")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(str(position))
        temporary.replace(self._position_file)


def _is_closed(connection: ssl.SSLSocket) -> bool:
    """Whether the receiver has ended the connection: it never says anything else."""
    connection.settimeout(0.0)
    try:
        return connection.recv(1) == b""
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return False
    except OSError:
        return True
    finally:
        connection.settimeout(_CONNECT_S)
