"""Broken streams and data sets against the real node, of which none may hang, crash or starve it.

Half a thousand, or as many as DICOM_NODE_FUZZ in the environment says; DICOM_NODE_FUZZ_SEED draws
others. The figures of the longest run lie beside this file; ``-s`` prints those of the present one.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from pynetdicom import AE, build_context
from pynetdicom import _config as pynetdicom_config

from dicom_node.network.pausing import pause_surely
from tests.acceptance.harness import Node, configuration, wait_until
from tests.acceptance.mutations import (
    SYNTAXES,
    mutated_file,
    mutated_stream,
    pdus,
    sound_files,
)
from tests.iod.objects import radiograph
from tests.network.objects import COMPUTED_RADIOGRAPHY, free_port, write_object

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pynetdicom.association import Association

pytestmark = pytest.mark.slow

COUNT = int(os.environ.get("DICOM_NODE_FUZZ", "500"))
SEED = int(os.environ.get("DICOM_NODE_FUZZ_SEED", "20"))
STREAMS = COUNT * 7 // 10
DATA_SETS = COUNT - STREAMS
AT_ONCE = 6
EXPLICIT = "1.2.840.10008.1.2.1"
RIGGED = ("-m", "tests.acceptance.rigged", "serve", "--echo")
PATIENCE_S = 120.0

KEPT_OPEN = 40
"""Descriptors that may be more at the end: who writes at once has connections to the ledger, three
descriptors each, that are kept for others."""

NEVER = (
    "a connection broke",
    "a job failed and runs again",
    "a received object was not stored",
    "a service failed and goes on after a wait",
    "a thread died",
    "periodic work failed",
    "planning an image failed",
    "the process crashed",
)
"""Log events of what nobody foresaw."""


def record(port: int, path: Path) -> bytes:
    """What a storage SCU says in one conversation, as a relay hears it."""
    heard = bytearray()
    relay = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, target: socket.socket, keep: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if keep:
                    heard.extend(data)
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def accept() -> None:
        caller, _ = relay.accept()
        node = socket.create_connection(("127.0.0.1", port))
        back = threading.Thread(target=pump, args=(node, caller, False), daemon=True)
        back.start()
        pump(caller, node, True)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    ae = AE(ae_title="FUZZ")
    association = ae.associate(
        "127.0.0.1",
        relay.getsockname()[1],
        contexts=[build_context(COMPUTED_RADIOGRAPHY, EXPLICIT)],
        ae_title="SYNTH",
    )
    assert association.send_c_store(path).Status == 0x0000
    association.release()
    thread.join(5)
    relay.close()
    return bytes(heard)


def throw(port: int, data: bytes) -> None:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as sock:
        sock.settimeout(0.25)
        sock.sendall(data)
        while sock.recv(4096):
            pass


class Watched:
    """A node that is thrown things at, and a neighbour whose association must outlive them all."""

    def __init__(self, node: Node, folder: Path) -> None:
        self.node, self.process = node, node.process
        self._good = write_object(
            folder / "good.dcm", sop_class=COMPUTED_RADIOGRAPHY, uid="2.25.99"
        )
        self._neighbour = associate(node.port, "GOOD")
        self.check("at the beginning")
        self._began = time.monotonic()
        self._descriptors, self._threads = self.process.num_fds(), self.process.num_threads()
        self._memory = self.process.memory_info().rss

    def check(self, when: str) -> None:
        assert self._neighbour.is_established, f"seed {SEED}, {when}: {self.node.tail()}"
        assert self._neighbour.send_c_store(self._good).Status == 0x0000, f"seed {SEED}, {when}"

    def finish(self) -> dict[str, Any]:
        """See that it is as it was before; its figures."""
        self.check("at the end")
        seconds = time.monotonic() - self._began
        wait_until(
            lambda: self.process.num_fds() <= self._descriptors + KEPT_OPEN,
            PATIENCE_S,
            f"descriptors back: {self.process.num_fds()} of {self._descriptors}",
        )
        wait_until(
            lambda: self.process.num_threads() <= self._threads + 2, PATIENCE_S, "threads back"
        )
        descriptors = self.process.num_fds() - self._descriptors
        grown = (self.process.memory_info().rss - self._memory) / 2**20
        assert grown < 150
        self._neighbour.release()
        told = Counter(
            (line["event"], line.get("error", line.get("reason")))
            for line in self.node.lines
            if line["event"] in NEVER
        )
        assert told == {}, f"seed {SEED}"
        assert self.node.stop() == 0
        return {
            "seed": SEED,
            "seconds": round(seconds),
            "grown_mib": round(grown),
            "more_descriptors": descriptors,
        }


def associate(port: int, calling: str) -> Association:
    ae = AE(ae_title=calling)
    ae.acse_timeout = ae.dimse_timeout = PATIENCE_S
    ae.network_timeout = None  # the neighbour may have nothing to say for long
    contexts = [build_context(COMPUTED_RADIOGRAPHY, syntax) for syntax in SYNTAXES]
    association = ae.associate("127.0.0.1", port, contexts=contexts, ae_title="SYNTH")
    assert association.is_established
    pause_surely(association)
    return association


@pytest.fixture
def node(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    """A node that makes one view of every radiograph, for an archive that is away."""
    monkeypatch.setattr(pynetdicom_config, "STORE_SEND_CHUNKED_DATASET", True)
    values = configuration(port=free_port(), archive_port=free_port(), weights=weights)
    values["node"] |= {"request_timeout_s": 3, "idle_timeout_s": 3600}
    values["peers"] = [{"name": "fuzz", "ae_title": "FUZZ"}, {"name": "good", "ae_title": "GOOD"}]
    values["view_sets"]["few"] = {"azimuth": {"from_deg": 30, "to_deg": 30, "step_deg": 30}}
    made = Node(tmp_path, values)
    made.start(RIGGED, within_s=PATIENCE_S)
    yield made
    made.kill()


def test_no_stream_hangs_crashes_or_starves_the_node(node: Node, tmp_path: Path) -> None:
    stream = record(
        node.port, write_object(tmp_path / "object.dcm", sop_class=COMPUTED_RADIOGRAPHY)
    )
    assert [part[0] for part in pdus(stream)] == [1, 4, 4, 5]
    watched = Watched(node, tmp_path)
    choice = random.Random(SEED)
    streams = [mutated_stream(stream, choice) for _ in range(STREAMS)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for begin in range(0, STREAMS, 50):
            list(pool.map(lambda data: throw(node.port, data), streams[begin : begin + 50]))
            watched.check(f"before {begin + 50}")
    print(json.dumps({"streams": STREAMS, **watched.finish()}))


class Thrower(threading.Thread):
    """Sends some of the broken data sets over one association after another."""

    def __init__(self, port: int, folder: Path, files: dict[str, bytes], numbers: range) -> None:
        super().__init__(daemon=True)
        self._port, self._files, self._numbers = port, files, numbers
        self._path = folder / f"{numbers.start}.dcm"
        self.statuses: Counter[str] = Counter()

    def run(self) -> None:
        association = associate(self._port, "FUZZ")
        for number in self._numbers:
            choice = random.Random(SEED * 1_000_003 + number)
            self._path.write_bytes(mutated_file(self._files, number, choice))
            answer = association.send_c_store(self._path)
            self.statuses[f"0x{answer.Status:04X}" if "Status" in answer else "none"] += 1
            if not association.is_established:
                association = associate(self._port, "FUZZ")
        association.release()


def test_no_data_set_hangs_crashes_or_starves_the_node(node: Node, tmp_path: Path) -> None:
    watched = Watched(node, tmp_path)
    files = sound_files(radiograph)
    throwers = [
        Thrower(node.port, tmp_path, files, range(first, DATA_SETS, AT_ONCE))
        for first in range(AT_ONCE)
    ]
    for thrower in throwers:
        thrower.start()
    while any(thrower.is_alive() for thrower in throwers):
        throwers[0].join(1)
        watched.check("while data sets are thrown")
        for thrower in throwers:
            thrower.join(0.1)
    statuses = sum((thrower.statuses for thrower in throwers), Counter())
    assert statuses.total() == DATA_SETS
    assert set(statuses) <= {"0x0000", "0xC000"}, f"seed {SEED}: {statuses}"
    open_work = "SELECT count(*) FROM jobs WHERE state IN ('queued', 'running')"
    undecided = "SELECT count(*) FROM images WHERE decided_as IS NULL AND NOT conflicting"
    watched.check("before all is done")
    wait_until(
        lambda: node.rows(undecided) == node.rows(open_work) == [(0,)],
        PATIENCE_S + DATA_SETS,
        "all to be decided and done",
    )
    states = node.rows("SELECT state, count(*) FROM jobs GROUP BY state")
    images = node.rows("SELECT decided_as, count(*) FROM images GROUP BY decided_as")
    assert dict(states).keys() == {"done", "quarantined"}
    figures = {"statuses": statuses, "images": dict(images), "jobs": dict(states)}
    print(json.dumps({"data_sets": DATA_SETS, **figures, **watched.finish()}))
