"""What can be wrong between rows and files."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

__all__ = ["Finding", "Kind", "Report"]


class Kind(StrEnum):
    """Of a mismatch."""

    MISSING_FILE = "missing_file"
    """A row claims a file that is not there."""
    EXTRA_FILE = "extra_file"
    """A file is there that no row claims, or that has no place in a spool."""
    WRONG_DIGEST = "wrong_digest"
    """A file does not hold what its name says."""
    WRONG_SIZE = "wrong_size"
    """A file has another size than its row says."""
    REMOVED_TOO_EARLY = "removed_too_early"
    """A row says that its file was let go, and work that is not closed needs it."""
    BROKEN_REFERENCE = "broken_reference"
    """A row refers to one that is not there, or to one of something else."""
    INCOMPLETE = "incomplete"
    """A row lacks the rows that belong to it."""
    DAMAGED_LEDGER = "damaged_ledger"
    """The database itself is not whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One mismatch.

    Attributes:
        kind: Of what sort.
        where: The row, as ``table/id``, or the file, by its path in the spool.
        detail: In words, without anything about a patient.
    """

    kind: Kind
    where: str
    detail: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.kind.value}: {self.where}: {self.detail}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a look found.

    Attributes:
        rows: Looked at.
        files: Looked at.
        files_bytes: Their size.
        findings: Every mismatch, by kind and place.
    """

    rows: int
    files: int
    files_bytes: int
    findings: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:
        """The same for machines."""
        return asdict(self) | {"ok": not self.findings}
