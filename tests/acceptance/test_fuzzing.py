"""Broken streams against the real node: a conversation, mutated byte by byte and PDU by PDU.

500 of them, or as many as DICOM_NODE_FUZZ in the environment says; a failure tells the seed.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import struct
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import yaml
from pynetdicom import AE, build_context
from pynetdicom import _config as pynetdicom_config

from tests.acceptance.harness import Node, wait_until
from tests.network.objects import COMPUTED_RADIOGRAPHY, free_port, write_object

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COUNT = int(os.environ.get("DICOM_NODE_FUZZ", "500"))
SEED = int(os.environ.get("DICOM_NODE_FUZZ_SEED", "20"))
EXPLICIT = "1.2.840.10008.1.2.1"


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


def pdus(stream: bytes) -> list[bytes]:
    found = []
    while len(stream) >= 6:
        (length,) = struct.unpack(">I", stream[2:6])
        found.append(stream[: 6 + length])
        stream = stream[6 + length :]
    return found


def mutated(stream: bytes, choice: random.Random) -> bytes:
    parts = pdus(stream)
    kind = choice.randrange(8)
    if kind == 0:  # some bytes anywhere
        data = bytearray(stream)
        for _ in range(choice.randint(1, 8)):
            data[choice.randrange(len(data))] = choice.randrange(256)
        return bytes(data)
    if kind == 1:  # the request for an association
        data = bytearray(parts[0])
        for _ in range(choice.randint(1, 4)):
            data[choice.randrange(6, len(data))] = choice.choice((0, 1, 0x7F, 0x80, 0xFF))
        return bytes(data) + b"".join(parts[1:])
    if kind == 2:  # a length
        at = choice.randrange(len(parts))
        data = bytearray(parts[at])
        data[2:6] = struct.pack(">I", choice.choice((0, 1, 5, 0x7FFFFFFF, 0xFFFFFFFF)))
        parts[at] = bytes(data)
        return b"".join(parts)
    if kind == 3:  # cut
        return stream[: choice.randrange(1, len(stream))]
    if kind == 4:  # PDUs out of order, twice, or not at all
        some = choice.choices(parts, k=choice.randint(1, len(parts) + 2))
        return parts[0] + b"".join(some)
    if kind == 5:  # bytes put in between
        at = choice.randrange(len(stream))
        return stream[:at] + choice.randbytes(choice.randint(1, 300)) + stream[at:]
    if kind == 6:  # the command or the data set, in whole PDUs
        at = choice.randrange(1, len(parts))
        data = bytearray(parts[at])
        for _ in range(choice.randint(1, 6)):
            if len(data) > 13:
                data[choice.randrange(12, len(data))] = choice.randrange(256)
        parts[at] = bytes(data)
        return b"".join(parts)
    return bytes((choice.randrange(256),)) + choice.randbytes(choice.randint(1, 400))


def throw(port: int, data: bytes) -> None:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as sock:
        sock.settimeout(0.25)
        sock.sendall(data)
        while sock.recv(4096):
            pass


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    values = {
        "node": {
            "ae_title": "SYNTH",
            "port": free_port(),
            "data_dir": "data",
            "request_timeout_s": 3,
            "idle_timeout_s": 30,
        },
        "peers": [{"name": "fuzz", "ae_title": "FUZZ"}, {"name": "good", "ae_title": "GOOD"}],
        "retention": {"min_free_bytes": 0},
    }
    made = Node(tmp_path, values)
    made.config.write_text(yaml.safe_dump(values))
    made.start(within_s=120)
    yield made
    made.kill()


@pytest.mark.slow
def test_no_stream_hangs_crashes_or_starves_the_node(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pynetdicom_config, "STORE_SEND_CHUNKED_DATASET", True)
    stream = record(
        node.port, write_object(tmp_path / "object.dcm", sop_class=COMPUTED_RADIOGRAPHY)
    )
    assert [part[0] for part in pdus(stream)] == [1, 4, 4, 5]
    good = write_object(tmp_path / "good.dcm", sop_class=COMPUTED_RADIOGRAPHY, uid="2.25.99")
    neighbour = AE(ae_title="GOOD").associate(
        "127.0.0.1",
        node.port,
        contexts=[build_context(COMPUTED_RADIOGRAPHY, EXPLICIT)],
        ae_title="SYNTH",
    )
    assert neighbour.is_established
    assert neighbour.send_c_store(good).Status == 0x0000
    time.sleep(0.5)
    process = node.process
    descriptors, threads = process.num_fds(), process.num_threads()
    memory = process.memory_info().rss
    choice = random.Random(SEED)
    streams = [mutated(stream, choice) for _ in range(COUNT)]
    with ThreadPoolExecutor(6) as pool:
        for begin in range(0, COUNT, 50):
            list(pool.map(lambda data: throw(node.port, data), streams[begin : begin + 50]))
            assert neighbour.is_established, f"seed {SEED}, before {begin + 50}"
            assert neighbour.send_c_store(good).Status == 0x0000
    assert process.is_running()
    wait_until(lambda: process.num_fds() <= descriptors + 2, 20, "descriptors given back")
    wait_until(lambda: process.num_threads() <= threads + 2, 20, "threads given back")
    assert process.memory_info().rss < memory + 150 * 2**20
    assert neighbour.send_c_store(good).Status == 0x0000
    neighbour.release()
    broken = [
        line
        for line in node.lines
        if line["event"] in ("a thread died", "the process crashed", "a connection broke")
        or line["event"] == "a received object was not stored"
    ]
    told = Counter((line["event"], line.get("error", line.get("reason"))) for line in broken)
    assert told == {}, f"seed {SEED}"
    assert node.stop() == 0
