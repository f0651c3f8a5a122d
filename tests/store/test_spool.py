"""The contract of a spool, and what only files can show."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicom_node.domain.errors import CapacityError, IntegrityError
from dicom_node.ports import Spool
from dicom_node.store.spool import FileSpool
from tests.fakes.clock import ManualClock
from tests.fakes.spool import MemorySpool

ABC = b"abc"
# FIPS 180-2, appendix B.1.
SHA256_OF_ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_file_is_named_by_the_sha256_of_its_bytes(spool: Spool) -> None:
    spooled = spool.put(ABC)
    assert (spooled.digest, spooled.size_bytes) == (SHA256_OF_ABC, 3)
    assert spool.read(SHA256_OF_ABC) == ABC


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.binary(max_size=4096))
def test_what_is_put_is_read(spool: Spool, data: bytes) -> None:
    assert spool.read(spool.put(data).digest) == data


def test_putting_twice_keeps_one_file(spool: Spool) -> None:
    assert spool.put(ABC) == spool.put(ABC)
    assert list(spool.digests()) == [SHA256_OF_ABC]


def test_reading_what_is_not_there_is_an_integrity_error(spool: Spool) -> None:
    with pytest.raises(IntegrityError):
        spool.read("0" * 64)


def test_a_file_is_held_while_it_is_there_in_its_whole_length(spool: Spool) -> None:
    digest = spool.put(ABC).digest
    assert spool.holds(digest, 3)
    assert not spool.holds(digest, 4)
    spool.remove(digest)
    assert not spool.holds(digest, 3)


def test_a_removed_file_is_gone_and_removing_again_does_nothing(spool: Spool) -> None:
    digest = spool.put(ABC).digest
    assert spool.remove(digest) is True
    assert spool.remove(digest) is False
    assert list(spool.digests()) == []


def test_a_young_file_is_not_removed(spool: Spool, clock: ManualClock) -> None:
    digest = spool.put(ABC).digest
    clock.advance(7200.0)
    assert spool.remove(digest, older_than_s=3600.0) is False
    clock.advance(3600.0)
    assert spool.remove(digest, older_than_s=3600.0) is False
    clock.advance(1.0)
    assert spool.remove(digest, older_than_s=3600.0) is True


def test_putting_again_makes_a_file_young(spool: Spool, clock: ManualClock) -> None:
    digest = spool.put(ABC).digest
    assert spool.remove(digest, older_than_s=3600.0) is False
    clock.advance(7200.0)
    spool.put(ABC)
    assert spool.remove(digest, older_than_s=3600.0) is False
    assert spool.read(digest) == ABC


def test_many_threads_may_put_the_same_and_different_contents(spool: Spool) -> None:
    contents = [bytes([i % 7]) * 5000 for i in range(56)]
    with ThreadPoolExecutor(8) as pool:
        spooled = list(pool.map(spool.put, contents))
    assert {s.digest for s in spooled} == set(spool.digests())
    assert len(set(spool.digests())) == 7


@pytest.mark.parametrize("kind", ["memory", "files"])
def test_a_full_disk_refuses(kind: str, tmp_path: Path) -> None:
    full = (
        MemorySpool(capacity_bytes=0)
        if kind == "memory"
        else FileSpool(tmp_path, min_free_bytes=10**18)
    )
    with pytest.raises(CapacityError):
        full.put(ABC)
    assert list(full.digests()) == []


@pytest.fixture
def files(tmp_path: Path, clock: ManualClock) -> FileSpool:
    return FileSpool(tmp_path / "deep" / "spool", clock=clock, steady=clock)


def everything(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_files_and_folders_are_for_the_owner_alone(files: FileSpool, tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        path = files.path(files.put(ABC).digest)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for folder in (path.parent, path.parent.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert path == tmp_path / "deep" / "spool" / "ba" / f"{SHA256_OF_ABC}.dcm"


@pytest.mark.parametrize("damage", ["changed", "cut", "emptied"])
def test_damage_on_disk_is_noticed_and_mended_by_the_next_put(
    files: FileSpool, damage: str
) -> None:
    path = files.path(files.put(ABC).digest)
    path.write_bytes({"changed": b"abd", "cut": b"ab", "emptied": b""}[damage])
    with pytest.raises(IntegrityError):
        files.read(SHA256_OF_ABC)
    files.put(ABC)
    assert files.read(SHA256_OF_ABC) == ABC


@pytest.mark.parametrize("name", ["../../etc/passwd", "A" * 64, "a" * 63, "", "g" * 64])
def test_a_name_that_is_no_digest_leads_nowhere(files: FileSpool, name: str) -> None:
    with pytest.raises(IntegrityError):
        files.path(name)


class Syscalls:
    """Writes down what was asked of the operating system, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[tuple[str, str]] = []
        real_fsync, real_replace, real_mkdir = os.fsync, Path.replace, Path.mkdir

        def fsync(descriptor: int) -> None:
            self.done.append(("fsync", str(Path(f"/proc/self/fd/{descriptor}").readlink())))
            real_fsync(descriptor)

        def replace(path: Path, target: Path) -> Path:
            self.done.append(("rename", str(target)))
            return real_replace(path, target)

        def mkdir(path: Path, *args: int, **kwargs: int) -> None:
            self.done.append(("mkdir", str(path)))
            real_mkdir(path, *args, **kwargs)  # type: ignore[arg-type]

        monkeypatch.setattr(os, "fsync", fsync)
        monkeypatch.setattr(Path, "replace", replace)
        monkeypatch.setattr(Path, "mkdir", mkdir)


def test_bytes_are_on_disk_before_the_name_and_the_name_before_the_answer(
    files: FileSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = files.path(SHA256_OF_ABC)
    calls = Syscalls(monkeypatch)
    files.put(ABC)
    kinds = [kind for kind, _ in calls.done]
    assert kinds == ["mkdir", "fsync", "fsync", "rename", "fsync"]
    assert [name for _, name in calls.done[:2]] == [str(path.parent), str(path.parent.parent)]
    assert calls.done[2][1].endswith(".tmp")
    assert Path(calls.done[2][1]).parent == path.parent
    assert calls.done[3:] == [("rename", str(path)), ("fsync", str(path.parent))]


def test_a_file_another_thread_renamed_is_on_disk_before_it_counts_as_there(
    files: FileSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.put(ABC)
    calls = Syscalls(monkeypatch)
    files.put(ABC)
    assert calls.done == [("fsync", str(files.path(SHA256_OF_ABC).parent))]


@pytest.mark.parametrize("point", ["fsync of the file", "rename", "fsync of the folder"])
def test_a_disk_that_is_full_at_any_point_is_a_capacity_error_and_leaves_no_rest(
    files: FileSpool, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    files.put(ABC)
    files.remove(SHA256_OF_ABC)  # the folders are there now
    real = os.fsync
    count = 0

    def fail(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def fsync(descriptor: int) -> None:
        nonlocal count
        count += 1
        if (count == 1) == (point == "fsync of the file"):
            fail()
        real(descriptor)

    if point == "rename":
        monkeypatch.setattr(Path, "replace", fail)
    else:
        monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(CapacityError):
        files.put(ABC)
    monkeypatch.undo()
    assert not [path for path in everything(files.path("0" * 64).parents[1]) if ".tmp" in path.name]
    files.put(ABC)
    assert files.read(SHA256_OF_ABC) == ABC


def test_another_error_of_the_disk_is_not_taken_for_a_full_one(
    files: FileSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output"):
        files.put(ABC)


def test_temporary_files_of_a_crash_are_collected_and_whole_ones_are_not(
    files: FileSpool, clock: ManualClock
) -> None:
    path = files.path(files.put(ABC).digest)
    left = path.with_name("left.tmp")
    left.write_bytes(b"ab")
    os.utime(left, (clock(), clock()))
    assert list(files.digests()) == [SHA256_OF_ABC]
    assert files.collect(older_than_s=60.0) == 0
    clock.advance(60.0)
    assert files.collect(older_than_s=60.0) == 0
    clock.advance(1.0)
    assert files.collect(older_than_s=60.0) == 1
    assert not left.exists()
    assert files.read(SHA256_OF_ABC) == ABC


def test_a_file_is_whole_for_every_reader_at_every_moment(files: FileSpool) -> None:
    data = os.urandom(300_000)
    digest = hashlib.sha256(data).hexdigest()
    stop = threading.Event()
    seen: list[bytes] = []

    def look() -> None:
        while not stop.is_set():
            try:
                seen.append(files.path(digest).read_bytes())
            except FileNotFoundError:
                continue

    watcher = threading.Thread(target=look)
    watcher.start()
    for _ in range(20):
        files.put(data)
        files.remove(digest)
    files.put(data)
    while not seen:
        pass
    stop.set()
    watcher.join()
    assert all(found == data for found in seen)


def test_collecting_beside_receiving_never_takes_a_file_that_was_just_put(
    files: FileSpool, clock: ManualClock
) -> None:
    """The collector judges a file old; the moment after, a sender brings it again."""
    for _ in range(50):
        files.put(ABC)
        assert not files.remove(SHA256_OF_ABC, older_than_s=3600.0)
        clock.advance(7200.0)
        start = threading.Barrier(2)

        def collect(start: threading.Barrier = start) -> None:
            start.wait()
            files.remove(SHA256_OF_ABC, older_than_s=3600.0)

        collector = threading.Thread(target=collect)
        collector.start()
        start.wait()
        files.put(ABC)
        collector.join()
        assert files.read(SHA256_OF_ABC) == ABC


@pytest.mark.parametrize("jump_s", [7200.0, 365 * 86400.0, -7200.0])
def test_a_jump_of_the_clock_makes_no_file_old(
    tmp_path: Path, clock: ManualClock, jump_s: float
) -> None:
    """Between the writing of a file and its row, also of one that another process writes."""
    steady = ManualClock(0.0)
    files = FileSpool(tmp_path, clock=clock, steady=steady)
    digest = files.put(ABC).digest
    temporary = files.path(digest).with_name("being-written.tmp")
    temporary.write_bytes(b"ab")
    for _ in range(3):
        clock.advance(jump_s)
        steady.advance(1000.0)
        assert files.collect(older_than_s=3600.0) == 0
        assert files.remove(digest, older_than_s=3600.0) is False
    steady.advance(3601.0)
    assert files.collect(older_than_s=3600.0) == 1
    assert files.remove(digest, older_than_s=3600.0) is True


def test_a_file_that_another_process_puts_again_is_young(
    files: FileSpool, tmp_path: Path, clock: ManualClock
) -> None:
    """``dicom-node fetch`` puts files beside the node that collects."""
    other = FileSpool(tmp_path / "deep" / "spool", clock=clock, steady=clock)
    digest = files.put(ABC).digest
    assert files.remove(digest, older_than_s=3600.0) is False
    clock.advance(7200.0)
    other.put(ABC)
    assert files.remove(digest, older_than_s=3600.0) is False
    clock.advance(3601.0)
    assert files.remove(digest, older_than_s=3600.0) is True


def test_files_that_were_claimed_meanwhile_are_not_remembered(
    files: FileSpool, clock: ManualClock
) -> None:
    for number in range(50):
        assert not files.remove(files.put(f"{number}".encode()).digest, older_than_s=60.0)
        clock.advance(20.0)
        files.collect(older_than_s=60.0)
    assert len(files._met) + len(files._met_before) <= 2
