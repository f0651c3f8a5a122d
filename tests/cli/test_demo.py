"""The whole demo: real processes, real associations, a real radiograph; only the weights are not
trained, as what is made is not what is tested here.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image
from pydicom import dcmread

pytestmark = pytest.mark.slow

ANGLES = [-90.0, -60.0, -30.0, 30.0, 60.0, 90.0]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network with random weights."""
    import torch

    from synthesis.checkpoint import Card, write
    from synthesis.model import ModelConfig, ViewTransformer

    torch.manual_seed(0)
    network = ViewTransformer(
        ModelConfig(
            resolution=256,
            cell=8,
            stride=4,
            width=32,
            depth=2,
            encoder_depth=1,
            heads=2,
            stem_width=16,
            detail_width=16,
            detail_depth=1,
        )
    )
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    write(path, network, Card(name="vcdit-tiny", version="0", steps=2, trained={}))
    return path


@pytest.fixture(scope="module")
def demo(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """The folder a demo wrote, and what it said."""
    out = tmp_path_factory.mktemp("demo") / "out"
    done = _demo("--out", out, "--model", model)
    assert done.returncode == 0, done.stdout + done.stderr
    yield out, done.stdout


def _demo(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dicom_node", "demo", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_every_view_is_in_the_archive(demo: tuple[Path, str], radiographs: Path) -> None:
    out, _ = demo
    source = dcmread(radiographs / "RG1_J2KR.dcm", stop_before_pixels=True)
    stored = [dcmread(path) for path in sorted((out / "archive").iterdir())]
    assert sorted(float(each.PositionerPrimaryAngle) for each in stored) == ANGLES
    assert {each.StudyInstanceUID for each in stored} == {source.StudyInstanceUID}
    assert {each.PatientID for each in stored} == {source.PatientID}
    assert len({each.SeriesInstanceUID for each in stored} - {source.SeriesInstanceUID}) == 1
    assert {each.SyntheticData for each in stored} == {"YES"}


def test_the_report_says_what_is_in_the_archive(demo: tuple[Path, str]) -> None:
    out, _ = demo
    report = json.loads((out / "report.json").read_text())
    assert report["source"]["sop_instance_uid"].startswith("1.3.6.1.4.1.5962.")
    assert [each["primary_deg"] for each in report["instances"]] == ANGLES
    for instance in report["instances"]:
        stored = dcmread(out / "archive" / instance["file"])
        assert stored.SOPInstanceUID == instance["sop_instance_uid"]
        assert stored.SeriesInstanceUID == report["series_instance_uid"]
        assert float(stored.PositionerPrimaryAngle) == instance["primary_deg"]
    timings = report["timings_s"]
    assert 0 < timings["received"] < timings["synthesized"] < timings["stored"] < 300


def test_the_report_says_nothing_of_the_patient(demo: tuple[Path, str], radiographs: Path) -> None:
    out, said = demo
    source = dcmread(radiographs / "RG1_J2KR.dcm", stop_before_pixels=True)
    texts = [said, *((out / name).read_text() for name in ("report.json", "node.log"))]
    for text in texts:
        for value in (source.PatientName, source.PatientID, source.PatientBirthDate):
            assert str(value) not in text


def test_the_contact_sheet_is_a_picture(demo: tuple[Path, str]) -> None:
    out, _ = demo
    with Image.open(out / "contact_sheet.png") as sheet:
        assert sheet.width > sheet.height > 500
        assert np.asarray(sheet.convert("L")).std() > 30


def test_people_see_what_happened(demo: tuple[Path, str]) -> None:
    _, said = demo
    assert "6 views are in the archive" in said
    for label in ("RIGHT LATERAL", "RAO 30", "LAO 60"):
        assert label in said


def test_a_source_that_its_route_does_not_take_is_told_why(
    model: Path, radiographs: Path, tmp_path: Path
) -> None:
    done = _demo("--out", tmp_path, "--model", model, "--source", radiographs / "RG3_J2KR.dcm")
    assert done.returncode == 2
    assert "the radiograph's decision is ignore" in done.stderr
    assert "BodyPartExamined matches CHEST|THORAX" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "report.json").exists()


def test_no_process_is_left_behind_whatever_ends_the_demo(model: Path, tmp_path: Path) -> None:
    """Three demos side by side, each ended in its own way as soon as its node runs."""
    ways = (signal.SIGTERM, signal.SIGINT, signal.SIGKILL)
    demos = {way: _begun(model, tmp_path / way.name) for way in ways}
    try:
        with ThreadPoolExecutor(len(ways)) as pool:
            ends = [
                pool.submit(_end, demo, way, tmp_path / way.name) for way, demo in demos.items()
            ]
            for end in ends:
                end.result()
    finally:
        for demo in demos.values():
            demo.kill()
            demo.wait()


def _begun(model: Path, out: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "dicom_node", "demo", "--out", str(out), "--model", str(model)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # A suite that runs in the background ignores Ctrl-C, and its children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        env={**os.environ, "PYTHONFAULTHANDLER": "1"},
    )


def _end(demo: subprocess.Popen[bytes], number: signal.Signals, out: Path) -> None:
    _until(lambda: "node_ready" in _text(out / "node.log"))
    children = psutil.Process(demo.pid).children(recursive=True)
    assert len(children) >= 2
    os.kill(demo.pid, number)
    _ends(demo, within_s=60.0)
    assert demo.returncode != 0
    _until(lambda: not [each for each in children if _lives(each)])


def _ends(demo: subprocess.Popen[bytes], within_s: float) -> None:
    try:
        demo.communicate(timeout=within_s)
    except subprocess.TimeoutExpired:
        demo.send_signal(signal.SIGABRT)  # it writes where each of its threads is
        pytest.fail(f"it did not end:\n{demo.communicate()[0].decode()}")


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _until(holds: Any, within_s: float = 120.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
