"""DICOMweb towards servers that answer what a test asks for, and towards Orthanc."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from dicom_node.domain.deliveries import Outcome
from dicom_node.domain.errors import (
    BusyError,
    IntegrityError,
    NodeError,
    PeerError,
    RefusedError,
    UnreachableError,
)
from dicom_node.domain.routes import Destination
from dicom_node.domain.security import DestinationTls
from dicom_node.domain.webaccess import WebAccess
from dicom_node.network import web as web_module
from dicom_node.network.multipart import boundary_of, parts_of
from dicom_node.network.stow import Answer, answers_of, response_of
from dicom_node.network.tls import Credentials
from dicom_node.network.web import DicomWebClient
from dicom_node.ports import StudyQuery
from tests.network.certificates import Authority, files
from tests.network.objects import free_port, write_instances
from tests.network.test_scu import Outcomes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Service:
    """What a web server is to answer, and what it was asked."""

    def __init__(self) -> None:
        self.status = 200
        self.body: bytes = b"{}"
        self.headers: dict[str, str] = {}
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.before: Callable[[], object] = lambda: None


@contextmanager
def serving(service: Service, credentials: Credentials | None = None) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b""
            if self.headers.get("Transfer-Encoding") == "chunked":
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
            service.asked.append((self.command, self.path, dict(self.headers), body))
            service.before()
            self.send_response(service.status)
            for name, value in service.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(service.body)))
            self.end_headers()
            self.wfile.write(service.body)

        do_POST = do_GET

        def log_message(self, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if credentials is not None:
        context = credentials.context()
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def at(port: int, scheme: str = "http", token: str | None = None) -> Destination:
    access = WebAccess(
        url=f"{scheme}://127.0.0.1:{port}/dicom-web",
        authorization=None if token is None else lambda: token,
    )
    return Destination(name="vna", ae_title="vna", host="127.0.0.1", port=port, web=access)


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def client() -> Iterator[DicomWebClient]:
    made = DicomWebClient()
    yield made
    made.close()


def store_answer(stored: dict[str, int], failed: dict[str, int]) -> bytes:
    answers = [
        Answer(sop_class_uid="1.2", sop_instance_uid=uid, status=status)
        for uid, status in (stored | failed).items()
    ]
    return json.dumps(response_of(answers)[1]).encode()


def test_a_request_holds_the_files_as_they_lie_on_disk_and_the_token(
    service: Service, client: DicomWebClient, tmp_path: Path
) -> None:
    instances, outcomes = write_instances(tmp_path, 3), Outcomes()
    with serving(service) as port:
        client.send(at(port, token="Bearer secret"), instances, outcomes)
    ((method, path, headers, body),) = service.asked
    assert (method, path) == ("POST", "/dicom-web/studies")
    assert headers["Authorization"] == "Bearer secret"
    assert headers["Accept"] == "application/dicom+json"
    boundary = boundary_of(headers["Content-Type"])
    parts = list(parts_of([body], boundary, bytes_at_most=1 << 20))
    assert [part.body for part in parts] == [path.read_bytes() for _, path in instances]
    assert outcomes == [(n, Outcome.STORED, 0) for n in range(3)]


def test_many_instances_go_in_several_requests(
    service: Service,
    client: DicomWebClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(web_module, "BATCH_INSTANCES", 2)
    outcomes = Outcomes()
    with serving(service) as port:
        client.send(at(port), write_instances(tmp_path, 3), outcomes)
    assert len(service.asked) == 2
    assert [index for index, _, _ in outcomes] == [0, 1, 2]


def test_each_instance_has_the_outcome_the_response_gives_it(
    service: Service, client: DicomWebClient, tmp_path: Path
) -> None:
    service.status = 202
    service.body = store_answer({"2.25.1000": 0, "2.25.1001": 0xB000}, {"2.25.1002": 0xA700})
    outcomes = Outcomes()
    with serving(service) as port:
        client.send(at(port), write_instances(tmp_path, 4), outcomes)
    assert outcomes == [
        (0, Outcome.STORED, 0),
        (1, Outcome.STORED, 0xB000),
        (2, Outcome.RETRY, 0xA700),
    ], "and of the last one nothing is known"


def test_a_conflict_that_names_the_instances_refuses_these(
    service: Service, client: DicomWebClient, tmp_path: Path
) -> None:
    service.status, service.body = 409, store_answer({}, {"2.25.1000": 0xC122})
    outcomes = Outcomes()
    with serving(service) as port:
        client.send(at(port), write_instances(tmp_path, 1), outcomes)
    assert outcomes == [(0, Outcome.REFUSED, 0xC122)]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, UnreachableError),
        (403, UnreachableError),
        (302, UnreachableError),
        (404, UnreachableError),
        (503, BusyError),
        (429, BusyError),
        (500, PeerError),
        (400, RefusedError),
        (415, RefusedError),
        (409, RefusedError),
    ],
)
def test_a_status_without_answers_has_its_policy(
    service: Service, client: DicomWebClient, tmp_path: Path, status: int, kind: type[NodeError]
) -> None:
    service.status, service.headers = status, {"Location": "http://127.0.0.1:1/"}
    outcomes = Outcomes()
    with serving(service) as port, pytest.raises(kind) as raised:
        client.send(at(port, token="Bearer secret"), write_instances(tmp_path, 1), outcomes)
    assert type(raised.value) is kind
    assert outcomes == []
    assert "secret" not in str(raised.value)
    assert len(service.asked) == 1, "a redirect is not followed, least of all with the token"


def test_nobody_there_and_one_who_hangs_up_are_told_apart(
    service: Service, client: DicomWebClient, tmp_path: Path
) -> None:
    instances = write_instances(tmp_path, 1)
    with pytest.raises(UnreachableError, match="vna cannot be reached"):
        client.send(at(free_port()), instances, Outcomes())

    def hang_up() -> None:
        raise ConnectionAbortedError

    service.before = hang_up
    with serving(service) as port, pytest.raises(PeerError, match="vna broke off") as raised:
        client.send(at(port), instances, Outcomes())
    assert not isinstance(raised.value, UnreachableError)


def test_one_who_gives_no_answer_costs_the_time_out_and_no_more(
    service: Service,
    client: DicomWebClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(web_module, "_SILENCE_S", 0.3)
    release = threading.Event()
    service.before = lambda: release.wait(30)
    with serving(service) as port:
        with pytest.raises(PeerError, match="too slow"):
            client.send(at(port), write_instances(tmp_path, 1), Outcomes())
        release.set()


def test_a_file_that_is_gone_is_an_integrity_error(client: DicomWebClient, tmp_path: Path) -> None:
    instances = write_instances(tmp_path, 1)
    instances[0][1].unlink()
    with pytest.raises(IntegrityError):
        client.send(at(free_port()), instances, Outcomes())


def test_a_closed_client_sends_nothing(client: DicomWebClient, tmp_path: Path) -> None:
    client.close()
    with pytest.raises(PeerError, match="stopping"):
        client.send(at(free_port()), write_instances(tmp_path, 1), Outcomes())


def test_https_shows_our_certificate_and_takes_no_strangers(
    service: Service, client: DicomWebClient, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    ours = files(authority.issue("node"), authority.path)
    theirs = Credentials(files(authority.issue("vna"), authority.path), server_side=True)
    with serving(service, theirs) as port:
        secured = replace(at(port, "https"), tls=DestinationTls(files=ours))
        assert client.echo(secured) >= 0
        with pytest.raises(UnreachableError, match="certificate is not accepted"):
            client.echo(at(port, "https"))


def test_an_echo_asks_for_nobody_and_tells_who_is_not_let_in(
    service: Service, client: DicomWebClient
) -> None:
    with serving(service) as port:
        service.status = 204
        assert client.echo(at(port)) >= 0
        assert "StudyInstanceUID=2.25.0" in service.asked[0][1]
        service.status = 401
        with pytest.raises(PeerError, match="401"):
            client.echo(at(port))


@pytest.mark.parametrize("body", [None, [], {}, 5, {"00081199": {"Value": [7]}}, [{"x": None}]])
def test_an_odd_response_says_nothing_and_200_is_enough(body: Any) -> None:
    assert answers_of(body, ["1.2"], all_stored=False) == {}
    assert answers_of(body, ["1.2"], all_stored=True)["1.2"].outcome is Outcome.STORED


def test_a_response_cannot_speak_of_what_was_not_asked() -> None:
    _, body = response_of([Answer(sop_class_uid="", sop_instance_uid="9.9", status=0)])
    assert answers_of(body, ["1.2"], all_stored=False) == {}


def test_a_query_that_is_answered_with_no_list_is_a_peer_error(
    service: Service, client: DicomWebClient
) -> None:
    service.body = b"<html>"
    with serving(service) as port, pytest.raises(PeerError, match="something else"):
        client.find_studies(at(port), StudyQuery(patient_id="1"), limit=5)
