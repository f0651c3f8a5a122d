"""Three-way merge of texts by lines: two people changed one file, and neither loses anything."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

__all__ = ["Merge", "merge", "unified"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """Two changes of one text, put together.

    Attributes:
        text: Both changes; where they touch the same lines, ours and theirs between marks.
        clashes: In how many places they do; 0 is a clean merge.
    """

    text: str
    clashes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """Lines ``start`` to ``stop`` of the base become these."""

    start: int
    stop: int
    lines: tuple[str, ...]


def merge(base: str, ours: str, theirs: str) -> Merge:
    """Put two changes of a base text together.

    Changes that touch or overlap clash unless they are the same.
    """
    lines = base.splitlines(keepends=True)
    mine, other = _changes(lines, ours), _changes(lines, theirs)
    out: list[str] = []
    at = clashes = 0
    while mine or other:
        first = min(mine[:1] + other[:1], key=lambda each: (each.start, each.stop))
        start, stop = first.start, first.stop
        taken: tuple[list[_Change], list[_Change]] = ([], [])
        grown = True
        while grown:
            grown = False
            for side, pile in ((mine, taken[0]), (other, taken[1])):
                while side and side[0].start <= stop:
                    stop = max(stop, side[0].stop)
                    pile.append(side.pop(0))
                    grown = True
        out += lines[at:start]
        texts = [_applied(lines, start, stop, pile) for pile in taken]
        if not taken[1] or texts[0] == texts[1]:
            out += texts[0]
        elif not taken[0]:
            out += texts[1]
        else:
            clashes += 1
            out += ["<<<<<<< yours\n", *_ended(texts[0]), "=======\n", *_ended(texts[1])]
            out += [">>>>>>> in the file\n"]
        at = stop
    return Merge(text="".join((*out, *lines[at:])), clashes=clashes)


def _changes(base: list[str], text: str) -> list[_Change]:
    other = text.splitlines(keepends=True)
    matcher = difflib.SequenceMatcher(a=base, b=other, autojunk=False)
    return [
        _Change(start=a, stop=b, lines=tuple(other[c:d]))
        for tag, a, b, c, d in matcher.get_opcodes()
        if tag != "equal"
    ]


def _applied(base: list[str], start: int, stop: int, changes: list[_Change]) -> list[str]:
    out: list[str] = []
    at = start
    for change in changes:
        out += [*base[at : change.start], *change.lines]
        at = change.stop
    return [*out, *base[at:stop]]


def _ended(lines: list[str]) -> list[str]:
    if lines and not lines[-1].endswith("\n"):
        return [*lines[:-1], lines[-1] + "\n"]
    return lines


def unified(before: str, after: str, *, old: str, new: str) -> tuple[str, ...]:
    """Lines of a unified diff, without line ends; none when the texts are the same.

    Args:
        before: Text.
        after: Text.
        old: Name of the first.
        new: Name of the second.
    """
    return tuple(
        difflib.unified_diff(
            before.splitlines(), after.splitlines(), fromfile=old, tofile=new, lineterm=""
        )
    )
