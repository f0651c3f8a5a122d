"""What a person typed into the search, as a `Search`, and the address of the next page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlencode

from fastapi import Query

from dicom_node.console.failures import ForbiddenError
from dicom_node.domain.images import ImageState
from dicom_node.domain.jobs import JobState
from dicom_node.ports.console import Search

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "PAGE",
    "Asked",
    "AskedImages",
    "AskedJobs",
    "Search",
    "in_words",
    "next_page",
    "search_of",
]

PAGE = 50
"""Rows of a list; a page of them stays far below 100 kB."""

Text = Annotated[str, Query(max_length=100)]
Nothing = Literal[""]
"""A field of a form that was left empty."""

When = Annotated[datetime | Nothing, Query()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The fields of the search form that both lists have."""

    route: Text = ""
    peer: Text = ""
    accession: Text = ""
    study: Text = ""
    text: Text = ""
    destination: Text = ""
    since: When = ""
    until: When = ""

    @property
    def which(self) -> str:
        """The state; empty for any."""
        return str(getattr(self, "state", ""))

    def given(self) -> Mapping[str, str]:
        """Those that are filled in."""
        fields = {"state": self.which} | {name: getattr(self, name) for name in Asked.__slots__}
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in fields.items()
            if value
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedJobs(Asked):
    """The search form of jobs; a dependency of their list."""

    state: JobState | Nothing = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedImages(Asked):
    """The search form of images; a dependency of their list."""

    state: ImageState | Nothing = ""


def search_of(asked: Asked, *, patients: bool) -> Search:
    """What the ledger is asked for.

    Args:
        asked: The form.
        patients: Who asks may see patients' identifiers.

    Raises:
        ForbiddenError: It asks about an identifier that may not be seen: guesses would show it.
    """
    if asked.accession and not patients:
        raise ForbiddenError("The role viewer does not search by Accession Number.")
    return Search(
        state=asked.which,
        route=asked.route.strip(),
        peer=asked.peer.strip(),
        accession=asked.accession.strip(),
        study=asked.study.strip(),
        text=asked.text.strip(),
        destination=asked.destination.strip(),
        since=_seconds(asked.since),
        until=_seconds(asked.until),
    )


def in_words(asked: Asked) -> str:
    """What is looked for, without what is about a patient."""
    said = {key: value for key, value in asked.given().items() if key != "accession"}
    for key, time in (("since", asked.since), ("until", asked.until)):
        if time != "":
            said[key] = f"{time:%Y-%m-%d %H:%M:%S}"
    return ", ".join(f"{key} {value}" for key, value in said.items())


def next_page(path: str, asked: Asked, before: int) -> str:
    """Address of the page after the row of a number."""
    return f"{path}?{urlencode({**asked.given(), 'before': before})}"


def _seconds(time: datetime | Nothing) -> float | None:
    if time == "":
        return None
    try:
        return time.timestamp()
    except (ValueError, OverflowError):  # a year that clocks do not know
        return 0.0
