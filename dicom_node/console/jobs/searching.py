"""What a person typed into the search, as a `Search`, and the address of the next page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

from fastapi import Query

from dicom_node.console.failures import RejectedError
from dicom_node.domain.images import ImageState
from dicom_node.domain.jobs import JobState
from dicom_node.ports.console import Search

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PAGE", "Asked", "next_page", "of_images", "of_jobs"]

PAGE = 50
"""Rows of a list; a page of them stays far below 100 kB."""

Text = Annotated[str, Query(max_length=100)]
When = Annotated[str, Query(max_length=32)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The fields of the search form; a dependency of the lists."""

    state: Text = ""
    route: Text = ""
    peer: Text = ""
    accession: Text = ""
    study: Text = ""
    text: Text = ""
    destination: Text = ""
    since: When = ""
    until: When = ""

    def given(self) -> Mapping[str, str]:
        """Those that are filled in."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in fields.items() if value}


def of_jobs(asked: Asked) -> Search:
    """A search for jobs.

    Raises:
        RejectedError: A field makes no sense.
    """
    return _search(asked, list(JobState))


def of_images(asked: Asked) -> Search:
    """A search for images.

    Raises:
        RejectedError: A field makes no sense.
    """
    return _search(asked, list(ImageState))


def next_page(path: str, asked: Asked, before: int) -> str:
    """Address of the page after the row of a number."""
    return f"{path}?{urlencode({**asked.given(), 'before': before})}"


def _search(asked: Asked, states: list[Any]) -> Search:
    if asked.state and asked.state not in states:
        raise RejectedError(f"state: give one of {', '.join(states)}")
    return Search(
        state=asked.state,
        route=asked.route.strip(),
        peer=asked.peer.strip(),
        accession=asked.accession.strip(),
        study=asked.study.strip(),
        text=asked.text.strip(),
        destination=asked.destination.strip(),
        since=_time("since", asked.since),
        until=_time("until", asked.until),
    )


def _time(name: str, text: str) -> float | None:
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise RejectedError(f"{name}: give a date and time as 2026-01-31T08:00") from None
