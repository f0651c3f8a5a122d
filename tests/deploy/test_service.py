"""The systemd unit is valid and keeps the node in its place; the bill of materials is whole."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "deploy" / "dicom-node.service"
EXPOSURE_AT_MOST = 2.0
"""Of 10; systemd calls less than 2.0 well protected."""

systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="needs systemd-analyze (Debian: systemd)"
)


def settings() -> list[tuple[str, str]]:
    lines = UNIT.read_text(encoding="utf-8").splitlines()
    return [(key, value) for key, _, value in (line.partition("=") for line in lines) if value]


def test_the_service_runs_as_nobody_and_writes_nowhere_but_in_its_folder() -> None:
    values = dict(settings())
    assert values["User"] == values["StateDirectory"] == "dicom-node"
    assert values["ProtectSystem"] == "strict"
    assert values["NoNewPrivileges"] == values["PrivateTmp"] == values["ProtectHome"] == "yes"
    assert values["UMask"] == "0077"
    assert values["StateDirectoryMode"] == "0700"
    assert not any(key in ("ReadWritePaths", "AmbientCapabilities") for key, _ in settings())
    assert re.search(r"^CapabilityBoundingSet=$", UNIT.read_text(), flags=re.MULTILINE)


def test_the_service_has_time_to_stop_in_order() -> None:
    from dicom_node.supervisor.serving import EXIT_WITHIN_S

    assert float(dict(settings())["TimeoutStopSec"]) > EXIT_WITHIN_S
    assert dict(settings())["KillMode"] == "mixed"


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The unit as on a machine where the program lies here."""
    path = tmp_path / UNIT.name
    text = UNIT.read_text(encoding="utf-8")
    path.write_text(text.replace("/opt/dicom-node/bin/dicom-node", sys.executable))
    return path


@systemd
def test_systemd_finds_nothing_wrong(installed: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(installed)], capture_output=True, text=True
    )
    said = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert (done.returncode, said) == (0, [])


@systemd
def test_systemd_calls_it_well_protected(installed: Path) -> None:
    done = subprocess.run(
        [
            "systemd-analyze",
            "security",
            "--offline=true",
            "--no-pager",
            f"--threshold={int(EXPOSURE_AT_MOST * 10)}",
            str(installed),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-300:]
    found = re.search(r"exposure level for dicom-node\.service: ([\d.]+)", done.stdout)
    assert found is not None
    assert float(found[1]) <= EXPOSURE_AT_MOST


def test_the_bill_of_materials_lists_everything_that_is_installed(tmp_path: Path) -> None:
    pytest.importorskip("cyclonedx_py")
    path = tmp_path / "sbom.json"
    subprocess.run(
        # Its check against the format's schema takes half a minute.
        ["bash", str(ROOT / "deploy" / "sbom.sh"), sys.executable, str(path), "--no-validate"],
        check=True,
        capture_output=True,
        timeout=300,
    )
    made = json.loads(path.read_text())
    assert (made["bomFormat"], made["specVersion"]) == ("CycloneDX", "1.6")
    assert made["metadata"]["component"]["name"] == "dicom-node"

    def plain(name: str) -> str:
        return re.sub(r"[-_.]+", "-", name).lower()

    listed = {plain(each["name"]): each["version"] for each in made["components"]}
    for each in distributions():
        if plain(each.name) != "dicom-node":
            assert listed[plain(each.name)] == each.version
    assert all("purl" in each for each in made["components"] if each["name"] == "pydicom")
