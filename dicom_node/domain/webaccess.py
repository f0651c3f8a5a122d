"""How a DICOMweb service is reached."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Retrieve", "WebAccess"]


class Retrieve(StrEnum):
    """How studies are fetched from one that speaks DIMSE (PS3.4 C.4)."""

    GET = "get"
    MOVE = "move"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebAccess:
    """A DICOMweb service (PS3.18).

    Attributes:
        url: Of the service, without a slash at its end: ``/studies`` follows.
        authorization: Gives the value of the Authorization header, read when it is needed, as a
            token may be renewed meanwhile; None for no such header.
    """

    url: str
    authorization: Callable[[], str] | None = field(default=None, compare=False)
