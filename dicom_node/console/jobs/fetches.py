"""Fetching a study from an archive, and what came of it: pages, and the same for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi import Path as InPath

from dicom_node.console import notices
from dicom_node.console.api import shapes
from dicom_node.console.errors import answers
from dicom_node.console.failures import ConflictError, NotFoundError, RejectedError
from dicom_node.console.jobs import deeds
from dicom_node.console.masking import may_see_patients
from dicom_node.console.pages import page
from dicom_node.console.parts import parts_of
from dicom_node.console.registry import Entry, Section
from dicom_node.console.security.guard import API, requires
from dicom_node.domain.accounts import Identity, Role
from dicom_node.domain.errors import CapacityError, InputError
from dicom_node.domain.images import ImageState
from dicom_node.ports.console import Search

if TYPE_CHECKING:
    from fastapi.responses import HTMLResponse, Response

    from dicom_node.console.parts import Parts
    from dicom_node.domain.fetches import Fetch
    from dicom_node.ports.console import ImageLine
    from dicom_node.ports.fetches import Fetches

__all__ = ["API_SECTION", "SECTION"]

IMAGES_SHOWN: Final = 100

router = APIRouter()
programs = APIRouter(prefix=API, responses=answers())

Operator = Annotated[Identity, Depends(requires(Role.OPERATOR))]
Number = Annotated[int, InPath(ge=1, le=2**31)]
Study = Annotated[str, Query(max_length=128)]


@router.get("/fetch")
def form(request: Request, who: Operator, study: Study = "") -> HTMLResponse:
    """What to fetch, and what was fetched."""
    return _page(request, "fetches.html", study=study.strip(), wrong="")


@router.get("/fetch/live")
def live(request: Request, who: Operator) -> HTMLResponse:
    """The list alone, which the page asks for again and again."""
    return _page(request, "_fetches.html", study="", wrong="")


@router.post("/fetch")
def begin(
    request: Request,
    who: Operator,
    study: Annotated[str, Form(max_length=128)] = "",
    source: Annotated[str, Form(max_length=64)] = "",
) -> Response:
    """Have it fetched."""
    try:
        fetch = _begin(parts_of(request), who, study.strip(), source)
    except RejectedError as error:
        return _page(
            request,
            "fetches.html",
            status=422,
            study=study.strip(),
            chosen=source,
            wrong=error.words,
        )
    return notices.done(request, f"/fetch/{fetch.number}", f"Asked {fetch.source} for the study.")


@router.get("/fetch/{number}")
def one(request: Request, who: Operator, number: Number) -> HTMLResponse:
    """What came of one."""
    return _one(request, who, number, "fetch.html")


@router.get("/fetch/{number}/live")
def live_one(request: Request, who: Operator, number: Number) -> HTMLResponse:
    """The part of it that changes."""
    return _one(request, who, number, "_fetch.html")


@programs.get("/fetches")
def fetches(request: Request, who: Operator) -> shapes.FetchesOut:
    """The last studies that were fetched, the newest first."""
    found = _fetches(parts_of(request)).recent()
    return shapes.FetchesOut(fetches=[shapes.fetch_out(each) for each in found])


@programs.post("/fetches")
def begin_one(request: Request, who: Operator, wanted: shapes.FetchIn) -> shapes.FetchOut:
    """Have a study fetched from an archive; it goes on in the background, ask for its number."""
    found = _begin(parts_of(request), who, wanted.study_instance_uid, wanted.source)
    return shapes.fetch_out(found)


@programs.get("/fetches/{number}")
def look(request: Request, who: Operator, number: Number) -> shapes.FetchDetails:
    """How far one is, and what became of the study's images."""
    parts = parts_of(request)
    fetch = _known(parts, number)
    patients = may_see_patients(who, parts.access)
    return shapes.FetchDetails(
        fetch=shapes.fetch_out(fetch),
        images=[shapes.image_out(each, patients=patients) for each in _images(parts, fetch)],
    )


def _begin(parts: Parts, who: Identity, study_uid: str, source: str) -> Fetch:
    if source not in {each.name for each in parts.facts.destinations}:
        raise RejectedError("Choose one of the destinations as the archive.")
    try:
        fetch = _fetches(parts).begin(source, study_uid, who.name)
    except InputError as error:
        raise RejectedError(f"This cannot be fetched: {error}.") from None
    except CapacityError as error:
        raise ConflictError(f"Not now: {error}.") from None
    deeds.audit(parts, who, f"study {study_uid}", f"Fetched from {source}")
    return fetch


def _fetches(parts: Parts) -> Fetches:
    if parts.fetches is None:
        raise ConflictError("This node does not fetch.")
    return parts.fetches


def _known(parts: Parts, number: int) -> Fetch:
    found = _fetches(parts).fetch(number)
    if found is None:
        raise NotFoundError(
            "There is no such fetch, or not any more: the node remembers the last ones alone."
        )
    return found


def _images(parts: Parts, fetch: Fetch) -> tuple[ImageLine, ...]:
    return parts.found.find_images(Search(study=fetch.study_uid), limit=IMAGES_SHOWN)


def _one(request: Request, who: Identity, number: int, template: str) -> HTMLResponse:
    parts = parts_of(request)
    fetch = _known(parts, number)
    rows = _images(parts, fetch)
    return page(
        request,
        template,
        title=f"Fetch {number}",
        fetch=fetch,
        rows=rows,
        patients=may_see_patients(who, parts.access),
        goes_on=not fetch.state.is_over or any(row.state is ImageState.WAITING for row in rows),
    )


def _page(request: Request, template: str, *, status: int = 200, **context: Any) -> HTMLResponse:
    parts = parts_of(request)
    found = _fetches(parts).recent()
    return page(
        request,
        template,
        title="Fetch a study",
        status=status,
        fetches=found,
        goes_on=any(not each.state.is_over for each in found),
        archives=[each.name for each in parts.facts.destinations],
        **{"chosen": "", **context},
    )


SECTION: Final = Section(
    name="fetches",
    router=router,
    entries=(Entry(title="Fetch", path="/fetch", order=37, role=Role.OPERATOR),),
)
API_SECTION: Final = Section(name="fetches for programs", router=programs)
