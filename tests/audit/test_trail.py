"""The chain: what is done to the file shows, what a power cut does is healed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from dicom_node.audit.events import application_activity
from dicom_node.audit.messages import Source
from dicom_node.audit.trail import AuditTrail, head_path, verify_file
from dicom_node.cli import app
from dicom_node.domain.errors import ConfigurationError

SOURCE = Source(ae_title="SYNTH", machine="node7")
MESSAGE = application_activity("SYNTH", "root", starts=True)


def open_trail(path: Path) -> AuditTrail:
    return AuditTrail(path, source=SOURCE, clock=lambda: 1_700_000_000.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "audit" / "trail.log"
    trail = open_trail(path)
    for _ in range(5):
        trail.record(MESSAGE)
    trail.close()
    return path


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def test_what_is_written_is_whole(path: Path) -> None:
    found = verify_file(path)
    assert (found.records, found.problem, found.torn) == (5, "", False)


def test_a_restart_goes_on_with_the_chain(path: Path) -> None:
    trail = open_trail(path)
    trail.record(MESSAGE)
    trail.close()
    assert verify_file(path).records == 6
    assert verify_file(path).problem == ""


def test_only_its_owner_can_read_it(path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    assert head_path(path).stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def changed(path: Path) -> None:
    text = path.read_bytes().split(b"\n")
    text[2] = text[2].replace(b"root", b"r00t")
    path.write_bytes(b"\n".join(text))


def removed(path: Path) -> None:
    path.write_bytes(b"".join(line for n, line in enumerate(lines(path)) if n != 2))


def swapped(path: Path) -> None:
    parts = lines(path)
    parts[2], parts[3] = parts[3], parts[2]
    path.write_bytes(b"".join(parts))


def doubled(path: Path) -> None:
    parts = lines(path)
    path.write_bytes(b"".join([*parts[:3], parts[2], *parts[3:]]))


def nonsense(path: Path) -> None:
    parts = lines(path)
    path.write_bytes(b"".join([*parts[:2], b"\xff\xfe\n", *parts[2:]]))


def cut(path: Path) -> None:
    path.write_bytes(b"".join(lines(path)[:3]))


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def headless(path: Path) -> None:
    head_path(path).unlink()


@pytest.mark.parametrize(
    ("deed", "words"),
    [
        (changed, "record 3 was changed"),
        (removed, "record 3 does not follow"),
        (swapped, "record 3 does not follow"),
        (doubled, "record 4 does not follow"),
        (nonsense, "record 3 is no record"),
        (cut, "record 4 is missing: there were 5"),
        (emptied, "record 1 is missing: there were 5"),
        (headless, "head beside the file is missing"),
    ],
)
def test_whatever_is_done_to_it_shows_and_the_first_wrong_record_is_named(
    path: Path, deed: object, words: str
) -> None:
    assert callable(deed)
    deed(path)
    assert words in verify_file(path).problem
    done = CliRunner().invoke(app, ["audit", "verify", str(path)])
    assert done.exit_code == 1
    assert words in done.output


def test_verify_says_how_many_records_are_whole(path: Path) -> None:
    done = CliRunner().invoke(app, ["audit", "verify", str(path)])
    assert done.exit_code == 0
    assert "5 records, whole and unchanged" in done.output


@pytest.mark.parametrize("kept", [1, 50, 200])
def test_half_a_record_at_the_end_is_told_and_then_cut_off(path: Path, kept: int) -> None:
    with path.open("ab") as file:
        file.write(lines(path)[0][:kept])
    found = verify_file(path)
    assert (found.records, found.problem, found.torn) == (5, "", True)
    trail = open_trail(path)
    trail.record(MESSAGE)
    trail.close()
    found = verify_file(path)
    assert (found.records, found.problem, found.torn) == (6, "", False)


def test_records_that_were_cut_off_stay_missing_after_a_restart(path: Path) -> None:
    cut(path)
    trail = open_trail(path)
    with capture_logs() as logs:
        trail.record(MESSAGE)
    trail.close()
    assert [log["log_level"] for log in logs] == ["error"]
    assert "record 4 does not follow" in verify_file(path).problem


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_trail_that_is_taken_away_begins_anew_and_what_is_missing_shows(
    path: Path, what: str
) -> None:
    trail = open_trail(path)
    trail.record(MESSAGE)
    path.unlink() if what == "file" else shutil.rmtree(path.parent)
    with capture_logs() as logs:
        trail.record(MESSAGE)
    trail.record(MESSAGE)
    trail.close()
    assert [log["event"] for log in logs] == ["records are missing at the end of the audit trail"]
    assert [line.split(b"\t")[0] for line in lines(path)] == [b"7", b"8"]
    assert "does not follow" in verify_file(path).problem


def test_threads_and_other_processes_write_one_chain(path: Path) -> None:
    program = (
        "import sys, pathlib; from tests.audit.test_trail import MESSAGE, open_trail\n"
        "trail = open_trail(pathlib.Path(sys.argv[1]))\n"
        "for _ in range(20): trail.record(MESSAGE)\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program, str(path)], cwd=Path(__file__).parents[2]
    )
    trail = open_trail(path)
    threads = [
        threading.Thread(target=lambda: [trail.record(MESSAGE) for _ in range(10)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert other.wait(60) == 0
    trail.close()
    found = verify_file(path)
    assert (found.records, found.problem) == (5 + 20 + 40, "")


def test_a_full_disk_does_not_stop_the_work(tmp_path: Path) -> None:
    path = tmp_path / "trail.log"
    path.symlink_to("/dev/full")
    trail = open_trail(path)
    with capture_logs() as logs:
        trail.record(MESSAGE)
    assert [log["event"] for log in logs] == ["the audit trail cannot be written"]


def test_a_folder_that_cannot_be_used_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"audit\.file"):
        open_trail(tmp_path / "file" / "trail.log")


def test_a_record_is_on_disk_when_the_call_returns(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (done.append("fsync"), real(fd))[1])
    trail = open_trail(path)
    trail.record(MESSAGE)
    assert done == ["fsync"]
    trail.close()
