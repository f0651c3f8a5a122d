"""The spool on a disk that fills up: refused in time, and by itself at work again."""

from __future__ import annotations

import ctypes
import os
import threading
from typing import TYPE_CHECKING

import pytest

from dicom_node.domain.errors import CapacityError
from dicom_node.store.spool import FileSpool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZE = 8 << 20
KEEP = 3 << 20
_DETACH = 2


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB in memory."""
    folder = tmp_path / "disk"
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"size={SIZE}".encode()
    if libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, options) != 0:
        reason = os.strerror(ctypes.get_errno())
        pytest.skip(f"a small disk cannot be mounted here: {reason}")
    yield folder
    libc.umount2(os.fsencode(folder), _DETACH)


def test_the_spool_stops_before_the_watermark_and_goes_on_when_there_is_room(
    small_disk: Path,
) -> None:
    spool = FileSpool(small_disk / "spool", min_free_bytes=KEEP)
    kept = []
    with pytest.raises(CapacityError, match="must keep"):
        for _ in range(100):
            kept.append(spool.put(os.urandom(500_000)).digest)
    assert len(kept) >= 8
    assert spool.free_bytes() >= KEEP
    for digest in kept[:2]:
        spool.remove(digest)
    spool.put(os.urandom(500_000))


def test_many_writers_at_once_do_not_count_on_the_same_room(small_disk: Path) -> None:
    spool = FileSpool(small_disk / "spool", min_free_bytes=KEEP)
    lowest, refused, gate = [SIZE], [], threading.Barrier(24)

    def write() -> None:
        gate.wait()
        try:
            spool.put(os.urandom(700_000))
        except CapacityError:
            refused.append(1)
        lowest[0] = min(lowest[0], spool.free_bytes())

    threads = [threading.Thread(target=write) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused
    assert lowest[0] >= KEEP


def test_a_disk_that_something_else_filled_is_no_room_and_leaves_no_rest(small_disk: Path) -> None:
    spool = FileSpool(small_disk / "spool")
    whole = spool.put(b"before").digest
    other = small_disk / "something-else"
    with other.open("wb", buffering=0) as file, pytest.raises(OSError, match="space"):
        while True:
            file.write(bytes(1 << 16))
    with pytest.raises(CapacityError):
        spool.put(os.urandom(500_000))
    assert list(spool.digests()) == [whole]
    assert list((small_disk / "spool").rglob("*.tmp")) == []
    other.unlink()
    spool.put(os.urandom(500_000))
