"""A check that cannot run is seen: the rules of the suite itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

CONFTEST = Path(__file__).parents[1] / "conftest.py"

SUITE = """
import pytest

@pytest.mark.peer
def test_with_a_peer():
    pytest.skip("no peer answers")

def test_that_may_be_skipped():
    pytest.skip("not on this machine")

@pytest.mark.peer
@pytest.mark.xfail(reason="known")
def test_expected_to_fail():
    assert False

def test_that_runs():
    pass
"""


def _suite(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    shutil.copy(CONFTEST, folder / "conftest.py")
    (folder / "test_suite.py").write_text(SUITE)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    peer: p\n")
    # Stand-ins, so that the programs of the peers count as present.
    programs = folder / "programs"
    programs.mkdir()
    for name in ("Orthanc", "storescu", "storescp", "echoscu", "dcmdump"):
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    clean = {key: value for key, value in os.environ.items() if key not in ("CI", "PYTEST_ADDOPTS")}
    # The conftest imports its fakes from the tree.
    root = str(Path(__file__).parents[2])
    environment = {"PATH": str(programs), "PYTHONPATH": root} | environment
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=clean | environment,
    )


def test_skipped_tests_are_listed_by_name_and_number(tmp_path: Path) -> None:
    done = _suite(tmp_path)
    assert done.returncode == 0, done.stdout
    assert "2 tests did not run" in done.stdout
    assert "test_suite.py::test_with_a_peer: Skipped: no peer answers" in done.stdout
    assert "test_suite.py::test_that_may_be_skipped: " in done.stdout


def test_in_ci_a_skipped_peer_test_fails_and_no_other(tmp_path: Path) -> None:
    done = _suite(tmp_path, CI="true")
    assert done.returncode == 1, done.stdout
    assert "1 failed, 1 passed, 1 skipped, 1 xfailed" in done.stdout
    assert "must not be skipped in CI" in done.stdout


def test_without_the_programs_peer_tests_are_skipped_with_their_names(tmp_path: Path) -> None:
    done = _suite(tmp_path, PATH="/nowhere")
    if shutil.which("Orthanc", path="/usr/sbin") is None:
        assert "Orthanc" in done.stdout
    assert "needs " in done.stdout
    assert "storescu" in done.stdout
