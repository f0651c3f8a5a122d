"""What other rules would have made of the images that came last, as rows of a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import Form

from dicom_node.ports import DecidedAs

if TYPE_CHECKING:
    from dicom_node.rulebook.replaying import Outcome, Replay

__all__ = ["SIZES", "Images", "Replayed", "Row", "as_rows", "outcome_words"]

SIZES: Final = (100, 500, 2000, 5000)
"""Over how many images a page offers to replay; headers are read at some hundreds a second."""

Images = Annotated[int, Form(ge=1, le=SIZES[-1])]

_WORDS: Final = {
    DecidedAs.ACCEPT: "takes {route}",
    DecidedAs.IGNORE: "nothing is made of it",
    DecidedAs.QUARANTINE: "goes into quarantine",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Images that would come out otherwise in the same way.

    Attributes:
        count: How many.
        before: By the rules in force, in words.
        after: By the others, in words.
        reason: Of the newest one, by the others.
        images: Numbers of some.
    """

    count: int
    before: str
    after: str
    reason: str
    images: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """A replay as a page shows it."""

    images: int
    unread: int
    same: int
    remade: int
    rows: tuple[Row, ...]


def as_rows(replay: Replay) -> Replayed:
    """A replay in words."""
    rows = tuple(
        Row(
            count=each.count,
            before=outcome_words(each.before),
            after=outcome_words(each.after),
            reason=each.examples[0][2].reason,
            images=tuple(number for number, _, _ in each.examples),
        )
        for each in replay.changes
    )
    return Replayed(
        images=replay.images,
        unread=replay.unread,
        same=replay.images - sum(row.count for row in rows),
        remade=replay.remade,
        rows=rows,
    )


def outcome_words(outcome: Outcome) -> str:
    """An outcome in words."""
    words = _WORDS[outcome.decided_as].format(route=outcome.route)
    if outcome.route and outcome.decided_as is DecidedAs.QUARANTINE:
        return f"{words} by {outcome.route}"
    return words
