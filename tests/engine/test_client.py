"""The engine port over real processes that crash, hang and talk nonsense."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest

from dicom_node.domain.errors import EngineDownError, EngineError, EngineInputError
from dicom_node.domain.retry import RetryPolicy
from dicom_node.engine.client import ChildEngine
from tests.engine.requests import request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from synthesis.types import SynthesisResult

ROOT = Path(__file__).parents[2]
AT_ONCE = RetryPolicy(first_s=1e-3, factor=1.0, max_s=1e-3, attempts=10**9)


@pytest.fixture(autouse=True)
def tests_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def faulty(respawn: RetryPolicy = AT_ONCE, models: dict[str, str] | None = None) -> ChildEngine:
    return ChildEngine(models or {}, "cpu", respawn=respawn, module="tests.engine.faulty")


@pytest.fixture
def engine() -> Iterator[ChildEngine]:
    made = faulty()
    yield made
    made.close()


def run(engine: ChildEngine, model: str, deadline_s: float = 20.0) -> SynthesisResult:
    return engine.synthesize(model, request(), deadline_s=deadline_s)


def gone(pid: int, within_s: float = 5.0) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def test_a_request_is_answered_by_another_process(engine: ChildEngine) -> None:
    assert not engine.alive
    result = run(engine, "echo")
    sent = request()
    assert [image.view for image in result.images] == list(sent.views)
    for index, image in enumerate(result.images):
        assert np.array_equal(image.pixels, sent.source.pixels * np.float32(index + 1))
    assert result.model.version == str(engine.pid) != str(os.getpid())


def test_the_process_is_kept_from_one_request_to_the_next(engine: ChildEngine) -> None:
    assert run(engine, "echo").model.version == run(engine, "echo").model.version


def test_a_large_image_goes_through(engine: ChildEngine) -> None:
    sent = request(side=3000)
    result = engine.synthesize("echo", sent, deadline_s=60)
    assert np.array_equal(result.images[0].pixels, sent.source.pixels)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("crash", "exit code 7"),
        ("segfault", "SIGSEGV"),
        ("memory", "out of memory"),
        ("killed", "SIGKILL"),
        ("torch-memory", "out of memory"),
        ("bug", "unexpected KeyError"),
    ],
)
def test_a_breakdown_costs_one_request_and_the_next_is_answered(
    engine: ChildEngine, model: str, reason: str
) -> None:
    first = run(engine, "echo").model.version
    with pytest.raises(EngineError, match=reason) as raised:
        run(engine, model)
    assert "Secret" not in str(raised.value)
    assert not isinstance(raised.value, EngineDownError)
    assert run(engine, "echo").model.version != first


@pytest.mark.parametrize("model", ["hang", "hang-in-c"])
def test_at_its_deadline_the_process_is_killed(engine: ChildEngine, model: str) -> None:
    pid = int(run(engine, "echo").model.version)
    started = time.monotonic()
    with pytest.raises(EngineError, match=r"deadline"):
        run(engine, model, deadline_s=0.5)
    assert time.monotonic() - started < 5
    assert gone(pid)
    run(engine, "echo")


def test_what_the_process_started_dies_with_it(engine: ChildEngine) -> None:
    raised: list[Exception] = []

    def ask() -> None:
        try:
            run(engine, "offspring")
        except EngineError as error:
            raised.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    deadline = time.monotonic() + 10
    offspring: list[psutil.Process] = []
    while not offspring and time.monotonic() < deadline:
        offspring = psutil.Process(engine.pid).children() if engine.pid else []
        time.sleep(0.02)
    engine.close()
    thread.join(5)
    assert len(raised) == 1
    assert gone(offspring[0].pid)


def test_output_of_the_process_goes_to_the_log_and_not_between_messages(
    engine: ChildEngine, capfd: pytest.CaptureFixture[str]
) -> None:
    assert len(run(engine, "noise").images) == 3
    assert len(run(engine, "noise").images) == 3
    engine.close()
    logged = capfd.readouterr().out
    for line in ("printed by python", "written by a C library", "by a program"):
        assert logged.count(line) == 2


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("input", "above 90 degrees"),
        ("nan", "NaN"),
        ("missing", "no_such_module_anywhere is not installed"),
    ],
)
def test_a_request_that_can_never_succeed_is_an_input_error_and_the_process_stays(
    engine: ChildEngine, model: str, reason: str
) -> None:
    first = run(engine, "echo").model.version
    with pytest.raises(EngineInputError, match=reason):
        run(engine, model)
    assert run(engine, "echo").model.version == first


def test_a_process_killed_by_somebody_is_an_engine_error(engine: ChildEngine) -> None:
    pid = int(run(engine, "echo").model.version)
    threading.Timer(0.5, os.kill, (pid, signal.SIGKILL)).start()
    with pytest.raises(EngineError, match=r"SIGKILL.*memory"):
        run(engine, "hang")


def test_a_process_killed_between_requests_is_replaced(engine: ChildEngine) -> None:
    pid = int(run(engine, "echo").model.version)
    os.kill(pid, signal.SIGKILL)
    assert gone(pid)
    deadline = time.monotonic() + 10  # the system may say so a moment later
    while engine.alive and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not engine.alive
    assert run(engine, "echo").model.version != str(pid)


def test_after_breakdowns_in_a_row_the_process_rests_before_it_starts_again() -> None:
    engine = faulty(RetryPolicy(first_s=60, factor=1, max_s=60, attempts=10**9))
    try:
        with pytest.raises(EngineError, match="exit code 7"):
            run(engine, "crash")
        started = time.monotonic()
        with pytest.raises(EngineDownError, match="1 times in a row"):
            run(engine, "echo", deadline_s=1)
        assert time.monotonic() - started < 1
        assert not engine.alive
    finally:
        engine.close()


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("crash-at-load", "exit code 9"),
        ("memory-at-load", "out of memory"),
        ("hang-at-load", "deadline"),
    ],
)
def test_a_breakdown_before_the_request_is_not_the_requests_fault(
    engine: ChildEngine, model: str, reason: str
) -> None:
    with pytest.raises(EngineDownError, match=reason):
        run(engine, model, deadline_s=3.0 if model == "hang-at-load" else 20.0)
    run(engine, "echo")


def test_a_model_that_loads_does_not_end_the_backoff_of_requests_that_kill() -> None:
    engine = faulty(RetryPolicy(first_s=0.2, factor=4, max_s=0.8, attempts=10**9))
    try:
        for _ in range(2):
            with pytest.raises(EngineError, match="exit code 7"):
                run(engine, "crash")
        started = time.monotonic()
        run(engine, "echo")
        assert time.monotonic() - started >= 0.7
        with pytest.raises(EngineError, match="exit code 7"):
            run(engine, "crash")
        with pytest.raises(EngineDownError, match="1 times in a row"):
            run(engine, "echo", deadline_s=0.1)
    finally:
        engine.close()


def test_the_rest_is_waited_out_within_the_deadline() -> None:
    engine = faulty(RetryPolicy(first_s=0.3, factor=1, max_s=0.3, attempts=10**9))
    try:
        with pytest.raises(EngineError):
            run(engine, "crash")
        started = time.monotonic()
        run(engine, "echo")
        assert time.monotonic() - started >= 0.25
    finally:
        engine.close()


def test_a_program_that_cannot_start_is_an_engine_error() -> None:
    engine = ChildEngine({}, "cpu", module="no.such.module", respawn=AT_ONCE)
    with pytest.raises(EngineDownError, match="exit code 1"):
        run(engine, "echo")
    engine.close()


def test_closing_is_quick_and_may_be_done_twice(engine: ChildEngine) -> None:
    pid = int(run(engine, "echo").model.version)
    started = time.monotonic()
    engine.close()
    engine.close()
    assert time.monotonic() - started < 1
    assert gone(pid)
    with pytest.raises(EngineError, match="stopped with the node"):
        run(engine, "echo")


def test_closing_cuts_a_request_that_runs(engine: ChildEngine) -> None:
    run(engine, "echo")
    threading.Timer(0.3, engine.close).start()
    started = time.monotonic()
    with pytest.raises(EngineError, match="stopped with the node"):
        run(engine, "hang")
    assert time.monotonic() - started < 3


def test_models_are_loaded_ahead_of_the_first_request() -> None:
    engine = faulty(models={"one": "/one", "broken-file": "/two", "three": "/three"})
    try:
        engine.warm_up().join(20)
        assert engine.alive
        pid = engine.pid
        assert run(engine, "echo").model.version == str(pid)
    finally:
        engine.close()


def test_a_model_that_cannot_be_loaded_is_an_input_error(engine: ChildEngine) -> None:
    with pytest.raises(EngineInputError, match="no checkpoint"):
        engine.load("broken-file", deadline_s=20)


NODE = """
import sys
from dicom_node.engine.client import ChildEngine
from tests.engine.requests import request
engine = ChildEngine({}, "cpu", module="tests.engine.faulty")
made = engine.synthesize("echo", request(), deadline_s=20)
print(made.model.version, file=sys.stderr, flush=True)
engine.synthesize(sys.argv[1], request(), deadline_s=600)
"""


@pytest.mark.parametrize("model", ["echo", "hang"])
def test_the_process_dies_with_a_node_that_is_killed(model: str) -> None:
    node = subprocess.Popen(
        [sys.executable, "-c", NODE, model],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert node.stderr is not None
    pid = int(node.stderr.readline())
    time.sleep(0.3)
    node.kill()
    node.wait()
    node.stderr.close()
    assert gone(pid)


def test_the_node_itself_loads_no_torch() -> None:
    code = "import sys; import dicom_node.engine.client; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def test_a_heartbeat_never_starts_the_process_and_is_answered_by_one_that_waits(
    engine: ChildEngine,
) -> None:
    assert not engine.heartbeat()
    assert engine.starts == 0
    run(engine, "echo")
    assert engine.heartbeat()
    assert engine.starts == 1
    pid = engine.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert gone(pid)
    assert not engine.heartbeat()


def test_a_process_that_works_has_a_heartbeat_without_being_disturbed(
    engine: ChildEngine,
) -> None:
    def hang() -> None:
        with pytest.raises(EngineError):
            run(engine, "hang", deadline_s=600)

    worker = threading.Thread(target=hang)
    worker.start()
    until = time.monotonic() + 20
    while not engine.alive and time.monotonic() < until:
        time.sleep(0.02)
    assert engine.heartbeat()
    engine.close()
    worker.join(20)
    assert not worker.is_alive()


def test_a_process_that_is_stopped_has_none_and_is_ended(
    engine: ChildEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicom_node.engine.client._BEAT_S", 0.5)
    run(engine, "echo")
    pid = engine.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    assert not engine.heartbeat()
    assert gone(pid)
