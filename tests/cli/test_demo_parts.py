"""The parts of the demo, each by itself."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE

from dicom_node.demo import VIEW_SETS
from dicom_node.demo.configuration import configuration
from dicom_node.demo.contact_sheet import Tile, draw, shown
from dicom_node.demo.processes import Child, started
from dicom_node.domain.errors import ConfigurationError
from dicom_node.settings import load
from synthesis.types import View


@pytest.mark.parametrize("views", list(VIEW_SETS))
def test_every_view_set_of_the_demo_loads_and_resolves(views: str, tmp_path: Path) -> None:
    path = tmp_path / "node.yaml"
    data = configuration(views=views, model="bundled", data_dir=tmp_path / "data", archive_port=104)
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    (route,) = load(path).to_routes()
    for source in (View(primary_deg=0), View(primary_deg=180)):
        assert len(route.views.resolve(source)) > 1


def test_an_unknown_view_set_is_an_error_with_a_suggestion(run: Any, tmp_path: Path) -> None:
    ran = run("demo", "--out", tmp_path / "out", "--views", "sweep30")
    assert ran.status == 2
    assert "did you mean sweep-30?" in ran.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [None, b"not DICOM"])
def test_a_source_that_cannot_be_read_is_an_error(
    run: Any, tmp_path: Path, content: bytes | None
) -> None:
    source = tmp_path / "source.dcm"
    if content is not None:
        source.write_bytes(content)
    ran = run("demo", "--out", tmp_path / "out", "--source", source)
    assert ran.status == 2
    assert "--source: " in ran.err
    assert "Traceback" not in ran.err


def test_the_archive_keeps_what_it_is_sent_and_says_so(tmp_path: Path, radiographs: Path) -> None:
    folder = tmp_path / "archive"
    folder.mkdir()
    sent = dcmread(radiographs / "RG1_UNCR.dcm")
    module = "dicom_node.demo.archive"
    with started("the archive", module, str(folder), "KEEP", log=tmp_path / "log") as archive:
        ready = archive.wait_for("archive_ready", 30)
        ae = AE(ae_title="TEST")
        ae.add_requested_context(sent.SOPClassUID, ExplicitVRLittleEndian)
        association = ae.associate("127.0.0.1", ready["port"], ae_title="KEEP")
        assert association.is_established
        assert association.send_c_store(sent).Status == 0
        association.release()
        said = archive.wait_for("stored", 5)
        wrong = ae.associate("127.0.0.1", ready["port"], ae_title="OTHER")
        assert wrong.is_rejected
    kept = dcmread(folder / said["file"])
    assert kept.SOPInstanceUID == sent.SOPInstanceUID
    assert kept.PixelData == sent.PixelData
    assert abs(said["at"] - time.time()) < 60


def test_the_archive_stops_when_its_starter_is_gone_and_stops_the_node(tmp_path: Path) -> None:
    node = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        command = [sys.executable, "-m", "dicom_node.demo.archive", str(tmp_path), "KEEP"]
        archive = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert archive.stdout is not None
        assert archive.stdin is not None
        archive.stdout.readline()
        archive.stdin.write(f"{node.pid}\n".encode())
        archive.stdin.close()  # as when the demo is killed
        assert archive.wait(timeout=30) == 0
        archive.stdout.close()
        assert node.wait(timeout=30) == -signal.SIGTERM
    finally:
        node.kill()
        node.wait()


def test_a_child_that_ends_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('no room left'); raise SystemExit(3)"]
    child = Child("the child", command, tmp_path / "log")
    with pytest.raises(ConfigurationError, match="ended with status 3: no room left"):
        child.wait_for("ready", 30)
    child.stop()
    assert (tmp_path / "log").read_text() == "no room left\n"


def test_a_child_that_is_not_ready_in_time_is_an_error(tmp_path: Path) -> None:
    child = Child("the child", [sys.executable, "-c", "input()"], tmp_path / "log")
    with pytest.raises(ConfigurationError, match="not ready after"):
        child.wait_for("ready", 0.2)
    child.stop()


def test_a_child_is_stopped_when_the_block_fails(tmp_path: Path) -> None:
    class Broken(Exception):
        pass

    folder = tmp_path / "archive"
    folder.mkdir()
    with (
        pytest.raises(Broken),
        started("x", "dicom_node.demo.archive", str(folder), "KEEP", log=tmp_path / "log") as child,
    ):
        child.wait_for("archive_ready", 30)
        raise Broken
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


@pytest.mark.parametrize(
    ("value", "grey"),
    # Window 100..300: PS3.3 C.11.2.1.2.1 with center 200.5 and width 201.
    [(0, 0), (100, 0), (140, 51), (300, 255), (400, 255)],
)
def test_a_window_maps_as_the_standard_says(value: int, grey: int) -> None:
    stored = np.full((2, 2), value, np.uint16)
    assert (shown(stored, center=200.5, width=201, inverted=False) == grey).all()
    assert (shown(stored, center=200.5, width=201, inverted=True) == 255 - grey).all()


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6, 11, 12, 24])
def test_the_contact_sheet_shows_the_source_and_every_view(count: int) -> None:
    """Each tile has a grey level of its own, which must be found on the sheet."""
    source = Tile(pixels=np.full((500, 450), 250, np.uint8), title="PA", detail="0")
    views = [
        Tile(pixels=np.full((256, 256), 60 + 7 * i, np.uint8), title=str(i), detail="")
        for i in range(count)
    ]
    sheet = np.asarray(draw(source, views, title="Title", subtitle="below"))
    grey = sheet[(sheet == sheet[..., :1]).all(axis=-1)][:, 0]
    levels, counts = np.unique(grey, return_counts=True)
    big = {int(level): int(n) for level, n in zip(levels, counts, strict=True) if n > 10_000}
    for tile in views:
        assert big[int(tile.pixels[0, 0])] > 80_000  # about 300 x 300 pixels
    assert big[250] > 80_000
    assert 0.3 < sheet.shape[0] / sheet.shape[1] < 1.2


def test_the_bundled_radiograph_is_the_one_of_the_package(radiographs: Path) -> None:
    from dicom_node.demo.running import bundled_radiograph

    assert bundled_radiograph() == radiographs / "RG1_J2KR.dcm"


def test_without_the_package_the_demo_says_what_to_do(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    ran = run("demo", "--out", tmp_path)
    assert ran.status == 2
    assert "pip install pydicom-data, or give --source FILE" in ran.err
