"""Mismatches between the files of a spool and the rows that claim them."""

from __future__ import annotations

import hashlib
import re
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dicom_node.verifying.findings import Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["Walked", "check", "walk"]

_NAME: Final = re.compile(r"(?P<folder>[0-9a-f]{2})/(?P<digest>(?P=folder)[0-9a-f]{62})\.dcm")
_TEMPORARY: Final = re.compile(r"[0-9a-f]{2}/[0-9a-f]{32}\.tmp")
_BLOCK: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Walked:
    """What lies in a spool.

    Attributes:
        files: Size in bytes by digest, of files that are named as they should be.
        odd: Path in the spool, and what is odd, of everything else.
        temporary: Path in the spool of files that are being written, or were.
    """

    files: dict[str, int]
    odd: dict[str, str]
    temporary: frozenset[str]


def walk(root: Path) -> Walked:
    """Everything below the folder of a spool."""
    files: dict[str, int] = {}
    odd: dict[str, str] = {}
    temporary = set()
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        try:
            status = path.lstat()
        except FileNotFoundError:  # let go meanwhile
            continue
        if stat.S_ISDIR(status.st_mode):
            continue
        found = _NAME.fullmatch(name)
        if not stat.S_ISREG(status.st_mode):
            odd[name] = "is no plain file"
        elif found is not None:
            files[found["digest"]] = status.st_size
        elif _TEMPORARY.fullmatch(name):
            temporary.add(name)
        else:
            odd[name] = "is not named as files of a spool are"
    return Walked(files=files, odd=odd, temporary=frozenset(temporary))


def check(root: Path, walked: Walked, claims: Mapping[str, int]) -> Iterator[Finding]:
    """Read every file that is there and claimed, and compare it with its name and its row."""
    for digest in sorted(walked.files.keys() & claims.keys()):
        name = f"{digest[:2]}/{digest}.dcm"
        size_bytes, is_digest = 0, hashlib.sha256()
        try:
            with (root / name).open("rb") as file:
                while block := file.read(_BLOCK):
                    size_bytes += len(block)
                    is_digest.update(block)
        except FileNotFoundError:
            continue  # let go meanwhile; whether it should be there is asked afterwards
        except OSError as error:
            yield Finding(
                kind=Kind.WRONG_DIGEST, where=name, detail=f"cannot be read: {error.strerror}"
            )
            continue
        if is_digest.hexdigest() != digest:
            yield Finding(
                kind=Kind.WRONG_DIGEST, where=name, detail="does not hold what its name says"
            )
        if size_bytes != claims[digest]:
            yield Finding(
                kind=Kind.WRONG_SIZE,
                where=name,
                detail=f"has {size_bytes} bytes, its row says {claims[digest]}",
            )
