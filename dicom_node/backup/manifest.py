"""What a backup says of itself, and how its files are named."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from dicom_node.domain.errors import ConfigurationError, IntegrityError

__all__ = [
    "LEDGER_FOLDER",
    "MANIFEST",
    "SPOOL_FOLDER",
    "SUMS",
    "DumpedTable",
    "Manifest",
    "read_sums",
    "sealed",
    "spool_name",
    "sums_line",
]

MANIFEST: Final = "backup.json"
SUMS: Final = "SHA256SUMS"
LEDGER_FOLDER: Final = "ledger"
SPOOL_FOLDER: Final = "spool"

_FORMAT: Final = "dicom-node backup"
_VERSION: Final = 1
_SUM: Final = re.compile(r"([0-9a-f]{64})  ([\w./-]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpedTable:
    """One table of the ledger in a file.

    Attributes:
        name: Of the table.
        rows: How many.
        digest: SHA-256 of its file.
    """

    name: str
    rows: int
    digest: str

    @property
    def file(self) -> str:
        """Its name in the backup."""
        return f"{LEDGER_FOLDER}/{self.name}.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a backup says of itself.

    Attributes:
        backup: Its own name, which no other has.
        taken_at: When the rows were as they are here, in Unix seconds.
        node_version: That took it.
        revision: Of the ledger's tables.
        tables: In an order in which they can be filled.
        files: How many files of the spool it holds.
        files_bytes: Their size.
        damaged: Digests of files that rows claim and that were missing or not whole in the spool.
        sums: SHA-256 of the file of sums.
    """

    backup: str
    taken_at: float
    node_version: str
    revision: str
    tables: tuple[DumpedTable, ...]
    files: int
    files_bytes: int
    damaged: tuple[str, ...]
    sums: str

    def to_json(self) -> bytes:
        """The file."""
        head = {"format": _FORMAT, "format_version": _VERSION}
        return (json.dumps(sealed(head | asdict(self)), indent=1) + "\n").encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """The value of a file.

        Raises:
            ConfigurationError: It is no backup, or one of a newer format.
            IntegrityError: It is broken.
        """
        try:
            read: dict[str, Any] = json.loads(data)
            found, version = read.pop("format"), read.pop("format_version")
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ConfigurationError(f"{MANIFEST} is not of a backup of this node") from None
        if found != _FORMAT or version != _VERSION:
            raise ConfigurationError(
                f"the backup has format {version}; this version of the node reads {_VERSION}"
            )
        seal = read.pop("seal", None)
        if sealed({"format": found, "format_version": version} | read)["seal"] != seal:
            raise IntegrityError(f"{MANIFEST} of the backup is broken")
        try:
            read["tables"] = tuple(DumpedTable(**table) for table in read["tables"])
            read["damaged"] = tuple(read["damaged"])
            return cls(**read)
        except (KeyError, TypeError):
            raise IntegrityError(f"{MANIFEST} of the backup is broken") from None


def sealed(values: dict[str, Any]) -> dict[str, Any]:
    """What a manifest says, with the digest of all of it: no other file vouches for this one."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return values | {"seal": hashlib.sha256(text.encode()).hexdigest()}


def spool_name(digest: str) -> str:
    """Name of a spooled file in the backup."""
    return f"{SPOOL_FOLDER}/{digest[:2]}/{digest}.dcm"


def sums_line(digest: str, name: str) -> str:
    """A line of the file of sums."""
    return f"{digest}  {name}\n"


def read_sums(data: bytes) -> dict[str, str]:
    """Digest by name of file.

    Raises:
        IntegrityError: It is broken.
    """
    sums = {}
    for line in data.decode("ascii", "replace").splitlines():
        found = _SUM.fullmatch(line)
        if found is None:
            raise IntegrityError(f"{SUMS} of the backup is broken")
        sums[found[2]] = found[1]
    return sums
