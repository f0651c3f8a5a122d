"""What can be done about all that a list shows, on all its pages: asked first, and audited."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from math import ceil
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request

from dicom_node.console import notices
from dicom_node.console.failures import ConflictError
from dicom_node.console.filters import counted
from dicom_node.console.jobs import deeds
from dicom_node.console.jobs.searching import Asked, AskedImages, AskedJobs, in_words, search_of
from dicom_node.console.masking import may_see_patients
from dicom_node.console.pages import confirmation
from dicom_node.console.parts import parts_of
from dicom_node.console.registry import Section
from dicom_node.console.security.guard import requires
from dicom_node.domain.accounts import Identity, Role
from dicom_node.ports.console import Bulk

if TYPE_CHECKING:
    from fastapi.responses import HTMLResponse, Response

    from dicom_node.console.parts import Parts

__all__ = ["SECTION", "settle"]

router = APIRouter()

Operator = Annotated[Identity, Depends(requires(Role.OPERATOR))]
JobSearch = Annotated[AskedJobs, Depends()]
ImageSearch = Annotated[AskedImages, Depends()]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    """How a deed is put.

    Attributes:
        path: Of the list.
        nouns: What is in it.
        verb: Of the deed.
        done: What is said when it is done.
        will: What it will do.
        none: There is nothing to do it to.
        danger: It cannot be undone.
    """

    path: str
    nouns: str
    verb: str
    done: str
    will: str
    none: str
    danger: bool = False


_WORDS: Final = {
    Bulk.CANCEL_QUEUED: _Words(
        path="/jobs",
        nouns="jobs",
        verb="Cancel",
        done="cancelled",
        will="Of the jobs in the list, on all its pages, those that wait for the engine. Nothing "
        "is made of them. This cannot be undone.",
        none="No job that this describes waits.",
        danger=True,
    ),
    Bulk.DECIDE_ANEW: _Words(
        path="/images",
        nouns="images",
        verb="Decide anew about",
        done="decided anew",
        will="Of the images in the list, on all its pages, those that were ignored and whose files "
        "are kept. The routes as they are now decide about them, as if they had just come.",
        none="No image that this describes is ignored and kept.",
    ),
}


@router.get("/jobs/cancel/confirm")
def confirm_cancel(request: Request, who: Operator, asked: JobSearch) -> HTMLResponse:
    """Ask."""
    return _ask(request, who, Bulk.CANCEL_QUEUED, asked, "/jobs/cancel")


@router.post("/jobs/cancel")
def cancel(request: Request, who: Operator, asked: JobSearch) -> Response:
    """Cancel the jobs that wait."""
    return _do(request, who, Bulk.CANCEL_QUEUED, asked)


@router.get("/images/anew/confirm")
def confirm_anew(request: Request, who: Operator, asked: ImageSearch) -> HTMLResponse:
    """Ask."""
    return _ask(request, who, Bulk.DECIDE_ANEW, asked, "/images/anew")


@router.post("/images/anew")
def anew(request: Request, who: Operator, asked: ImageSearch) -> Response:
    """Decide anew about ignored images."""
    return _do(request, who, Bulk.DECIDE_ANEW, asked)


def settle(parts: Parts, who: Identity, bulk: Bulk, asked: Asked) -> int:
    """Do it, for pages and programs; to how many.

    Raises:
        ConflictError: There is nothing to do it to.
    """
    search = search_of(asked, patients=may_see_patients(who, parts.access))
    words = _WORDS[bulk]
    count = parts.found.settle_chosen(bulk, search, parts.clock())
    if not count:
        raise ConflictError(words.none)
    said = f"{counted(count, words.nouns)} {words.done}"
    deeds.audit(parts, who, f"{words.nouns}: {in_words(asked) or 'all'}", said)
    return count


def _do(request: Request, who: Identity, bulk: Bulk, asked: Asked) -> Response:
    count, words = settle(parts_of(request), who, bulk, asked), _WORDS[bulk]
    return notices.done(request, words.path, f"{counted(count, words.nouns)} {words.done}.")


def _ask(request: Request, who: Identity, bulk: Bulk, asked: Asked, action: str) -> HTMLResponse:
    parts, words = parts_of(request), _WORDS[bulk]
    if asked.until == "":  # what comes while somebody reads the question is not meant
        now = datetime.fromtimestamp(ceil(parts.clock())).astimezone()
        asked = replace(asked, until=now)
    search = search_of(asked, patients=may_see_patients(who, parts.access))
    count = parts.found.count_chosen(bulk, search)
    if not count:
        raise ConflictError(words.none)
    query = urlencode(asked.given())
    return confirmation(
        request,
        title=f"{words.verb} {counted(count, words.nouns)}?",
        words=words.will,
        action=f"{action}?{query}",
        verb=f"{words.verb} {count}",
        back=f"{words.path}?{query}",
        danger=words.danger,
        details=tuple(filter(None, [in_words(asked)])),
    )


SECTION: Final = Section(name="bulk", router=router)
