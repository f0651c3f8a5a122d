"""The digest by which weights are known, without reading what they mean."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["weights_digest"]

_READ: Final = (".json", ".safetensors", ".bin")


def weights_digest(path: Path) -> str:
    """SHA-256 of a checkpoint: of a file's bytes, or of a folder's parts.

    Of a folder it is the digest over the sorted names and digests of the configurations and
    weights in it and in its folders; what else lies there (a licence, a picture) does not count.

    Raises:
        OSError: Something cannot be read.
    """
    if not path.is_dir():
        return _file_digest(path)
    files = [
        file for file in (*path.glob("*"), *path.glob("*/*")) if file.suffix in _READ
    ]  # links to folders are followed, as the parts that several models share often are
    total = hashlib.sha256()
    for name, file in sorted((file.relative_to(path).as_posix(), file) for file in files):
        total.update(f"{name}\0{_file_digest(file)}\n".encode())
    return total.hexdigest()


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
