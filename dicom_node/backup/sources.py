"""Where a backup is read from: a folder or a tar file; nothing is believed before its sum holds."""

from __future__ import annotations

import contextlib
import hashlib
import tarfile
from typing import TYPE_CHECKING, BinaryIO, cast

from dicom_node.backup.manifest import MANIFEST, SUMS, Manifest, read_sums
from dicom_node.domain.errors import ConfigurationError, IntegrityError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["Source", "source_at"]


class Source:
    """A backup whose manifest and sums hold.

    Attributes:
        manifest: What it says of itself.
        sums: Digest by name of file.

    Args:
        open_file: Opens a file of the backup by name; KeyError when it is not there.

    Raises:
        ConfigurationError: It is no backup, or one of a newer format.
        IntegrityError: It is broken.
    """

    def __init__(self, open_file: Callable[[str], BinaryIO]) -> None:
        self._open = open_file
        try:
            head = self._whole(MANIFEST)
        except KeyError:
            raise ConfigurationError(f"this is no backup: it has no {MANIFEST}") from None
        self.manifest = Manifest.from_json(head)
        try:
            sums = self._whole(SUMS)
        except KeyError:
            sums = b""
        if hashlib.sha256(sums).hexdigest() != self.manifest.sums:
            raise IntegrityError(f"{SUMS} of the backup is missing or broken")
        self.sums = read_sums(sums)

    def read(self, name: str) -> bytes:
        """A file, as it was when the backup was taken.

        Raises:
            IntegrityError: It is missing or broken.
        """
        try:
            data = self._whole(name)
        except KeyError:
            raise IntegrityError(f"{name} of the backup is missing") from None
        self._compare(name, hashlib.sha256(data).hexdigest())
        return data

    def check(self, name: str) -> None:
        """Nothing, when a file is as it was when the backup was taken; it may be a long one.

        Raises:
            IntegrityError: It is missing or broken.
        """
        try:
            with self._open(name) as file:
                digest = hashlib.sha256()
                for line in file:
                    digest.update(line)
                self._compare(name, digest.hexdigest())
        except KeyError:
            raise IntegrityError(f"{name} of the backup is missing") from None

    def lines(self, name: str) -> Iterator[bytes]:
        """The lines of a file that was checked."""
        with self._open(name) as file:
            yield from file

    def _whole(self, name: str) -> bytes:
        with self._open(name) as file:
            return file.read()

    def _compare(self, name: str, digest: str) -> None:
        if digest != self.sums.get(name):
            raise IntegrityError(f"{name} of the backup is broken")


@contextlib.contextmanager
def source_at(path: Path) -> Iterator[Source]:
    """The backup at a path.

    Raises:
        ConfigurationError: There is none that this version can read.
        IntegrityError: It is broken.
    """
    if path.is_dir():
        yield Source(lambda name: _of_folder(path, name))
        return
    try:
        with tarfile.open(path, "r:") as tar:
            members = {member.name: member for member in tar if member.isfile()}
            yield Source(lambda name: _of_tar(tar, members[name]))
    except FileNotFoundError:
        raise ConfigurationError(f"there is no backup at {path}") from None
    except tarfile.TarError:
        raise IntegrityError(f"{path} is no whole tar file") from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error


def _of_folder(path: Path, name: str) -> BinaryIO:
    try:
        return (path / name).open("rb")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise KeyError(name) from None


def _of_tar(tar: tarfile.TarFile, member: tarfile.TarInfo) -> BinaryIO:
    file = tar.extractfile(member)
    assert file is not None  # regular files alone are members
    return cast("BinaryIO", file)
