"""TLS at the SCP and the SCU, with certificates that are good and with all that are not."""

from __future__ import annotations

import dataclasses
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from dicom_node.domain.deliveries import Outcome
from dicom_node.domain.errors import ConfigurationError, PeerError
from dicom_node.domain.routes import Peer
from dicom_node.domain.security import DestinationTls, TlsProfile
from dicom_node.network.associations import Timeouts
from dicom_node.network.peers import PeerList
from dicom_node.network.scp import StorageScp
from dicom_node.network.scu import PynetStoreClient
from dicom_node.network.tls import CertificateWatch, Credentials
from tests.network.certificates import NOW, Authority, Pair, files, self_signed
from tests.network.objects import (
    DIGITAL_X_RAY,
    destination,
    free_port,
    tool,
    write_instances,
    write_object,
)
from tests.network.test_scp import associate
from tests.network.test_scu import Outcomes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.network.conftest import RecordingReceiver

PEERS = PeerList(
    peers=(
        Peer(name="ct", ae_title="CT", subject=(("commonName", "ct"),), require_tls=True),
        Peer(name="modality", ae_title="MODALITY", host="127.0.0.0/8", require_tls=True),
        Peer(name="old", ae_title="OLD", host="127.0.0.1"),
    )
)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def credentials(authority: Authority) -> Credentials:
    return Credentials(files(authority.issue("node"), authority.path), server_side=True)


@pytest.fixture
def secure(credentials: Credentials, receiver: RecordingReceiver) -> Iterator[StorageScp]:
    server = StorageScp(
        ae_title="SYNTH",
        host="127.0.0.1",
        port=0,
        peers=PEERS,
        receiver=receiver,
        max_associations=4,
        timeouts=Timeouts(connect_s=2, acse_s=2, dimse_s=5, network_s=2),
        tls=credentials,
        tls_port=0,
    )
    server.start()
    yield server
    server.stop()


def tls_port(server: StorageScp) -> int:
    assert server.tls_port is not None
    return server.tls_port


def call(
    port: int, pair: Pair | None, trusted: Path, configure: Callable[[ssl.SSLContext], None] = id
) -> ssl.SSLSocket:
    """A client by Python's defaults alone; on return the server has accepted our certificate."""
    context = ssl.create_default_context(cafile=str(trusted))
    if pair is not None:
        context.load_cert_chain(pair.certificate, pair.key)
    configure(context)
    plain = socket.create_connection(("127.0.0.1", port), timeout=5)
    try:
        secured = context.wrap_socket(plain, server_hostname="127.0.0.1")
        secured.settimeout(0.5)
        try:
            # In TLS 1.3 a refused certificate shows in what the server says next.
            if secured.recv(1) == b"":
                raise ConnectionResetError("closed")
        except TimeoutError:
            pass
        return secured
    except BaseException:
        plain.close()
        raise


def dcmtk_echo(
    port: int, pair: Pair, trusted: Path, *options: str, calling: str = "MODALITY"
) -> int:
    command = [tool("echoscu"), "+tls", str(pair.key), str(pair.certificate), "+cf", str(trusted)]
    command += [*options, "-aet", calling, "-aec", "SYNTH", "127.0.0.1", str(port)]
    return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode


def refused(port: int, pair: Pair | None, trusted: Path) -> bool:
    try:
        call(port, pair, trusted).close()
    except (ssl.SSLError, ConnectionError):
        return True
    return False


def test_a_caller_with_a_good_certificate_is_let_in(
    secure: StorageScp, authority: Authority
) -> None:
    secured = call(tls_port(secure), authority.issue("ct"), authority.path)
    assert secured.version() == "TLSv1.3"
    secured.close()


@pytest.mark.parametrize("kind", ["none", "expired", "self-signed", "wrong authority"])
def test_a_certificate_that_is_not_good_is_refused_and_told(
    secure: StorageScp, authority: Authority, tmp_path: Path, kind: str
) -> None:
    (tmp_path / "other").mkdir()
    pair = {
        "none": lambda: None,
        "expired": lambda: authority.issue("old", days=-1),
        "self-signed": lambda: self_signed(tmp_path),
        "wrong authority": lambda: Authority(tmp_path / "other").issue("ct"),
    }[kind]()
    with capture_logs() as logs:
        assert refused(tls_port(secure), pair, authority.path)
        wait_for(lambda: any(log["event"] == "a TLS handshake failed" for log in logs))
    (told,) = [log for log in logs if log["event"] == "a TLS handshake failed"]
    assert told["address"] == "127.0.0.1"
    if kind == "expired":
        assert "certificate has expired" in told["reason"]


def wait_for(what: Callable[[], bool], within_s: float = 5) -> None:
    deadline = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_nothing_below_tls_1_2_is_negotiated(
    secure: StorageScp, authority: Authority, version: ssl.TLSVersion
) -> None:
    def old(context: ssl.SSLContext) -> None:
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = version

    with pytest.raises((ssl.SSLError, ConnectionError)), pytest.warns(DeprecationWarning):
        call(tls_port(secure), authority.issue("ct"), authority.path, old)


@pytest.mark.parametrize(
    ("profile", "suite", "taken"),
    [
        (TlsProfile.RFC8996, "ECDHE-ECDSA-AES128-GCM-SHA256", True),
        (TlsProfile.RFC8996, "ECDHE-ECDSA-AES256-GCM-SHA384", True),
        (TlsProfile.RFC8996, "ECDHE-ECDSA-AES128-SHA256", False),
        (TlsProfile.RFC8996, "ECDHE-ECDSA-CHACHA20-POLY1305", False),
        (TlsProfile.RFC9325, "ECDHE-ECDSA-AES128-GCM-SHA256", True),
        (TlsProfile.RFC9325, "ECDHE-ECDSA-AES256-SHA384", False),
    ],
)
def test_a_profile_takes_its_suites_and_no_others(
    authority: Authority, profile: TlsProfile, suite: str, taken: bool
) -> None:
    """Both ends in memory: what OpenSSL negotiates, not what the list says."""
    node = Credentials(files(authority.issue("node"), authority.path, profile), server_side=True)
    client = ssl.create_default_context(cafile=str(authority.path))
    client.check_hostname = False
    pair = authority.issue("ct")
    client.load_cert_chain(pair.certificate, pair.key)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers(suite)
    to_client, to_node = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_node, server_side=False),
        node.context().wrap_bio(to_node, to_client, server_side=True),
    ]

    def shake() -> str | None:
        for _ in range(4):
            for end in ends:
                try:
                    end.do_handshake()
                except ssl.SSLWantReadError:
                    continue
        cipher = ends[0].cipher()
        return cipher[0] if cipher else None

    if taken:
        assert shake() == suite
    else:
        with pytest.raises(ssl.SSLError):
            shake()


def test_finite_field_diffie_hellman_is_in_one_profile_only(authority: Authority) -> None:
    pair = authority.issue("node")

    def names(profile: TlsProfile) -> set[str]:
        context = Credentials(files(pair, authority.path, profile), server_side=True).context()
        return {suite["name"] for suite in context.get_ciphers() if suite["name"][:4] != "TLS_"}

    assert {name for name in names(TlsProfile.RFC8996) if name.startswith("DHE-")} != set()
    assert names(TlsProfile.RFC9325) == {
        name for name in names(TlsProfile.RFC8996) if not name.startswith("DHE-")
    }


def test_a_peer_that_must_use_tls_is_rejected_on_the_plain_port(secure: StorageScp) -> None:
    assert associate(secure.port, calling="MODALITY").is_rejected
    plain = associate(secure.port, calling="OLD")
    assert plain.is_established
    plain.release()


def test_a_plain_caller_on_the_tls_port_is_dropped(secure: StorageScp) -> None:
    with capture_logs() as logs:
        association = associate(tls_port(secure), calling="OLD")
        assert not association.is_established
        wait_for(lambda: any(log["event"] == "a TLS handshake failed" for log in logs))


def test_silent_and_broken_handshakes_keep_nobody_else_out(
    secure: StorageScp, authority: Authority
) -> None:
    """With pynetdicom alone nobody is served until each is done."""
    silent = [socket.create_connection(("127.0.0.1", tls_port(secure))) for _ in range(10)]
    silent[0].sendall(b"\x16\x03\x01\x02\x00")
    began = time.monotonic()
    call(tls_port(secure), authority.issue("ct"), authority.path).close()
    assert time.monotonic() - began < 1.9  # acse_s, after which they would be gone
    for each in silent:
        each.close()


def test_a_handshake_that_comes_byte_by_byte_is_cut_off(secure: StorageScp) -> None:
    connection = socket.create_connection(("127.0.0.1", tls_port(secure)))
    began = time.monotonic()
    with pytest.raises(OSError), connection:
        for _ in range(100):
            connection.sendall(b"\x16")
            time.sleep(0.1)
    assert time.monotonic() - began < 6


def test_a_changed_certificate_counts_for_the_next_association(
    secure: StorageScp, authority: Authority
) -> None:
    client = authority.issue("ct")

    def shown() -> Any:
        secured = call(tls_port(secure), client, authority.path)
        certificate: Any = secured.getpeercert()
        secured.close()
        return certificate["serialNumber"]

    before = shown()
    assert shown() == before
    authority.issue("node")
    assert shown() != before


def test_a_changed_file_that_cannot_be_used_is_told_once_and_the_old_one_stays(
    credentials: Credentials, authority: Authority
) -> None:
    before = credentials.context()
    credentials.files.certificate.write_text("half a certif")
    with capture_logs() as logs:
        assert credentials.context() is before
        assert credentials.context() is before
    (told,) = logs
    assert told["log_level"] == "error"
    assert "tls.certificate" in told["reason"]
    authority.issue("node")
    with capture_logs() as logs:
        assert credentials.context() is not before
    assert [log["log_level"] for log in logs] == ["info"]


@pytest.mark.parametrize(
    ("days", "level"), [(365, None), (29, "warning"), (-1, "error")], ids=["year", "month", "over"]
)
def test_the_end_of_a_certificate_is_told_in_time(
    authority: Authority, days: int, level: str | None
) -> None:
    own = Credentials(files(authority.issue("node", days=days), authority.path), server_side=True)
    with capture_logs() as logs:
        told = CertificateWatch([own]).run_once(NOW.timestamp())
    assert told == (level is not None)
    assert [log["log_level"] for log in logs] == ([level] if level else [])
    assert [log.get("days") for log in logs if level == "warning"] in ([], [29], [28])


@pytest.mark.parametrize("mode", [0o644, 0o620, 0o604])
def test_a_key_that_others_can_read_or_write_is_refused(authority: Authority, mode: int) -> None:
    pair = authority.issue("node")
    pair.key.chmod(mode)
    with pytest.raises(ConfigurationError, match=r"tls\.key: .* by others .*chmod 600"):
        Credentials(files(pair, authority.path), server_side=True).context()


@pytest.mark.parametrize("broken", ["certificate", "key", "trusted"])
@pytest.mark.parametrize("how", ["absent", "nonsense"])
def test_a_file_that_cannot_be_used_is_named(authority: Authority, broken: str, how: str) -> None:
    good = files(authority.issue("node"), authority.path)
    path: Path = getattr(good, broken)
    if how == "absent":
        path.unlink()
    else:
        path.write_text("nonsense")
    with pytest.raises(ConfigurationError, match=rf"tls\.{broken}: .*{path.name}"):
        Credentials(good, server_side=True).context()


def test_a_key_of_another_certificate_is_refused(authority: Authority) -> None:
    mixed = Pair(certificate=authority.issue("a").certificate, key=authority.issue("b").key)
    with pytest.raises(ConfigurationError, match=r"tls\.key"):
        Credentials(files(mixed, authority.path), server_side=True).context()


def test_a_peer_is_known_by_its_certificate(authority: Authority) -> None:
    known = PEERS.find("CT", "10.0.0.1", (("organizationName", "Hospital"), ("commonName", "ct")))
    assert isinstance(known, Peer)
    assert not isinstance(PEERS.find("CT", "10.0.0.1", (("commonName", "mr"),)), Peer)
    assert not isinstance(PEERS.find("CT", "10.0.0.1", None), Peer)
    assert isinstance(PEERS.find("MODALITY", "127.9.9.9", ()), Peer)
    assert not isinstance(PEERS.find("MODALITY", "128.0.0.1", ()), Peer)


@pytest.mark.peer
@pytest.mark.parametrize("profile", ["+py", "+px"])
def test_echoscu_is_answered_over_tls(
    secure: StorageScp, authority: Authority, profile: str
) -> None:
    assert dcmtk_echo(tls_port(secure), authority.issue("any"), authority.path, profile) == 0


@pytest.mark.peer
def test_echoscu_with_another_certificate_than_its_peer_is_rejected(
    secure: StorageScp, authority: Authority
) -> None:
    port = tls_port(secure)
    assert dcmtk_echo(port, authority.issue("ct"), authority.path, calling="CT") == 0
    assert dcmtk_echo(port, authority.issue("mr"), authority.path, calling="CT") != 0


@pytest.mark.peer
@pytest.mark.parametrize("kind", ["expired", "self-signed", "wrong authority"])
def test_echoscu_with_a_bad_certificate_is_refused(
    secure: StorageScp, authority: Authority, tmp_path: Path, kind: str
) -> None:
    (tmp_path / "other").mkdir()
    pair = {
        "expired": lambda: authority.issue("old", days=-1),
        "self-signed": lambda: self_signed(tmp_path),
        "wrong authority": lambda: Authority(tmp_path / "other").issue("ct"),
    }[kind]()
    assert dcmtk_echo(tls_port(secure), pair, authority.path) != 0


@pytest.mark.peer
def test_storescu_stores_over_tls(
    secure: StorageScp, authority: Authority, receiver: RecordingReceiver, tmp_path: Path
) -> None:
    pair = authority.issue("any")
    path = write_object(tmp_path / "object.dcm")
    command = [tool("storescu"), "+tls", str(pair.key), str(pair.certificate)]
    command += ["+cf", str(authority.path), "-R", "-aet", "MODALITY", "-aec", "SYNTH"]
    command += ["127.0.0.1", str(tls_port(secure)), str(path)]
    assert subprocess.run(command, timeout=30, check=False).returncode == 0
    assert receiver.received[0].sop_class_uid == DIGITAL_X_RAY


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Callable[[Pair, Path], int]]:
    """Starts DCMTK's storescp with TLS; its port."""
    running: list[subprocess.Popen[bytes]] = []
    (tmp_path / "archive").mkdir()

    def start(pair: Pair, trusted: Path) -> int:
        port = free_port()
        command = [tool("storescp"), "+tls", str(pair.key), str(pair.certificate)]
        command += ["+cf", str(trusted), "-aet", "ARCHIVE", "-od", str(tmp_path / "archive")]
        running.append(subprocess.Popen([*command, str(port)], stderr=subprocess.DEVNULL))

        def listens() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        wait_for(listens, 10)
        return port

    yield start
    for process in running:
        process.kill()
        process.wait()


def towards(port: int, pair: Pair, trusted: Path, *, check_host: bool = True) -> Any:
    tls = DestinationTls(files=files(pair, trusted), check_host=check_host)
    return dataclasses.replace(destination(port), tls=tls)


@pytest.mark.peer
def test_the_scu_stores_over_tls(
    archive: Callable[[Pair, Path], int], authority: Authority, tmp_path: Path
) -> None:
    port = archive(authority.issue("archive"), authority.path)
    wanted = towards(port, authority.issue("node"), authority.path)
    outcomes = Outcomes()
    client = PynetStoreClient("SYNTH")
    client.send(wanted, write_instances(tmp_path, 2), outcomes)
    client.close()
    assert [outcome for _, outcome, _ in outcomes] == [Outcome.STORED] * 2
    assert len(list((tmp_path / "archive").iterdir())) == 2


@pytest.mark.peer
@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("expired", "certificate has expired"),
        ("self-signed", "self-signed certificate"),
        ("wrong authority", "unable to get local issuer certificate"),
        ("other host", "IP address mismatch"),
    ],
)
def test_the_scu_does_not_talk_to_an_archive_it_cannot_trust(
    archive: Callable[[Pair, Path], int],
    authority: Authority,
    tmp_path: Path,
    kind: str,
    reason: str,
) -> None:
    (tmp_path / "other").mkdir()
    pair = {
        "expired": lambda: authority.issue("old", days=-1),
        "self-signed": lambda: self_signed(tmp_path),
        "wrong authority": lambda: Authority(tmp_path / "other", "strange").issue("archive"),
        "other host": lambda: authority.issue("else", host="192.0.2.7"),
    }[kind]()
    port = archive(pair, authority.path)
    own = authority.issue("node")
    with pytest.raises(PeerError, match=reason):
        PynetStoreClient("SYNTH").echo(towards(port, own, authority.path))
    if kind == "other host":
        trusting = towards(port, own, authority.path, check_host=False)
        assert PynetStoreClient("SYNTH").echo(trusting) > 0


def test_sixty_handshakes_that_fail_leave_nothing_behind(
    secure: StorageScp, authority: Authority
) -> None:
    for _ in range(60):
        with socket.create_connection(("127.0.0.1", tls_port(secure))) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
    call(tls_port(secure), authority.issue("ct"), authority.path).close()
    wait_for(lambda: secure.associations == 0)
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        socket.create_connection(("127.0.0.1", tls_port(secure))).close()
    wait_for(lambda: len(list(Path("/proc/self/fd").iterdir())) <= descriptors)
    assert threading.active_count() < 20
