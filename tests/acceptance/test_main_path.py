"""A radiograph goes in, synthesized views come back: the real node, a real archive."""

from __future__ import annotations

import random
import subprocess
from typing import TYPE_CHECKING

import pytest
from pydicom import Dataset, dcmread
from pynetdicom import AE, build_context
from pynetdicom import _config as pynetdicom_config

from tests.acceptance.harness import (
    VIEWS,
    Node,
    conformance_errors,
    radiograph,
    storescu,
    wait_until,
)
from tests.acceptance.radiographs import SYNTAXES, copy_of, new_uid, write_radiograph
from tests.network.objects import tool

if TYPE_CHECKING:
    from pathlib import Path

    from tests.acceptance.conftest import Site

pytestmark = pytest.mark.peer

COPIED = (
    "StudyInstanceUID",
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "ReferringPhysicianName",
    "SpecificCharacterSet",
)


def check_series(series: list[Dataset], source: Dataset) -> None:
    """What every series must be, whatever its source was encoded in."""
    assert [int(d.InstanceNumber) for d in series] == list(range(1, VIEWS + 1))
    angles = [float(d.PositionerPrimaryAngle) for d in series]
    assert angles == [-60.0, -20.0, 20.0, 60.0]
    assert len({d.SeriesInstanceUID for d in series}) == 1
    assert series[0].SeriesInstanceUID != source.SeriesInstanceUID
    for made in series:
        for keyword in COPIED:
            assert made.get(keyword) == source.get(keyword), keyword
        assert made.SyntheticData == "YES"
        assert made.SeriesDescription.startswith("AI SYNTHETIC")
        assert made.pixel_array.std() > 0
    assert len({d.PixelData for d in series}) == VIEWS


def image_of(node: Node, uid: str, within_s: float = 15) -> dict[str, str]:
    """The node's row about an image, once it is decided."""

    def find() -> dict[str, str] | None:
        rows = [row for row in node.images() if row["sop_instance_uid"] == uid]
        return rows[0] if rows and rows[0]["decision"] else None

    row: dict[str, str] = wait_until(find, within_s, f"a decision about {uid}")
    return row


def jobs_of(node: Node, uid: str) -> list[dict[str, object]]:
    return [job for job in node.jobs() if job["source_sop_instance_uid"] == uid]


@pytest.mark.on_both("RG1_UNCR as published")
@pytest.mark.parametrize("kind", SYNTAXES)
def test_a_radiograph_in_any_transfer_syntax_comes_back_as_a_series(
    site: Site, tmp_path: Path, kind: str
) -> None:
    path = write_radiograph(kind, tmp_path)
    source = dcmread(path)
    assert source.file_meta.TransferSyntaxUID == SYNTAXES[kind]

    site.archive.send_to_node(site.archive.upload(path))

    series = site.archive.wait_for_series(source.SOPInstanceUID)
    check_series(series, source)
    digest = image_of(site.node, source.SOPInstanceUID)["digest"]
    (kept,) = (site.node.folder / "data" / "spool").rglob(f"{digest}*")
    assert dcmread(kept, stop_before_pixels=True).file_meta.TransferSyntaxUID == SYNTAXES[kind]
    for made in series:
        file = tmp_path / f"{made.SOPInstanceUID}.dcm"
        made.save_as(file)
        assert conformance_errors(file) == []


@pytest.mark.parametrize(
    ("kind", "option"),
    [
        ("explicit", "-xe"),
        ("implicit", "-xi"),
        ("JPEG lossless first-order", "-xs"),
        ("JPEG 2000 lossless", "-xv"),
        ("RLE", "-xr"),
    ],
)
def test_storescu_is_served_as_well(site: Site, tmp_path: Path, kind: str, option: str) -> None:
    path = write_radiograph(kind, tmp_path)
    source = dcmread(path)
    assert storescu(site.node.port, path, options=[option]) == 0
    check_series(site.archive.wait_for_series(source.SOPInstanceUID), source)


@pytest.mark.on_both
def test_the_nodes_own_output_is_ignored_by_the_guard(site: Site, tmp_path: Path) -> None:
    source = copy_of("RG1_UNCR.dcm", every=4)
    source.save_as(tmp_path / "source.dcm")
    site.archive.send_to_node(site.archive.upload(tmp_path / "source.dcm"))
    made = site.archive.wait_for_series(source.SOPInstanceUID)[0]

    made.save_as(tmp_path / "made.dcm")
    site.archive.send_to_node(site.archive.upload(tmp_path / "made.dcm"))

    row = image_of(site.node, made.SOPInstanceUID)
    assert row["decision"] == "ignore"
    assert "synthetic" in row["reason"]
    assert jobs_of(site.node, made.SOPInstanceUID) == []


@pytest.mark.parametrize("name", ["RG3_UNCR.dcm", "RG3_J2KR.dcm", "RG3_J2KI.dcm"])
def test_a_radiograph_of_a_leg_is_ignored_with_the_reason(
    site: Site, tmp_path: Path, name: str
) -> None:
    leg = dcmread(radiograph(name))
    leg.SOPInstanceUID = leg.file_meta.MediaStorageSOPInstanceUID = new_uid()
    leg.save_as(tmp_path / name)
    site.archive.send_to_node(site.archive.upload(tmp_path / name))
    row = image_of(site.node, leg.SOPInstanceUID)
    assert row["decision"] == "ignore"
    assert "frontal-chest" in row["reason"]
    assert jobs_of(site.node, leg.SOPInstanceUID) == []


@pytest.mark.on_both
def test_the_same_radiograph_again_makes_one_job_and_the_same_objects(
    site: Site, tmp_path: Path
) -> None:
    source = copy_of("RG1_UNCR.dcm", every=4)
    source.save_as(tmp_path / "source.dcm")
    for _ in range(3):
        assert storescu(site.node.port, tmp_path / "source.dcm") == 0
    series = site.archive.wait_for_series(source.SOPInstanceUID)
    assert storescu(site.node.port, tmp_path / "source.dcm") == 0
    site.node.wait_for("an image was received", 60)
    assert len(jobs_of(site.node, source.SOPInstanceUID)) == 1
    rows = [r for r in site.node.images() if r["sop_instance_uid"] == source.SOPInstanceUID]
    assert len(rows) == 1
    again = site.archive.synthetic(source.SOPInstanceUID)
    assert [d.SOPInstanceUID for d in again] == [d.SOPInstanceUID for d in series]


@pytest.mark.on_both
def test_garbage_is_not_understood_and_the_node_goes_on(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pynetdicom_config, "STORE_SEND_CHUNKED_DATASET", True)
    good = copy_of("RG1_UNCR.dcm", every=8)
    good.save_as(tmp_path / "good.dcm")
    data = (tmp_path / "good.dcm").read_bytes()
    meta = data[: 144 + int.from_bytes(data[140:144], "little")]
    contexts = [build_context(good.SOPClassUID, good.file_meta.TransferSyntaxUID)]
    ae = AE(ae_title="STORESCU")
    association = ae.associate("127.0.0.1", site.node.port, contexts=contexts, ae_title="SYNTH")
    noise = random.Random(11)
    for size in (0, 1, 7, 4096, 100_000):
        (tmp_path / "garbage.dcm").write_bytes(meta + noise.randbytes(size))
        assert association.send_c_store(tmp_path / "garbage.dcm").Status == 0xC000
    assert association.send_c_store(tmp_path / "good.dcm").Status == 0x0000
    association.release()
    check_series(site.archive.wait_for_series(good.SOPInstanceUID), good)


@pytest.mark.parametrize(
    ("calling", "called", "answered"),
    [("STORESCU", "SYNTH", True), ("STRANGER", "SYNTH", False), ("STORESCU", "OTHER", False)],
)
def test_only_known_callers_of_the_right_name_are_heard(
    site: Site, calling: str, called: str, answered: bool
) -> None:
    command = [tool("echoscu"), "-aet", calling, "-aec", called, "127.0.0.1", str(site.node.port)]
    done = subprocess.run(command, capture_output=True, timeout=20, check=False)
    assert (done.returncode == 0) == answered


def test_nothing_about_the_patient_stands_in_the_log(site: Site) -> None:
    """Runs after the others of this file, so the log has seen everything they did."""
    source = dcmread(radiograph("RG1_UNCR.dcm"), stop_before_pixels=True)
    text = repr(site.node.lines) + (site.node.folder / "stderr.txt").read_text()
    for secret in (
        str(source.PatientName),
        str(source.PatientID),
        str(source.StudyInstanceUID),
        str(source.SOPInstanceUID),
    ):
        assert secret
        assert secret not in text


def test_the_node_stays_small_and_without_torch(site: Site) -> None:
    """After all the images of this file went through it."""
    assert site.node.process.memory_info().rss < 200 * 2**20
    mapped = {m.path for m in site.node.process.memory_maps()}
    assert not [path for path in mapped if "torch" in path]
    assert [m.path for m in site.node.engine().memory_maps() if "torch" in m.path]
