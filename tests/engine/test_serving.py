"""An engine on another machine breaks down, hangs and is asked by strangers, as one here does."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from dicom_node.domain.errors import EngineDownError, EngineError
from dicom_node.engine.client import ChildEngine, remote_engine
from dicom_node.engine.handshake import HandshakeError, ask, prove
from dicom_node.engine.serving import EngineServer
from tests.engine.requests import request
from tests.engine.test_client import gone, run

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def tests_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture
def server() -> Iterator[EngineServer]:
    made = EngineServer(
        host="127.0.0.1",
        port=0,
        secret="open sesame",
        models={},
        device="cpu",
        module="tests.engine.faulty",
    )
    threading.Thread(target=made.serve, daemon=True).start()
    yield made
    made.close()


@pytest.fixture
def engine(server: EngineServer) -> Iterator[ChildEngine]:
    made = remote_engine({}, f"127.0.0.1:{server.port}", "open sesame")
    yield made
    made.close()


def test_requests_go_to_one_process_there_and_large_images_come_back(engine: ChildEngine) -> None:
    sent = request(side=1500)
    first = engine.synthesize("echo", sent, deadline_s=120)
    assert np.array_equal(first.images[0].pixels, sent.source.pixels)
    second = run(engine, "echo", deadline_s=120)
    assert first.model.version == second.model.version
    assert first.model.version != str(engine.pid)
    assert engine.heartbeat()


def test_a_breakdown_there_costs_one_request(engine: ChildEngine) -> None:
    first = run(engine, "echo", deadline_s=120).model.version
    with pytest.raises(EngineError, match="broke down"):
        run(engine, "crash", deadline_s=120)
    assert run(engine, "echo", deadline_s=120).model.version != first


def test_at_its_deadline_the_work_there_ends(engine: ChildEngine) -> None:
    pid = int(run(engine, "echo", deadline_s=120).model.version)
    with pytest.raises(EngineError, match="deadline"):
        run(engine, "hang", deadline_s=1.0)
    assert gone(pid, within_s=60)


def test_with_the_node_the_work_there_ends(engine: ChildEngine) -> None:
    pid = int(run(engine, "echo", deadline_s=120).model.version)
    engine.close()
    assert gone(pid, within_s=60)


def test_who_does_not_know_the_secret_gets_no_engine(server: EngineServer) -> None:
    stranger = remote_engine({}, f"127.0.0.1:{server.port}", "open barley")
    with pytest.raises(EngineDownError):
        run(stranger, "echo", deadline_s=120)
    stranger.close()


def test_one_more_than_there_are_is_turned_away(server: EngineServer, engine: ChildEngine) -> None:
    run(engine, "echo", deadline_s=120)
    other = remote_engine({}, f"127.0.0.1:{server.port}", "open sesame")
    with pytest.raises(EngineDownError):
        run(other, "echo", deadline_s=120)
    other.close()


def test_an_answer_cannot_be_given_back_to_whom_it_came_from() -> None:
    """Each side proves another sentence over nonces of both."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        asking = threading.Thread(target=lambda: ask(theirs, "a secret"))
        asking.start()
        prove(ours, "a secret")
        asking.join(60)
        assert not asking.is_alive()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        nonce = b"n" * 32
        theirs.sendall(nonce)

        def echo() -> None:
            theirs.sendall(theirs.recv(64)[32:])

        mirror = threading.Thread(target=echo)
        mirror.start()
        with pytest.raises(HandshakeError, match="does not know the secret"):
            prove(ours, "a secret")
        mirror.join(60)
