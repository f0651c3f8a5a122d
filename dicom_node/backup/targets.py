"""Where a backup is written: a folder or a tar file, neither of them there before it is whole."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import shutil
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from dicom_node.domain.errors import CapacityError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["TAR", "FolderTarget", "TarTarget", "Target", "target_at"]

TAR: Final = ".tar"
"""Ending of the name of a target that is to be one file."""

_PARTIAL: Final = ".partial"


class Target(Protocol):
    """A backup on its way."""

    @property
    def work(self) -> Path:
        """A folder for what is being written."""

    def add_spooled(self, name: str, path: Path, data: bytes) -> None:
        """Take a file of the spool, of which ``data`` is the content.

        Raises:
            FileNotFoundError: It went meanwhile.
        """

    def add(self, name: str, path: Path) -> None:
        """Take a file that was written in `work`."""

    def drop(self, name: str) -> None:
        """Let go of a file of the spool, where that is possible."""

    def finish(self) -> None:
        """Force everything to disk and give it its name."""


class FolderTarget:
    """A folder. Files of the spool are linked, or copied where that cannot be or is not wanted."""

    def __init__(self, path: Path, work: Path, *, link: bool) -> None:
        self._path = path
        self._link = link
        self.work = work

    def add_spooled(self, name: str, path: Path, data: bytes) -> None:
        """See `Target.add_spooled`."""
        to = self._place(name)
        if self._link:
            try:
                to.hardlink_to(path)
            except FileNotFoundError:
                raise
            except OSError:  # another file system, or one without links
                self._link = False
        if not self._link:
            _write(to, data)

    def add(self, name: str, path: Path) -> None:
        """See `Target.add`."""
        to = self._place(name)
        path.replace(to)
        to.chmod(0o600)
        _sync(to)

    def _place(self, name: str) -> Path:
        to = self.work / name
        for folder in reversed(to.relative_to(self.work).parents[:-1]):
            (self.work / folder).mkdir(mode=0o700, exist_ok=True)
        return to

    def drop(self, name: str) -> None:
        """See `Target.drop`."""
        (self.work / name).unlink(missing_ok=True)

    def finish(self) -> None:
        """See `Target.finish`."""
        for folder, _, _ in os.walk(self.work, topdown=False):
            _sync(Path(folder))
        self.work.replace(self._path)
        _sync(self._path.parent)


class TarTarget:
    """One file. What is added to it stays in it; the file of sums says what counts."""

    def __init__(self, path: Path, work: Path) -> None:
        self._path = path
        self._file = work / "archive.tar"
        self._tar = tarfile.open(self._file, "x:", format=tarfile.PAX_FORMAT)  # noqa: SIM115
        self._file.chmod(0o600)
        self.work = work

    def add_spooled(self, name: str, path: Path, data: bytes) -> None:
        """See `Target.add_spooled`."""
        self._add(name, len(data), io.BytesIO(data))

    def add(self, name: str, path: Path) -> None:
        """See `Target.add`."""
        with path.open("rb") as file:
            self._add(name, path.stat().st_size, file)
        path.unlink()

    def drop(self, name: str) -> None:
        """See `Target.drop`: it stays, but the sums do not list it."""

    def finish(self) -> None:
        """See `Target.finish`."""
        self._tar.close()
        _sync(self._file)
        self._file.replace(self._path)
        _sync(self._path.parent)
        shutil.rmtree(self.work)

    def _add(self, name: str, size_bytes: int, file: io.BufferedIOBase) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mode = size_bytes, 0o600
        self._tar.addfile(member, file)


@contextlib.contextmanager
def target_at(path: Path, *, link: bool) -> Iterator[Target]:
    """A target of that name; what was written is removed when the inside raises.

    Args:
        path: A folder, or a file when it ends in ``.tar``.
        link: Take files of the spool as hard links where the file system lets us.

    Raises:
        ConfigurationError: Something is at ``path``, or another backup is being written there.
        CapacityError: The disk is full.
    """
    is_file = path.suffix == TAR
    path = path.absolute()
    if path.exists() and (is_file or not path.is_dir() or any(path.iterdir())):
        raise ConfigurationError(f"--to: {path} is there already; name one that is not")
    work = path.with_name(path.name + _PARTIAL)
    try:
        with _alone(work):
            for left in work.iterdir():  # of a backup that was cut
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            try:
                yield TarTarget(path, work) if is_file else FolderTarget(path, work, link=link)
            except BaseException:
                shutil.rmtree(work, ignore_errors=True)
                raise
    except OSError as error:
        raise CapacityError(f"the backup cannot be written to {path}: {error.strerror}") from error


@contextlib.contextmanager
def _alone(work: Path) -> Iterator[None]:
    try:
        work.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ConfigurationError(f"--to: there is a file in the way at {work}") from None
    descriptor = os.open(work, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ConfigurationError(f"--to: another backup is being written at {work}") from None
    try:
        yield
    finally:
        os.close(descriptor)


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor has no path
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
