"""Lines that hold on to each other: a changed, missing or inserted one breaks the chain.

A line is ``number TAB hash of the line before TAB its own hash TAB message``; the hash is SHA-256
over the other three. Beside the file lies its head, the number and hash of the last line, without
which lines cut off at the end would not be missed. Whoever may write both files can still make up a
new past: what was sent to a syslog receiver is out of its reach.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["START", "Link", "Verdict", "head_of", "linked", "parsed", "verify"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One line of the trail."""

    number: int
    before: str
    digest: str
    message: str

    def __str__(self) -> str:
        return f"{self.number}\t{self.before}\t{self.digest}\t{self.message}\n"


START: Final = Link(number=0, before="", digest="0" * 64, message="")
"""What the first line holds on to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a look at a trail found.

    Attributes:
        records: Whole and linked ones, from the start.
        problem: What is wrong with the first that is not, in words; empty when all is well.
        torn: Whether the last line is only half there, as after a power cut while writing.
    """

    records: int
    problem: str
    torn: bool = False


def linked(last: Link, message: str) -> Link:
    """A message as the line after another; it must be one line itself."""
    number = last.number + 1
    return Link(
        number=number,
        before=last.digest,
        digest=_digest(number, last.digest, message),
        message=message,
    )


def parsed(line: str) -> Link | None:
    """A line, without its end, as a link; None when it is none."""
    parts = line.split("\t", 3)
    if len(parts) != 4 or not parts[0].isdecimal():
        return None
    return Link(number=int(parts[0]), before=parts[1], digest=parts[2], message=parts[3])


def verify(lines: Iterable[bytes], head: tuple[int, str] | None) -> Verdict:
    """Follow the chain from the start to the first thing that is wrong.

    Args:
        lines: Of the file, with their ends.
        head: Number and hash of the last line, as kept beside the file; None when it is not there.
    """
    last, at_head = START, head is not None and head == (0, START.digest)
    for position, raw in enumerate(lines, start=1):
        if not raw.endswith(b"\n"):
            return _end(last, head, at_head, torn=True)
        link = parsed(raw.decode("utf-8", "replace").rstrip("\n"))
        problem = "is no record" if link is None else _wrong(link, last)
        if link is None or problem:
            return Verdict(records=last.number, problem=f"record {position} {problem}")
        last = link
        at_head = at_head or head == (link.number, link.digest)
    return _end(last, head, at_head, torn=False)


def head_of(path: Path) -> tuple[int, str] | None:
    """What is kept beside a trail; None when it is not there or no head."""
    try:
        number, digest = path.read_text(encoding="ascii").split()
        return int(number), digest
    except (OSError, ValueError):
        return None


def _end(last: Link, head: tuple[int, str] | None, at_head: bool, *, torn: bool) -> Verdict:
    problem = ""
    if head is None and last.number:
        problem = "the head beside the file is missing, so records may be missing at the end"
    elif head is not None and head[0] > last.number:
        problem = f"record {last.number + 1} is missing: there were {head[0]}"
    elif head is not None and not at_head:
        problem = f"record {head[0]} is another than was written"
    return Verdict(records=last.number, problem=problem, torn=torn)


def _wrong(link: Link, last: Link) -> str:
    if link.digest != _digest(link.number, link.before, link.message):
        return "was changed after it was written"
    if link.number != last.number + 1 or link.before != last.digest:
        return "does not follow the one before it: records are missing, inserted or out of order"
    return ""


def _digest(number: int, before: str, message: str) -> str:
    return hashlib.sha256(f"{number}\t{before}\t{message}".encode()).hexdigest()
