"""A received image: states and their table."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from dicom_node.domain.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["IMAGE_TABLE", "ImageEvent", "ImageState", "advance"]


class ImageState(StrEnum):
    """Where an image stands. CONFLICTING is one whose UID another content had first."""

    WAITING = "waiting"
    ACCEPTED = "accepted"
    IGNORED = "ignored"
    QUARANTINED = "quarantined"
    CONFLICTING = "conflicting"
    CANCELLED = "cancelled"


class ImageEvent(StrEnum):
    """What may happen to an image."""

    ACCEPTED = "accepted"
    IGNORED = "ignored"
    QUARANTINED = "quarantined"
    RELEASED = "released"
    CANCELLED = "cancelled"


_S, _E = ImageState, ImageEvent

IMAGE_TABLE: Final[Mapping[tuple[ImageState, ImageEvent], ImageState]] = {
    (_S.WAITING, _E.ACCEPTED): _S.ACCEPTED,
    (_S.WAITING, _E.IGNORED): _S.IGNORED,
    (_S.WAITING, _E.QUARANTINED): _S.QUARANTINED,
    (_S.QUARANTINED, _E.RELEASED): _S.WAITING,
    # The same image sent again is a duplicate, so this is the way back from a rule that was wrong.
    (_S.IGNORED, _E.RELEASED): _S.WAITING,
    (_S.QUARANTINED, _E.CANCELLED): _S.CANCELLED,
    (_S.CONFLICTING, _E.CANCELLED): _S.CANCELLED,
}


def advance(state: ImageState, event: ImageEvent) -> ImageState:
    """The state after an event.

    Raises:
        IntegrityError: The table has no such pair.
    """
    try:
        return IMAGE_TABLE[state, event]
    except KeyError:
        raise IntegrityError(f"an image that is {state} cannot be {event}") from None
