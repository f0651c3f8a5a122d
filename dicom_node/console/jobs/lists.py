"""The lists of jobs and of images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request

from dicom_node.console.jobs import searching
from dicom_node.console.jobs.searching import PAGE, Asked, AskedImages, AskedJobs
from dicom_node.console.masking import may_see_patients
from dicom_node.console.pages import page
from dicom_node.console.registry import Entry, Section
from dicom_node.console.security.guard import Somebody
from dicom_node.domain.images import ImageState
from dicom_node.domain.jobs import JobState

if TYPE_CHECKING:
    from fastapi.responses import HTMLResponse

    from dicom_node.console.parts import Parts

__all__ = ["SECTION"]

router = APIRouter()

Before = Annotated[int | None, Query(ge=1, le=2**62)]
JobSearch = Annotated[AskedJobs, Depends()]
ImageSearch = Annotated[AskedImages, Depends()]


@router.get("/jobs")
def jobs(request: Request, who: Somebody, asked: JobSearch, before: Before = None) -> HTMLResponse:
    """The newest jobs, or those that were looked for."""
    return _jobs(request, who, asked, before, "jobs.html")


@router.get("/jobs/live")
def live_jobs(
    request: Request, who: Somebody, asked: JobSearch, before: Before = None
) -> HTMLResponse:
    """The rows alone, which the page asks for again and again."""
    return _jobs(request, who, asked, before, "_jobs.html")


@router.get("/images")
def images(
    request: Request, who: Somebody, asked: ImageSearch, before: Before = None
) -> HTMLResponse:
    """The newest images, or those that were looked for."""
    return _images(request, who, asked, before, "images.html")


@router.get("/images/live")
def live_images(
    request: Request, who: Somebody, asked: ImageSearch, before: Before = None
) -> HTMLResponse:
    """The rows alone."""
    return _images(request, who, asked, before, "_images.html")


def _jobs(
    request: Request, who: Somebody, asked: Asked, before: int | None, template: str
) -> HTMLResponse:
    parts: Parts = request.app.state.parts
    rows = parts.found.find_jobs(_search(parts, who, asked), before=before, limit=PAGE + 1)
    return _list(request, who, asked, template, "Jobs", "/jobs", rows, before, list(JobState))


def _images(
    request: Request, who: Somebody, asked: Asked, before: int | None, template: str
) -> HTMLResponse:
    parts: Parts = request.app.state.parts
    rows = parts.found.find_images(_search(parts, who, asked), before=before, limit=PAGE + 1)
    return _list(request, who, asked, template, "Images", "/images", rows, before, list(ImageState))


def _search(parts: Parts, who: Somebody, asked: Asked) -> searching.Search:
    return searching.search_of(asked, patients=may_see_patients(who, parts.access))


def _list(
    request: Request,
    who: Somebody,
    asked: Asked,
    template: str,
    title: str,
    path: str,
    rows: tuple[Any, ...],
    before: int | None,
    states: list[Any],
) -> HTMLResponse:
    parts: Parts = request.app.state.parts
    shown = rows[:PAGE]
    return page(
        request,
        template,
        title=title,
        rows=shown,
        asked=asked,
        states=states,
        patients=may_see_patients(who, parts.access),
        first=before is None,
        newest=searching.next_page(path, asked, 2**62 - 1).partition("before=")[0].rstrip("?&"),
        live=f"{path}/live?{request.url.query}" if request.url.query else f"{path}/live",
        more=searching.next_page(path, asked, shown[-1].id) if len(rows) > PAGE else "",
    )


SECTION: Final = Section(
    name="lists",
    router=router,
    entries=(
        Entry(title="Jobs", path="/jobs", order=20),
        Entry(title="Images", path="/images", order=30),
    ),
)
