"""STOW-RS as the origin server: real requests over real sockets, and what may be wrong."""

from __future__ import annotations

import base64
import contextlib
import gc
import json
import socket
import threading
import time
import tracemalloc
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree

import pytest
from dicomweb_client import DICOMwebClient
from dicomweb_client.session_utils import create_session_from_user_pass
from pydicom import dcmread
from structlog.testing import capture_logs

from dicom_node.domain.deliveries import Outcome
from dicom_node.domain.errors import CapacityError, ConfigurationError, InputError, RefusedError
from dicom_node.domain.routes import Destination, Peer
from dicom_node.domain.security import DestinationTls
from dicom_node.domain.webaccess import WebAccess
from dicom_node.network import storing as storing_module
from dicom_node.network.admission import Admission
from dicom_node.network.auditing import ReceptionAudit
from dicom_node.network.intake import Intake
from dicom_node.network.multipart import part_head
from dicom_node.network.peers import PeerList
from dicom_node.network.storing import Storing
from dicom_node.network.taking import Taking
from dicom_node.network.tls import Credentials
from dicom_node.network.web import DicomWebClient
from dicom_node.network.webserver import WebServer
from dicom_node.ports import Receipt, ReceivedObject
from tests.network.certificates import Authority, files
from tests.network.conftest import RecordingReceiver
from tests.network.objects import CT, DIGITAL_X_RAY, data_set_bytes, write_instances, write_object
from tests.network.test_scu import Outcomes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dicom_node.audit.messages import AuditMessage

TOKEN: Final = "a-token-of-the-gateway"
KIND: Final = 'multipart/related; type="application/dicom"; boundary=b'
FAILED, STORED, OTHERS = "00081198", "00081199", "0008119A"
LIMIT: Final = 1_000_000


def peer(**changes: Any) -> Peer:
    given: dict[str, Any] = {"name": "gateway", "ae_title": "GATEWAY", "token": lambda: TOKEN}
    return Peer(**given | changes)


class Site:
    """A server over a receiver that remembers, and what was told of it."""

    def __init__(self, receiver: RecordingReceiver) -> None:
        self.receiver = receiver
        self.heard: list[AuditMessage] = []
        self.statuses: list[int] = []
        self.server: WebServer = None  # type: ignore[assignment]

    @property
    def port(self) -> int:
        return self.server.port

    def post(self, body: bytes, path: str = "/dicom-web/studies", **headers: str) -> Answer:
        lines = {"Authorization": f"Bearer {TOKEN}", "Content-Type": KIND}
        lines |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines.setdefault("Content-Length", str(len(body)))
        return self.raw("POST", path, lines, body)

    def raw(self, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> Answer:
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value)
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as sock:
            sock.sendall(f"{method} {path} HTTP/1.1\r\nHost: node\r\n{head}\r\n".encode())
            sock.sendall(body)
            return Answer(sock)


class Answer:
    def __init__(self, sock: socket.socket) -> None:
        file = sock.makefile("rb")
        self.line = file.readline().decode()
        self.status = int(self.line.split()[1])
        self.headers: dict[str, str] = {}
        while line := file.readline().strip():
            name, _, value = line.decode().partition(":")
            self.headers[name.lower()] = value.strip()
        self.body = file.read(int(self.headers.get("content-length", 0)))

    @property
    def dataset(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    def of(self, tag: str) -> list[tuple[str, int]]:
        """Instance UID and reason of each item of a sequence."""
        return [
            (
                (item.get("00081155") or {"Value": [""]})["Value"][0],
                (item.get("00081197") or {"Value": [0]})["Value"][0],
            )
            for item in self.dataset.get(tag, {"Value": []})["Value"]
        ]


@contextmanager
def serving(
    receiver: Any,
    *peers: Peer,
    credentials: Credentials | None = None,
    proxies: tuple[str, ...] = (),
    intake: Intake | None = None,
    **limits: Any,
) -> Iterator[Site]:
    site = Site(receiver)
    audit = ReceptionAudit(site.heard.append, ae_title="SYNTH", patient_ids=False)
    admission = Admission(PeerList(peers=peers or (peer(),)))
    site.server = WebServer(
        host="127.0.0.1",
        port=0,
        storing=Storing(
            taking=Taking(admission=admission, receiver=receiver),
            audit=audit,
            max_object_bytes=LIMIT,
            trusted_proxies=proxies,
        ),
        intake=intake or Intake(1 << 28),
        max_request_bytes=limits.pop("max_request_bytes", 4 * LIMIT),
        credentials=credentials,
        audit=audit,
        on_answer=site.statuses.append,
        **({"request_s": 5.0, "idle_s": 5.0} | limits),
    )
    site.server.start()
    try:
        yield site
    finally:
        site.server.stop()


@pytest.fixture
def site(receiver: RecordingReceiver) -> Iterator[Site]:
    with serving(receiver) as made:
        yield made


def multipart(*parts: bytes, kind: str = "application/dicom") -> bytes:
    return b"".join(part_head("b", kind) + part for part in parts) + b"\r\n--b--\r\n"


def written(folder: Path, **changes: Any) -> bytes:
    return write_object(folder / "object.dcm", **changes).read_bytes()


def test_an_instance_is_received_as_one_that_comes_by_c_store(
    site: Site, receiver: RecordingReceiver, tmp_path: Path
) -> None:
    file = written(tmp_path)
    answer = site.post(multipart(file))
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/dicom+json"
    assert answer.of(STORED) == [("2.25.1", 0)]
    assert FAILED not in answer.dataset
    assert answer.dataset["00081190"] == {"vr": "UR"}, "there is nowhere to retrieve it from"
    (received,) = receiver.received
    assert data_set_bytes(received.data) == data_set_bytes(file)
    assert received.calling_ae_title == "GATEWAY"
    assert (received.sop_class_uid, received.sop_instance_uid) == (DIGITAL_X_RAY, "2.25.1")
    assert site.statuses == [200]


def test_many_instances_in_chunks_over_one_connection(
    site: Site, receiver: RecordingReceiver, tmp_path: Path
) -> None:
    """Our own user agent sends in chunks; two requests go over one connection."""
    client, outcomes = DicomWebClient(), Outcomes()
    url = f"http://127.0.0.1:{site.port}/dicom-web"
    access = WebAccess(url=url, authorization=lambda: f"Bearer {TOKEN}")
    node = Destination(name="node", ae_title="N", host="127.0.0.1", port=site.port, web=access)
    for _ in range(2):
        client.send(node, write_instances(tmp_path, 3), outcomes)
    assert client.echo(node) >= 0
    client.close()
    assert outcomes == [(n, Outcome.STORED, 0) for n in range(3)] * 2
    assert [each.sop_instance_uid for each in receiver.received] == [
        f"2.25.{1000 + n}" for n in range(3)
    ] * 2


def test_a_foreign_client_with_a_name_and_a_token_stores(
    site: Site, receiver: RecordingReceiver, tmp_path: Path
) -> None:
    session = create_session_from_user_pass("gateway", TOKEN)
    client = DICOMwebClient(url=f"http://127.0.0.1:{site.port}/dicom-web", session=session)
    said = client.store_instances([dcmread(BytesIO(written(tmp_path)))])
    assert [str(item.ReferencedSOPInstanceUID) for item in said.ReferencedSOPSequence] == ["2.25.1"]
    assert len(receiver.received) == 1


def test_xml_is_given_to_who_prefers_it(site: Site, tmp_path: Path) -> None:
    answer = site.post(multipart(written(tmp_path), b"x"), Accept="application/dicom+xml")
    assert (answer.status, answer.headers["content-type"]) == (202, "application/dicom+xml")
    model = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"
    root = ElementTree.fromstring(answer.body)
    assert root.tag == f"{model}NativeDicomModel"
    found = {each.get("keyword"): each for each in root}
    (item,) = found["ReferencedSOPSequence"]
    values = {each.get("keyword"): [v.text for v in each] for each in item}
    assert values["ReferencedSOPInstanceUID"] == ["2.25.1"]
    assert [v.text for v in found["OtherFailuresSequence"].iter(f"{model}Value")] == ["49152"]
    both = "application/dicom+xml;q=0.5, application/dicom+json"
    kind = site.post(multipart(written(tmp_path)), Accept=both).headers["content-type"]
    assert kind == "application/dicom+json"


def test_one_bad_instance_of_several_is_told_apart(
    site: Site, receiver: RecordingReceiver, tmp_path: Path
) -> None:
    good, ct = written(tmp_path), written(tmp_path, sop_class=CT, uid="2.25.2")
    odd = written(tmp_path, uid="2.25.3").replace(b"10008.1.2.1\0", b"10008.1.2.9\0")
    answer = site.post(multipart(good, ct, b"no DICOM", odd))
    assert answer.status == 202
    assert answer.of(STORED) == [("2.25.1", 0)]
    assert answer.of(FAILED) == [("2.25.2", 0x0122), ("2.25.3", 0xC122)]
    assert answer.of(OTHERS) == [("", 0xC000)]
    assert len(receiver.received) == 1


def test_nothing_that_can_be_stored_is_a_conflict(site: Site, tmp_path: Path) -> None:
    assert site.post(multipart(written(tmp_path, sop_class=CT))).status == 409
    assert site.post(multipart(written(tmp_path), kind="application/json")).status == 409


def test_a_study_of_the_path_is_that_of_the_instances(
    site: Site, receiver: RecordingReceiver, tmp_path: Path
) -> None:
    file = written(tmp_path)
    assert site.post(multipart(file), "/dicom-web/studies/2.25.7").status == 200
    other = site.post(multipart(file), "/dicom-web/studies/2.25.8")
    assert (other.status, other.of(FAILED)) == (409, [("2.25.1", 0xC409)])
    assert len(receiver.received) == 1
    assert site.post(multipart(file), "/dicom-web/studies/CHEST").status == 400


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (CapacityError("full"), 503, 0xA700),
        (InputError("odd"), 409, 0xC000),
        (RuntimeError("a secret"), 500, 0x0110),
        (ConfigurationError("odd"), 500, 0x0110),
    ],
)
def test_statuses_are_those_of_c_store_translated(
    site: Site,
    receiver: RecordingReceiver,
    tmp_path: Path,
    error: Exception,
    status: int,
    reason: int,
) -> None:
    receiver.error = error
    with capture_logs() as lines:
        answer = site.post(multipart(written(tmp_path)))
    assert (answer.status, answer.of(FAILED)) == (status, [("2.25.1", reason)])
    assert ("retry-after" in answer.headers) == (status == 503)
    assert "a secret" not in str(lines) + answer.body.decode()
    assert TOKEN not in str(lines)


def test_no_room_for_one_of_two_is_told_of_that_one(site: Site, tmp_path: Path) -> None:
    class Filling:
        received = 0

        def receive(self, received: ReceivedObject) -> Receipt:
            self.received += 1
            if self.received > 1:
                raise CapacityError("full")
            return Receipt.NEW

    with serving(Filling()) as filling:
        answer = filling.post(multipart(written(tmp_path), written(tmp_path, uid="2.25.2")))
    assert (answer.status, answer.of(FAILED)) == (202, [("2.25.2", 0xA700)])


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer wrong",
        "Basic !!!",
        "Basic " + base64.b64encode(f"other:{TOKEN}".encode()).decode(),
        "Basic " + base64.b64encode(f":{TOKEN}".encode()).decode(),
        "Digest x",
    ],
)
def test_who_bears_no_token_of_a_peer_is_turned_away_and_audited(
    site: Site, receiver: RecordingReceiver, tmp_path: Path, header: str
) -> None:
    answer = site.post(multipart(written(tmp_path)), Authorization=header)
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert receiver.received == []
    (message,) = site.heard
    assert (message.event.code, "token" in message.description) == ("110113", True)
    assert TOKEN not in str(message)


def test_a_token_is_for_its_address_and_for_those_who_may_send(
    receiver: RecordingReceiver, tmp_path: Path
) -> None:
    body = multipart(written(tmp_path))
    with serving(receiver, peer(host="192.0.2.0/24")) as site:
        assert site.post(body).status == 401
    with serving(receiver, peer(may_send=False)) as site:
        assert site.post(body).status == 403
    with serving(receiver, peer(require_tls=True)) as site:
        assert site.post(body).status == 401
    with serving(receiver, peer(token=None)) as site:
        assert site.post(body).status == 401
    assert receiver.received == []


def test_a_token_that_cannot_be_read_lets_nobody_in(
    receiver: RecordingReceiver, tmp_path: Path
) -> None:
    def gone() -> str:
        raise ConfigurationError("peers gateway: token_file: /x cannot be read: gone")

    with serving(receiver, peer(token=gone)) as site, capture_logs() as lines:
        assert site.post(multipart(written(tmp_path))).status == 401
    assert "the token of a peer cannot be read" in [line["event"] for line in lines]


@pytest.mark.parametrize("trusted", [True, False])
def test_a_trusted_proxy_says_who_calls_and_how(
    receiver: RecordingReceiver, tmp_path: Path, trusted: bool
) -> None:
    """The last address that is no proxy counts; what stands before it anybody can write."""
    known = peer(host="192.0.2.7", require_tls=True)
    with serving(receiver, known, proxies=("127.0.0.0/8",) if trusted else ()) as site:
        answer = site.post(
            multipart(written(tmp_path)),
            X_Forwarded_For="198.51.100.1, 192.0.2.7, 127.0.0.9",
            X_Forwarded_Proto="https",
        )
        assert answer.status == (200 if trusted else 401)
        forged = site.post(
            multipart(written(tmp_path)),
            X_Forwarded_For="192.0.2.7, 198.51.100.1",
            X_Forwarded_Proto="https",
        )
        assert forged.status == 401


def test_images_and_requests_a_minute_are_those_of_the_peer(
    receiver: RecordingReceiver, tmp_path: Path
) -> None:
    one, two = written(tmp_path), written(tmp_path, uid="2.25.2")
    with serving(receiver, peer(images_per_minute=1, associations_per_minute=2)) as site:
        first = site.post(multipart(one, two))
        assert (first.status, first.of(FAILED)) == (202, [("2.25.2", 0xA700)])
        assert site.post(multipart(two)).status == 503
        third = site.post(multipart(two))
        assert (third.status, third.headers["retry-after"]) == (503, "60")


def test_what_came_is_audited_once_a_study(site: Site, tmp_path: Path) -> None:
    site.post(multipart(written(tmp_path), written(tmp_path, uid="2.25.2")))
    assert [message.event.code for message in site.heard] == ["110102", "110104"]
    study, patient = site.heard[1].objects
    assert study.instances == ((DIGITAL_X_RAY, ("2.25.1", "2.25.2")),)
    assert "TEST" not in patient.identifier
    sender = site.heard[1].participants[0]
    assert (sender.user, sender.address) == ("AETITLES=GATEWAY", "127.0.0.1")


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/dicom", 415),
        ('multipart/related; type="application/dicom+json"; boundary=b', 415),
        ('multipart/form-data; type="application/dicom"; boundary=b', 415),
        ('multipart/related; type="application/dicom"', 400),
        ("multipart/related; boundary=b", 200),
    ],
)
def test_a_request_of_another_kind_is_not_taken(
    site: Site, tmp_path: Path, kind: str, status: int
) -> None:
    assert site.post(multipart(written(tmp_path)), Content_Type=kind).status == status


def test_a_compressed_body_is_not_taken(site: Site) -> None:
    assert site.post(multipart(b"x"), Content_Encoding="gzip").status == 415


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/dicom-web/studies", 405),
        ("PUT", "/dicom-web/studies/2.25.7", 405),
        ("GET", "/", 404),
        ("POST", "/dicom-web/series", 404),
        ("POST", "/dicom-web/studies/2.25.7/series/2.25.8", 404),
        ("POST", "/other/studies", 404),
    ],
)
def test_there_is_nothing_else(site: Site, method: str, path: str, status: int) -> None:
    answer = site.raw(method, path, {"Authorization": f"Bearer {TOKEN}", "Content-Length": "0"})
    assert answer.status == status


@pytest.mark.parametrize(
    "body",
    [b"", b"--b--\r\n", b"no boundary", b"--b\r\n\r\nno end", b"--b junk\r\n\r\nx\r\n--b--\r\n"],
)
def test_broken_multipart_is_a_bad_request(site: Site, body: bytes) -> None:
    assert site.post(body).status == 400


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Transfer-Encoding": "gzip"}, b""),
        ({"Transfer-Encoding": "chunked", "Content-Length": "5"}, b"0\r\n\r\n"),
        ({"Transfer-Encoding": "chunked"}, b"zz\r\n"),
        ({"Transfer-Encoding": "chunked"}, b"1\r\nab\r\n"),
        ({"Content-Length": "-5"}, b""),
        ({"Content-Length": "5", "content-length": "6"}, b""),
    ],
)
def test_a_body_whose_end_is_not_clear_is_a_bad_request(
    site: Site, headers: dict[str, str], body: bytes
) -> None:
    known = {"Authorization": f"Bearer {TOKEN}", "Content-Type": KIND}
    answer = site.raw("POST", "/dicom-web/studies", known | headers, body)
    assert answer.status == 400
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize(
    "line",
    [
        b"Content-Length : %d",
        b"no header at all\r\nContent-Length: %d",
        b"X: y\r\n Content-Length: %d",
        b" Content-Length: %d",
        b"X: y\rTransfer-Encoding: chunked\r\nContent-Length: %d",
        b"X: y\0\r\nContent-Length: %d",
        b"Content-L\xc3\xa4nge: 1\r\nContent-Length: %d",
    ],
)
def test_no_request_is_smuggled_in_the_body_of_another(
    site: Site, receiver: RecordingReceiver, line: bytes
) -> None:
    """Where a proxy sees one request, the node must not see two (RFC 9112 5.1, 5.2, 11.2)."""
    hidden = b"GET /dicom-web/hidden HTTP/1.1\r\nHost: x\r\n\r\n"
    head = f"POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
    head += f"Content-Type: {KIND}\r\n"
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as sock:
        sock.sendall(head.encode() + line % len(hidden) + b"\r\n\r\n" + hidden)
        said = b""
        while more := sock.recv(65536):
            said += more
    assert said.startswith(b"HTTP/1.1 400 ")
    assert said.count(b"HTTP/1.1 ") == 1
    assert b"Connection: close" in said
    assert not receiver.received


def test_a_truncated_body_stores_what_came_whole_and_no_more(
    site: Site, receiver: RecordingReceiver, tmp_path: Path
) -> None:
    body = multipart(written(tmp_path), written(tmp_path, uid="2.25.2"))
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as sock:
        head = f"Authorization: Bearer {TOKEN}\r\nContent-Type: {KIND}\r\n"
        length = f"Content-Length: {len(body)}\r\n"
        sock.sendall(f"POST /dicom-web/studies HTTP/1.1\r\n{head}{length}\r\n".encode())
        sock.sendall(body[:-100])
        sock.shutdown(socket.SHUT_WR)
        assert Answer(sock).status == 400
    assert [each.sop_instance_uid for each in receiver.received] == ["2.25.1"]
    assert site.server.intake.held_bytes == 0


def test_too_much_is_told_before_it_is_read(
    site: Site, receiver: RecordingReceiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert site.post(multipart(bytes(LIMIT + 1))).status == 413
    announced = site.post(b"", Content_Length=str(4 * LIMIT + 1), Expect="100-continue")
    assert announced.status == 413, "and 100 was not said"
    chunked = b"%x\r\n" % (5 * LIMIT)
    answer = site.post(chunked, Content_Length="", Transfer_Encoding="chunked")
    assert answer.status == 413
    monkeypatch.setattr(storing_module, "INSTANCES_AT_MOST", 1)
    assert site.post(multipart(b"x", b"y")).status == 413
    assert receiver.received == []


def test_a_stranger_is_refused_before_its_body_is_wanted(site: Site) -> None:
    answer = site.raw(
        "POST",
        "/dicom-web/studies",
        {"Content-Length": "1000", "Content-Type": KIND, "Expect": "100-continue"},
    )
    assert answer.status == 401


def test_who_waits_for_100_is_told_to_go_on(site: Site, tmp_path: Path) -> None:
    body = multipart(written(tmp_path))
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as sock:
        head = f"Authorization: Bearer {TOKEN}\r\nContent-Type: {KIND}\r\nExpect: 100-continue\r\n"
        length = f"Content-Length: {len(body)}\r\n"
        sock.sendall(f"POST /dicom-web/studies HTTP/1.1\r\n{head}{length}\r\n".encode())
        assert sock.recv(100).startswith(b"HTTP/1.1 100")
        sock.sendall(body)
        assert Answer(sock).status == 200


def test_a_silent_and_a_slow_caller_cost_no_more_than_their_time(
    receiver: RecordingReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(receiver, idle_s=0.5, request_s=0.5) as site:
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", site.port), timeout=10) as sock:
            assert sock.recv(10) == b"", "it asked for nothing"
        with capture_logs() as lines:
            answer = site.post(b"--b", Content_Length="1000")
        assert answer.status == 408
        assert time.monotonic() - began < 6
        assert "a caller is dropped" in [line["event"] for line in lines]
        with socket.create_connection(("127.0.0.1", site.port), timeout=10) as sock:
            head = f"Authorization: Bearer {TOKEN}\r\nContent-Type: {KIND}\r\n"
            sock.sendall(f"POST /dicom-web/studies HTTP/1.1\r\n{head}".encode())
            sock.sendall(b"Content-Length: 1000\r\n\r\n")
            stop = threading.Event()

            def drip() -> None:
                while not stop.wait(0.1):
                    try:
                        sock.sendall(b"x")
                    except OSError:
                        return

            thread = threading.Thread(target=drip, daemon=True)
            thread.start()
            assert Answer(sock).status == 408
            stop.set()
            thread.join()


def test_connections_beyond_the_limit_are_told_to_come_later(
    receiver: RecordingReceiver, tmp_path: Path
) -> None:
    with (
        serving(receiver, requests_at_most=1) as site,
        socket.create_connection(("127.0.0.1", site.port), timeout=10),
    ):
        time.sleep(0.2)
        with socket.create_connection(("127.0.0.1", site.port), timeout=10) as sock:
            answer = Answer(sock)
        assert (answer.status, answer.headers["retry-after"]) == (503, "60")


def test_a_large_request_is_in_memory_one_instance_at_a_time(tmp_path: Path) -> None:
    """What is held for a sender stays near twice the instance, however many come."""
    size, count = 900_000, 12
    padding = b"\x09\x70\x10\x10OB\0\0" + size.to_bytes(4, "little") + bytes(size)
    file = written(tmp_path) + padding

    class Forgetting:
        def receive(self, received: ReceivedObject) -> Receipt:
            return Receipt.NEW

    intake = Intake(1 << 22)
    with serving(Forgetting(), intake=intake, max_request_bytes=1 << 25) as site:
        body = multipart(*[file] * count)
        site.post(multipart(file))  # what is loaded once is not counted
        gc.collect()
        tracemalloc.start()
        answer = site.post(body)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert answer.status == 200
    assert len(answer.of(STORED)) == count
    assert peak < 4 * size
    assert intake.held_bytes == 0


def test_callers_without_memory_for_them_are_told_to_come_later(
    receiver: RecordingReceiver, tmp_path: Path
) -> None:
    intake, other = Intake(LIMIT), receiver
    assert intake.take(other, LIMIT, within_s=0)
    with serving(receiver, intake=intake, idle_s=0.3) as site:
        answer = site.post(multipart(written(tmp_path)))
    assert (answer.status, answer.headers["retry-after"]) == (503, "60")


def test_over_tls_the_certificate_is_that_of_the_peer(
    receiver: RecordingReceiver, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    server = Credentials(files(authority.issue("node"), authority.path), server_side=True)
    ours = files(authority.issue("gateway"), authority.path)
    instances = write_instances(tmp_path, 1)
    client = DicomWebClient()
    for subject, ends in ((("commonName", "gateway"),), None), ((("commonName", "x"),), "401"):
        known = peer(require_tls=True, subject=subject)
        with serving(receiver, known, credentials=server) as site:
            node = Destination(
                name="node",
                ae_title="N",
                host="127.0.0.1",
                port=site.port,
                web=WebAccess(
                    url=f"https://127.0.0.1:{site.port}/dicom-web",
                    authorization=lambda: f"Bearer {TOKEN}",
                ),
                tls=DestinationTls(files=ours),
            )
            outcomes = Outcomes()
            if ends is None:
                client.send(node, instances, outcomes)
                assert outcomes == [(0, Outcome.STORED, 0)]
                with capture_logs() as lines:
                    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as sock:
                        sock.sendall(b"POST / HTTP/1.1\r\n\r\n")
                        with contextlib.suppress(OSError):
                            assert sock.recv(100)[:4] != b"HTTP"
                    time.sleep(0.2)
                assert "a TLS handshake failed" in [line["event"] for line in lines]
            else:
                with pytest.raises(Exception, match=ends):
                    client.send(node, instances, outcomes)
    client.close()


def test_our_client_reads_what_our_server_refuses(site: Site, tmp_path: Path) -> None:
    instance, path = write_instances(tmp_path, 1)[0]
    path.write_bytes(bytes(LIMIT + 1))
    access = WebAccess(
        url=f"http://127.0.0.1:{site.port}/dicom-web", authorization=lambda: f"Bearer {TOKEN}"
    )
    node = Destination(name="node", ae_title="N", host="127.0.0.1", port=site.port, web=access)
    client = DicomWebClient()
    with pytest.raises(RefusedError, match="413"):
        client.send(node, [(instance, path)], Outcomes())
    client.close()


def test_stopping_lets_a_request_end_and_cuts_what_takes_longer(tmp_path: Path) -> None:
    entered, release = threading.Event(), threading.Event()

    class Slow:
        def receive(self, received: ReceivedObject) -> Receipt:
            entered.set()
            release.wait(10)
            return Receipt.NEW

    answers: list[Answer] = []
    with serving(Slow()) as site:
        body = multipart(written(tmp_path))
        sender = threading.Thread(target=lambda: answers.append(site.post(body)))
        sender.start()
        assert entered.wait(10)
        threading.Timer(0.3, release.set).start()
        site.server.stop(grace_s=5)
        sender.join(10)
    assert [answer.status for answer in answers] == [200]
    site.server.stop()


def test_a_port_that_is_taken_is_a_configuration_error(site: Site) -> None:
    taken = replace_port(site)
    with pytest.raises(ConfigurationError, match="dicomweb: cannot listen"):
        taken.start()


def replace_port(site: Site) -> WebServer:
    return WebServer(
        host="127.0.0.1",
        port=site.port,
        storing=replace(site.server.storing),
        intake=site.server.intake,
        max_request_bytes=LIMIT,
    )
