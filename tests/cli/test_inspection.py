"""Which route, which term, without touching anything."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from pydicom import dcmread


def _files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def test_a_chest_is_accepted_with_its_terms_and_views(
    run: Any, config: Path, radiographs: Path
) -> None:
    image = radiographs / "RG1_J2KR.dcm"
    ran = run("routes", "test", "--config", config, image, "--json")
    assert ran.status == 0
    (result,) = ran.json
    assert result["image"] == str(image)
    assert (result["decision"], result["route"]) == ("accept", "frontal-chest")
    assert result["reason"] == "route frontal-chest holds"
    assert [term["path"] for term in result["terms"]] == [
        "when.all[0]",
        "when.all[1].any[0]",
        "when.all[1].any[1]",
        "when.all[2]",
    ]
    assert all([term["holds"] for term in result["terms"]])
    assert len(result["views"]) == 6


def test_a_tibia_is_ignored_and_the_terms_that_failed_are_told(
    run: Any, config: Path, radiographs: Path
) -> None:
    ran = run("routes", "test", "--config", config, radiographs / "RG3_J2KR.dcm", "--json")
    assert ran.status == 0
    (result,) = ran.json
    assert (result["decision"], result["route"]) == ("ignore", None)
    assert "BodyPartExamined matches CHEST|THORAX" in result["reason"]
    failed = {term["path"]: term["actual"] for term in result["terms"] if not term["holds"]}
    assert failed["when.all[1].any[0]"] == "EXTREMITY"


def test_files_that_are_no_dicom_are_told_apart_from_the_others(
    run: Any, config: Path, radiographs: Path, tmp_path: Path
) -> None:
    shutil.copy(radiographs / "RG1_J2KR.dcm", tmp_path / "image.dcm")
    (tmp_path / "notes.txt").write_text("not DICOM")
    (tmp_path / "empty.dcm").touch()
    paths = [tmp_path / name for name in ("image.dcm", "notes.txt", "empty.dcm", "absent.dcm")]
    ran = run("routes", "test", "--config", config, *paths, "--json")
    assert ran.status == 1
    assert [each["decision"] for each in ran.json] == ["accept", *["quarantine"] * 3]
    assert "0xC000" in ran.json[1]["reason"]
    assert "0xC000" in ran.json[2]["reason"]
    assert ran.json[3]["reason"] == "there is no such file"


def test_a_folder_stands_for_its_files(
    run: Any, config: Path, radiographs: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "images" / "deep"
    folder.mkdir(parents=True)
    for name in ("RG1_J2KR.dcm", "RG3_J2KR.dcm"):
        shutil.copy(radiographs / name, folder / name)
    ran = run("routes", "test", "--config", config, tmp_path / "images", "--json")
    assert [each["decision"] for each in ran.json] == ["accept", "ignore"]


def test_nothing_is_touched(run: Any, config: Path, radiographs: Path) -> None:
    before = _files(config.parent)
    run("routes", "test", "--config", config, radiographs / "RG1_J2KR.dcm")
    assert _files(config.parent) == before


def test_a_synthetic_image_is_ignored_by_the_guard(
    run: Any, config: Path, radiographs: Path, tmp_path: Path
) -> None:
    dataset = dcmread(radiographs / "RG1_J2KR.dcm")
    dataset.add_new(0x0008001C, "CS", "YES")  # Synthetic Data
    dataset.save_as(tmp_path / "synthetic.dcm")
    ran = run("routes", "test", "--config", config, tmp_path / "synthetic.dcm", "--json")
    assert ran.json[0]["decision"] == "ignore"
    assert ran.json[0]["reason"].startswith("guard: ")


def test_an_image_that_no_views_can_be_made_of_is_quarantined_by_its_route(
    run: Any, config: Path, radiographs: Path, tmp_path: Path
) -> None:
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("one_of: [PA, AP]", "one_of: [PA, LL]"), encoding="utf-8")
    dataset = dcmread(radiographs / "RG1_J2KR.dcm")
    dataset.ViewPosition = "LL"
    dataset.save_as(tmp_path / "lateral.dcm")
    ran = run("routes", "test", "--config", config, tmp_path / "lateral.dcm", "--json")
    assert ran.status == 1
    assert (ran.json[0]["decision"], ran.json[0]["route"]) == ("quarantine", "frontal-chest")
    assert "neither PA nor AP" in ran.json[0]["reason"]


def test_the_imagined_sender_can_be_told(run: Any, config: Path, radiographs: Path) -> None:
    text = config.read_text(encoding="utf-8")
    rule = "{attribute: CallingAETitle, equals: CR1}"
    config.write_text(
        text.replace("{attribute: ViewPosition, one_of: [PA, AP]}", rule), encoding="utf-8"
    )
    image = radiographs / "RG1_J2KR.dcm"
    test = ("routes", "test", "--config", config, image, "--json")
    assert run(*test).json[0]["decision"] == "ignore"
    assert run(*test, "--from", "CR1").json[0]["decision"] == "accept"


def test_people_read_the_deciding_term(run: Any, config: Path, radiographs: Path) -> None:
    ran = run("routes", "test", "--config", config, radiographs / "RG3_J2KR.dcm")
    assert "RG3_J2KR.dcm: ignore" in ran.out
    line = next(line for line in ran.out.splitlines() if "when.all[1].any[0]" in line)
    assert line.split()[0] == "no"
    assert "EXTREMITY" in line
