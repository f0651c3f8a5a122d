"""What a C-STORE response status means for the instance it answers.

PS3.4 Table B.2-1 gives success, warnings (0xB...) and three kinds of failure; PS3.7 Annex C gives
the general ones. Peers answer with more than that, so the table covers all 16 bits. Its rules:

- a warning is a stored object (PS3.4 B.2.3), and so is 0x0111, duplicate instance: our UIDs follow
  from content, so the object that is there already is the one we send;
- what another attempt cannot change is refused, and a person looks at it;
- everything else, unknown codes included, is tried again until the destination's retries are spent.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Final

from dicom_node.domain.deliveries import Outcome

__all__ = ["STATUS_TABLE", "StatusRange", "meaning_of", "outcome_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusRange:
    """Statuses ``first`` to ``last``, both included, and what follows from them."""

    first: int
    last: int
    outcome: Outcome
    meaning: str


def _range(first: int, last: int, outcome: Outcome, meaning: str) -> StatusRange:
    return StatusRange(first=first, last=last, outcome=outcome, meaning=meaning)


_STORED, _RETRY, _REFUSED = Outcome.STORED, Outcome.RETRY, Outcome.REFUSED

STATUS_TABLE: Final = (
    _range(0x0000, 0x0000, _STORED, "success"),
    _range(0x0001, 0x0001, _STORED, "warning"),
    _range(0x0002, 0x0106, _RETRY, "unassigned failure"),
    _range(0x0107, 0x0107, _STORED, "warning: attribute list error"),
    _range(0x0108, 0x010F, _RETRY, "unassigned failure"),
    _range(0x0110, 0x0110, _RETRY, "processing failure"),
    _range(0x0111, 0x0111, _STORED, "duplicate SOP instance: it is there already"),
    _range(0x0112, 0x0115, _RETRY, "failure of another service"),
    _range(0x0116, 0x0116, _STORED, "warning: attribute value out of range"),
    _range(0x0117, 0x0117, _REFUSED, "invalid SOP instance"),
    _range(0x0118, 0x0118, _REFUSED, "no such SOP class"),
    _range(0x0119, 0x0119, _REFUSED, "class and instance conflict"),
    _range(0x011A, 0x011F, _RETRY, "unassigned failure"),
    _range(0x0120, 0x0121, _REFUSED, "missing attribute or value"),
    _range(0x0122, 0x0122, _REFUSED, "SOP class not supported"),
    _range(0x0123, 0x0123, _RETRY, "failure of another service"),
    _range(0x0124, 0x0124, _REFUSED, "not authorised"),
    _range(0x0125, 0x020F, _RETRY, "unassigned failure"),
    _range(0x0210, 0x0210, _RETRY, "duplicate invocation"),
    _range(0x0211, 0x0211, _REFUSED, "unrecognised operation"),
    _range(0x0212, 0x0212, _REFUSED, "mistyped argument"),
    _range(0x0213, 0x0213, _RETRY, "resource limitation"),
    _range(0x0214, 0xA6FF, _RETRY, "unassigned failure"),
    _range(0xA700, 0xA7FF, _RETRY, "out of resources"),
    _range(0xA800, 0xA8FF, _REFUSED, "SOP class not supported"),
    _range(0xA900, 0xA9FF, _REFUSED, "data set does not match SOP class"),
    _range(0xAA00, 0xAFFF, _RETRY, "unassigned failure"),
    _range(0xB000, 0xBFFF, _STORED, "warning: stored, perhaps with changes"),
    _range(0xC000, 0xCFFF, _REFUSED, "cannot understand"),
    _range(0xD000, 0xFDFF, _RETRY, "unassigned failure"),
    _range(0xFE00, 0xFE00, _RETRY, "cancelled"),
    _range(0xFE01, 0xFFFF, _RETRY, "pending or unassigned, which is no final answer"),
)
"""Ascending, without gaps or overlaps, from 0x0000 to 0xFFFF."""

_FIRSTS: Final = [entry.first for entry in STATUS_TABLE]


def _entry(status: int) -> StatusRange:
    if not 0 <= status <= 0xFFFF:
        raise ValueError(f"{status} is no DIMSE status: give 16 bits")
    return STATUS_TABLE[bisect_right(_FIRSTS, status) - 1]


def outcome_of(status: int) -> Outcome:
    """What a C-STORE response status means.

    Raises:
        ValueError: It has more than 16 bits.
    """
    return _entry(status).outcome


def meaning_of(status: int) -> str:
    """The status in words, for logs and people.

    Raises:
        ValueError: It has more than 16 bits.
    """
    return f"0x{status:04X} {_entry(status).meaning}"
