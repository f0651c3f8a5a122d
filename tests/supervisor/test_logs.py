"""Logging is set up once a process, so each test has one of its own, forked from one that has
imported the node.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Lines = Callable[..., list[dict[str, Any]]]

BEGIN = """
import logging, threading, warnings
import structlog
from dicom_node.supervisor import logs
logs.configure()
log = structlog.get_logger("dicom_node.test")
def fail():
    raise ValueError("Secret^Patient")
"""


def _run(code: str, environment: dict[str, str], output: Path) -> None:
    os.environ.update(environment)
    with output.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    exec(BEGIN + code, {})


@pytest.fixture
def lines(tmp_path: Path) -> Lines:
    """What a process that runs the code writes to either stream, each line read as JSON."""
    fork = multiprocessing.get_context("forkserver")
    fork.set_forkserver_preload(["dicom_node.supervisor.logs", "pytest", __name__])

    def run(code: str, **environment: str) -> list[dict[str, Any]]:
        output = tmp_path / "output"
        process = fork.Process(target=_run, args=(code, environment, output))
        process.start()
        process.join()
        assert process.exitcode == 0
        written = output.read_text()
        assert "Secret" not in written
        return [json.loads(line) for line in written.splitlines()]

    return run


def test_a_line_is_one_json_object_with_sentence_and_fields(lines: Lines) -> None:
    (line,) = lines("log.info('an image was received', size_bytes=7, calling_ae_title='GRÜN')")
    assert line["event"] == "an image was received"
    assert (line["size_bytes"], line["calling_ae_title"]) == (7, "GRÜN")
    assert (line["level"], line["logger"]) == ("info", "dicom_node.test")
    assert line["timestamp"].endswith("Z")


def test_an_exception_is_told_by_class_and_place_and_not_by_its_text(lines: Lines) -> None:
    (line,) = lines("try: fail()\nexcept ValueError: log.error('it failed', exc_info=True)")
    assert line["event"] == "it failed"
    assert "ValueError" in line["error"]
    assert line["trace"][-1].endswith("fail")


def test_exceptions_of_libraries_are_told_without_text_too(lines: Lines) -> None:
    (line,) = lines(
        "try: fail()\nexcept ValueError as e: logging.getLogger('pynetdicom.dul').exception(e)"
    )
    assert (line["event"], line["logger"]) == ("a library tells of trouble", "pynetdicom.dul")
    assert "ValueError" in line["error"]


def test_a_line_of_a_library_stands_under_one_event_of_the_runbook(lines: Lines) -> None:
    """A caller that hangs up is an error to the library and no reason to call anybody."""
    (line,) = lines("logging.getLogger('pynetdicom.transport').error('Connection %s', 'refused')")
    assert (line["event"], line["level"]) == ("a library tells of trouble", "warning")
    assert (line["told"], line["logger"]) == ("Connection refused", "pynetdicom.transport")


def test_pydicom_is_silent_because_it_quotes_values(lines: Lines) -> None:
    assert (
        lines(
            "logging.getLogger('pydicom').error('Secret^Patient')\n"
            "from pydicom import Dataset\n"
            "d = Dataset()\n"
            "d.PatientID = 'Secret^Patient' * 20\n"
            "d.StudyDate = 'Secret^Patient'\n"
        )
        == []
    )


def test_what_libraries_tell_of_their_work_is_not_written(lines: Lines) -> None:
    code = (
        "for name in ('httpx', 'httpcore.http11', 'httpx2', 'python_multipart', 'some.library'):\n"
        "    for level in (logging.DEBUG, logging.INFO):\n"
        "        logging.getLogger(name).log(level, 'GET /studies?PatientID=Secret^Patient')\n"
        "    logging.getLogger(name).warning('no more room')\n"
    )
    for level in ("debug", "info"):
        told = lines(code, DICOM_NODE_LOG_LEVEL=level)
        assert [line["told"] for line in told] == ["no more room"] * 5
    assert lines(code, DICOM_NODE_LOG_LEVEL="error") == []


def test_an_address_that_is_asked_over_the_web_is_not_written(lines: Lines) -> None:
    code = (
        "import httpx\n"
        "answer = httpx.MockTransport(lambda request: httpx.Response(200))\n"
        "client = httpx.Client(transport=answer)\n"
        "client.get('http://archive/studies', params={'PatientID': 'Secret^Patient'})\n"
    )
    assert lines(code, DICOM_NODE_LOG_LEVEL="debug") == []


def test_a_thread_that_dies_is_told_without_text(lines: Lines) -> None:
    (line,) = lines("t = threading.Thread(target=fail, name='some'); t.start(); t.join()")
    assert (line["event"], line["thread"]) == ("a thread died", "some")


def test_the_level_comes_from_the_environment(lines: Lines) -> None:
    code = "log.debug('detail'); log.info('sentence')"
    assert [line["event"] for line in lines(code)] == ["sentence"]
    assert len(lines(code, DICOM_NODE_LOG_LEVEL="debug")) == 2
    assert lines(code, DICOM_NODE_LOG_LEVEL="error") == []


def test_a_crash_says_where_and_not_what() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + "fail()"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Secret" not in done.stdout + done.stderr
    (line,) = [json.loads(each) for each in done.stdout.splitlines()]
    assert line["event"] == "the process crashed"
    assert "ValueError" in line["error"]
