"""Audit messages over syslog, to a receiver that is there, away, and back."""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from dicom_node.audit.events import application_activity
from dicom_node.audit.messages import Source
from dicom_node.audit.trail import AuditTrail
from dicom_node.domain.errors import PeerError
from dicom_node.domain.security import DestinationTls
from dicom_node.network.syslog import SyslogShipper, SyslogTarget, frame
from tests.network.certificates import Authority, Pair, files
from tests.network.objects import free_port

if TYPE_CHECKING:
    from pathlib import Path

MESSAGE = application_activity("SYNTH", "root", starts=True)

# RFC 5424 6: PRI VERSION TIMESTAMP HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA [MSG].
RFC_5424 = re.compile(
    rb"<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)) "
    rb"([\x21-\x7e]{1,255}) ([\x21-\x7e]{1,48}) ([\x21-\x7e]{1,128}) ([\x21-\x7e]{1,32}) - "
    rb"\xef\xbb\xbf(.*)",
    re.DOTALL,
)


class Receiver:
    """A syslog receiver by Python's ssl; it keeps what comes."""

    def __init__(self, authority: Authority, pair: Pair, port: int = 0) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.path))
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(pair.certificate, pair.key)
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = int(self._listener.getsockname()[1])
        self.data = b""
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
                secured = self._context.wrap_socket(plain, server_side=True)
            except OSError:
                return
            self._open.append(secured)
            threading.Thread(target=self._read, args=(secured,), daemon=True).start()

    def _read(self, secured: ssl.SSLSocket) -> None:
        try:
            while data := secured.recv(65536):
                self.data += data
        except OSError:
            return

    def close(self) -> None:
        self._listener.close()
        for each in self._open:
            each.close()

    def messages(self, count: int) -> list[bytes]:
        """Frames of RFC 5425: length, space, message."""
        deadline = time.monotonic() + 5
        found: list[bytes] = []
        while len(found) < count and time.monotonic() < deadline:
            time.sleep(0.02)
            found, rest = [], self.data
            while (space := rest.find(b" ")) > 0:
                length = int(rest[:space])
                if len(rest) < space + 1 + length:
                    break
                found.append(rest[space + 1 : space + 1 + length])
                rest = rest[space + 1 + length :]
        return found


class Site:
    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder)
        self.pair = self.authority.issue("logs")
        own = files(self.authority.issue("node"), self.authority.path)
        self.tls = DestinationTls(files=own)
        self.path = folder / "trail.log"
        self.trail = AuditTrail(
            self.path, source=Source(ae_title="SYNTH", machine="n"), clock=time.time
        )

    def shipper(self, port: int) -> SyslogShipper:
        target = SyslogTarget(host="127.0.0.1", port=port, tls=self.tls)
        return SyslogShipper(self.path, target, machine="node 7.hospital")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_messages_arrive_in_order_with_the_header_of_the_standard(site: Site) -> None:
    receiver = Receiver(site.authority, site.pair)
    shipper = site.shipper(receiver.port)
    for _ in range(3):
        site.trail.record(MESSAGE)
    assert shipper.run_once(0.0)
    assert not shipper.run_once(0.0)
    site.trail.record(MESSAGE)
    assert shipper.run_once(0.0)
    found = receiver.messages(4)
    assert len(found) == 4
    written = [line.split("\t", 3)[3] for line in site.path.read_text().splitlines()]
    for message, text in zip(found, written, strict=True):
        header = RFC_5424.fullmatch(message)
        assert header is not None
        assert header[1] == b"85"
        assert header[3] == b"node_7.hospital"
        assert header[6] == b"DICOM+RFC3881"
        assert header[7].decode() == text
    shipper.close()
    receiver.close()


def test_the_length_of_a_frame_counts_bytes() -> None:
    framed = frame("é" * 10, machine="m", process=1, at="2026-01-01T00:00:00Z")
    length, _, rest = framed.partition(b" ")
    assert int(length) == len(rest)


def test_what_happens_while_the_receiver_is_away_arrives_later_once(site: Site) -> None:
    port = free_port()
    shipper = site.shipper(port)
    site.trail.record(MESSAGE)
    with capture_logs() as logs:
        assert not shipper.run_once(100.0)
        assert not shipper.run_once(200.0)
    assert [log["log_level"] for log in logs] == ["warning"]  # told once
    site.trail.record(MESSAGE)
    receiver = Receiver(site.authority, site.pair, port)
    assert not shipper.run_once(201.0)  # it waits before it calls again
    with capture_logs() as logs:
        assert shipper.run_once(300.0)
    assert [log["log_level"] for log in logs] == ["info"]
    assert len(receiver.messages(2)) == 2
    shipper.close()
    again = site.shipper(port)  # as after a restart
    assert not again.run_once(400.0)
    site.trail.record(MESSAGE)
    assert again.run_once(401.0)
    assert len(receiver.messages(3)) == 3
    again.close()
    receiver.close()


def test_a_clock_that_is_set_back_does_not_prolong_the_wait_for_the_receiver(site: Site) -> None:
    port = free_port()
    shipper = site.shipper(port)
    site.trail.record(MESSAGE)
    assert not shipper.run_once(1e9)
    receiver = Receiver(site.authority, site.pair, port)
    assert not shipper.run_once(1e9 + 1.0)
    assert shipper.run_once(1e9 - 3600.0)
    shipper.close()
    receiver.close()


def test_a_receiver_that_restarts_gets_what_follows(site: Site) -> None:
    first = Receiver(site.authority, site.pair)
    shipper = site.shipper(first.port)
    site.trail.record(MESSAGE)
    assert shipper.run_once(0.0)
    assert len(first.messages(1)) == 1
    first.close()
    time.sleep(0.1)
    second = Receiver(site.authority, site.pair)
    site.trail.record(MESSAGE)
    moved = site.shipper(second.port)
    assert moved.run_once(1.0)
    assert len(second.messages(1)) == 1
    moved.close()
    second.close()


def test_a_receiver_that_cannot_be_trusted_gets_nothing(site: Site, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other", "stranger")
    receiver = Receiver(site.authority, stranger.issue("logs"))
    site.trail.record(MESSAGE)
    with pytest.raises(PeerError, match="certificate is not accepted"):
        site.shipper(receiver.port).send(0.0)
    assert receiver.data == b""
    receiver.close()


def test_half_a_record_waits_until_it_is_whole(site: Site) -> None:
    receiver = Receiver(site.authority, site.pair)
    shipper = site.shipper(receiver.port)
    site.trail.record(MESSAGE)
    with site.path.open("ab") as file:
        file.write(b"2\tabc")
    assert shipper.run_once(0.0)
    assert not shipper.run_once(0.0)
    assert len(receiver.messages(1)) == 1
    shipper.close()
    receiver.close()
