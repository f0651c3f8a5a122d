"""Start, stop, and what the node shares a machine with."""

from __future__ import annotations

import copy
import json
import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest
import yaml

from tests.acceptance.harness import Node, storescu, wait_until
from tests.acceptance.radiographs import copy_of
from tests.fakes.postgresql import PASSWORD
from tests.network.objects import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from tests.acceptance.conftest import Site


@pytest.fixture
def node(fresh_site: Site) -> Node:
    """One whose archive is away."""
    return fresh_site.node


def slow(node: Node, steps: int = 1000, samples: int = 16) -> None:
    """Let a synthesis take minutes."""
    values = yaml.safe_load(node.config.read_text())
    values["routes"][0]["synthesize"] |= {"steps": steps, "samples": samples}
    node.config.write_text(yaml.safe_dump(values))


def send_one(node: Node, folder: Path) -> str:
    dataset = copy_of("RG1_UNCR.dcm", every=8)
    dataset.save_as(folder / "one.dcm")
    assert storescu(node.port, folder / "one.dcm") == 0
    return str(dataset.SOPInstanceUID)


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def test_a_cold_start_is_quick_and_says_where_the_node_listens(node: Node) -> None:
    values = yaml.safe_load(node.config.read_text())
    values["node"]["port"] = 0
    node.config.write_text(yaml.safe_dump(values))
    node.start()
    assert cpu_seconds(node.process) < 10  # not of the clock: a machine may have other work
    ready = next(line for line in node.lines if line["event"] == "node_ready")
    assert ready["console_port"] is None
    with socket.create_connection(("127.0.0.1", ready["dicom_port"]), timeout=2):
        pass
    assert node.process.memory_info().rss < 200 * 2**20


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_an_idle_node_in_order(node: Node, number: int) -> None:
    node.start()
    engine = node.engine()
    node.signal(number)
    assert node.wait(60) == 0
    assert node.lines[-1]["event"] == "the node has stopped"
    assert gone(engine)


@pytest.mark.on_both
@pytest.mark.peer
def test_a_signal_in_the_middle_of_a_synthesis_gives_the_job_back(
    node: Node, tmp_path: Path
) -> None:
    slow(node)
    node.start()
    send_one(node, tmp_path)
    node.wait_for("a job runs", 60)
    node.signal(signal.SIGTERM)
    assert node.wait(60) == 0
    (job,) = node.jobs()
    assert job["state"] == "queued"


@pytest.mark.peer
def test_a_second_signal_ends_the_node_at_once(node: Node, tmp_path: Path) -> None:
    slow(node)
    node.start()
    engine = node.engine()
    send_one(node, tmp_path)
    node.wait_for("a job runs", 60)
    node.signal(signal.SIGTERM)
    node.wait_for("the node stops: what runs is finished or given back", 60)
    node.signal(signal.SIGTERM)
    assert node.wait(10) == 128 + signal.SIGTERM
    wait_until(lambda: gone(engine), 60, "the engine's end")


def test_a_caller_that_hangs_does_not_keep_the_node_alive(node: Node) -> None:
    node.start()
    with socket.create_connection(("127.0.0.1", node.port)) as caller:
        caller.sendall(b"\x01\x00\x00\x00\x10\x00half a request")
        time.sleep(0.3)
        node.signal(signal.SIGTERM)
        assert node.wait(60) == 0


def test_the_engine_dies_with_a_node_that_is_killed(node: Node) -> None:
    node.start()
    engine = node.engine()
    node.kill()
    wait_until(lambda: gone(engine), 60, "the engine's end")


def refused(node: Node) -> str:
    """What a node that cannot start says."""
    done = subprocess.run(
        [sys.executable, "-m", "dicom_node", "serve", "--config", str(node.config)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    return done.stderr


def test_two_nodes_cannot_share_a_data_folder(node: Node) -> None:
    node.start()
    assert f"process {node.process.pid}" in refused(node)
    node.stop()
    node.start()


@pytest.mark.parametrize("ledger", ["postgresql"], indirect=True)
def test_two_nodes_cannot_share_a_ledger(node: Node) -> None:
    """Each with a data folder of its own: neither at once nor in turn."""
    node.start()
    told = refused(other_folder(node))
    assert f"is the ledger of another data folder, {node.folder / 'data'} on " in told
    assert PASSWORD not in told
    assert node.stop() == 0
    assert "another data folder" in refused(other_folder(node))
    node.start()


def other_folder(node: Node) -> Node:
    """The configuration of a node with another data folder and the same ledger."""
    other = copy.copy(node)
    values = yaml.safe_load(node.config.read_text())
    values["node"] |= {"data_dir": "other", "port": free_port()}
    values["node"].setdefault("database_url", node.ledger_url)
    other.config = node.folder / "other.yaml"
    other.config.write_text(yaml.safe_dump(values))
    return other


def test_a_port_that_is_taken_is_told(node: Node) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", node.port))
        holder.listen()
        assert f"cannot listen on 127.0.0.1:{node.port}" in refused(node)


@pytest.mark.peer
def test_an_engine_that_is_killed_costs_an_attempt_and_not_the_node(
    fresh_site: Site, tmp_path: Path
) -> None:
    node, archive = fresh_site.node, fresh_site.archive
    archive.start()
    slow(node, steps=40, samples=1)  # seconds of work: long enough to be killed in its middle
    node.start()
    node.wait_for("a model is loaded", 120)
    engine = node.engine()
    idle_s = cpu_seconds(engine)
    uid = send_one(node, tmp_path)
    node.wait_for("a job runs", 60)
    # An engine that dies before it has the request costs no attempt, so it must be at work.
    wait_until(lambda: cpu_seconds(engine) > idle_s + 0.2, 60, "an engine at work")
    os.kill(engine.pid, signal.SIGKILL)
    failure = node.wait_for("a job failed and runs again", 60)
    assert "SIGKILL" in failure["error"]
    assert len(archive.wait_for_series(uid, within_s=180)) == 4
    (job,) = node.jobs()
    assert job["attempts"] == 2


BASE_INSTALLATION = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "einops", "safetensors", "jaxtyping", "nanodrr"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
from dicom_node.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.peer
def test_a_node_receives_on_a_machine_without_torch(node: Node, tmp_path: Path) -> None:
    script = tmp_path / "base.py"
    script.write_text(BASE_INSTALLATION)
    node.start([str(script), "serve"])
    uid = send_one(node, tmp_path)
    node.wait_for("an image was planned", 60)
    (image,) = node.images()
    assert image["sop_instance_uid"] == uid
    assert image["decision"] == "accept"


def test_every_line_of_output_is_json_with_a_sentence_and_a_level(node: Node) -> None:
    node.start()
    node.stop()
    assert len(node.lines) >= 4
    for line in node.lines:
        assert json.dumps(line)
        assert {"event", "level", "timestamp", "logger"} <= set(line)
