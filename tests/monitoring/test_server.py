"""The port of those who watch: what it answers, and that nobody can hold it up."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from dicom_node.domain.errors import CapacityError, ConfigurationError, EngineDownError
from dicom_node.monitoring import server as server_module
from dicom_node.monitoring.health import Checked, Readiness, engine_answers, enough_room
from dicom_node.monitoring.metrics import Metrics
from dicom_node.monitoring.server import MonitoringServer

if TYPE_CHECKING:
    from collections.abc import Iterator


class State:
    checked: tuple[Checked, ...] = (Checked(part="dicom", seconds=0.01),)
    stopping = False


@pytest.fixture
def state() -> State:
    return State()


@pytest.fixture
def server(state: State) -> Iterator[MonitoringServer]:
    made = MonitoringServer(
        host="127.0.0.1",
        port=0,
        registry=Metrics().registry,
        ready=lambda: state.checked,
        stopping=lambda: state.stopping,
    )
    made.start()
    yield made
    made.stop()


def get(server: MonitoringServer, path: str, method: str = "GET") -> tuple[int, str, bytes]:
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read()


def test_metrics_come_in_the_text_format(server: MonitoringServer) -> None:
    status, kind, body = get(server, "/metrics?x=1")
    assert (status, kind.split(";")[0]) == (200, "text/plain")
    assert b"dicom_node_build_info{version=" in body


def test_a_ready_node_says_so_and_with_what(server: MonitoringServer) -> None:
    status, kind, body = get(server, "/health/ready")
    assert (status, kind) == (200, "application/json")
    assert json.loads(body) == {"ready": True, "parts": {"dicom": {"ok": True, "seconds": 0.01}}}


def test_a_node_that_is_not_ready_names_what_does_not_work(
    server: MonitoringServer, state: State
) -> None:
    state.checked = (*state.checked, Checked(part="disk", seconds=0.0, problem="full"))
    status, _, body = get(server, "/health/ready")
    assert status == 503
    assert json.loads(body)["parts"]["disk"] == {"ok": False, "seconds": 0.0, "problem": "full"}
    assert get(server, "/health/live")[0] == 200


def test_a_node_that_stops_is_alive_and_not_ready(server: MonitoringServer, state: State) -> None:
    state.stopping = True
    assert get(server, "/health/ready")[0] == 503
    assert get(server, "/health/live")[0] == 200


def test_other_paths_and_methods_are_refused(server: MonitoringServer) -> None:
    assert get(server, "/metrics/../etc/passwd")[0] == 404
    assert get(server, "/metrics", "POST")[0] == 501
    assert get(server, "/health/live", "HEAD") == (200, "application/json", b"")


def test_silent_callers_do_not_keep_others_out_for_long(
    server: MonitoringServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "CONNECTION_S", 0.5)
    silent = []
    try:
        for _ in range(server_module.REQUESTS_AT_MOST):
            silent.append(socket.create_connection(("127.0.0.1", server.port), timeout=20))
        for each in silent:
            assert each.recv(1) == b"", "cut by the server"
        assert get(server, "/health/live")[0] == 200
    finally:
        for each in silent:
            each.close()


def test_a_port_that_is_taken_is_a_configuration_error(server: MonitoringServer) -> None:
    other = MonitoringServer(
        host="127.0.0.1", port=server.port, registry=Metrics().registry, ready=lambda: ()
    )
    with pytest.raises(ConfigurationError, match="monitoring: cannot listen"):
        other.start()


def test_parts_are_tried_once_for_all_who_ask_and_a_failure_is_told() -> None:
    now, tried = [0.0], []

    def disk() -> None:
        tried.append("disk")
        raise CapacityError("5 bytes are free")

    def odd() -> None:
        raise ZeroDivisionError("with something about a patient")

    ready = Readiness(parts={"disk": disk, "odd": odd}, now=lambda: now[0])
    first = ready.check()
    assert first[0] == Checked(part="disk", seconds=0.0, problem="5 bytes are free")
    assert "patient" not in first[1].problem
    assert ready.check() is first
    now[0] = 10.0
    ready.check()
    assert tried == ["disk", "disk"]


def test_the_disk_is_ready_down_to_its_mark() -> None:
    enough_room(lambda: 100, 100)()
    with pytest.raises(CapacityError, match="99 bytes"):
        enough_room(lambda: 99, 100)()


def test_an_engine_that_is_gone_is_started_by_whoever_asks() -> None:
    class Gone:
        started = 0
        beats = False

        def heartbeat(self) -> bool:
            return self.beats

        def warm_up(self) -> Any:
            self.started += 1

    engine = Gone()
    with pytest.raises(EngineDownError):
        engine_answers(engine)()
    assert engine.started == 1
    engine.beats = True
    engine_answers(engine)()
    assert engine.started == 1
