"""The API, version 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse, Response

from dicom_node.console.api import shapes
from dicom_node.console.api.shapes import Again, Count, Done, Images, JobDetails, Jobs, Send
from dicom_node.console.errors import answers
from dicom_node.console.jobs import bulk, deeds, pictures, searching
from dicom_node.console.jobs.pictures import Key, Number, known, known_image
from dicom_node.console.jobs.searching import AskedImages, AskedJobs
from dicom_node.console.masking import may_see_patients
from dicom_node.console.parts import parts_of
from dicom_node.console.registry import Section
from dicom_node.console.security.guard import API, Somebody, requires
from dicom_node.console.shapes import Problem
from dicom_node.console.today.pages import figures
from dicom_node.domain.accounts import Identity, Role
from dicom_node.ports import Deed
from dicom_node.ports.console import Bulk

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import FastAPI


__all__ = ["DESCRIPTION", "SECTION", "describe"]

DICOM: Final = "application/dicom"

router = APIRouter(prefix=API, responses=answers())

Operator = Annotated[Identity, Depends(requires(Role.OPERATOR))]
JobSearch = Annotated[AskedJobs, Depends()]
ImageSearch = Annotated[AskedImages, Depends()]
Before = Annotated[int | None, Query(ge=1, le=2**62)]
Limit = Annotated[int, Query(ge=1, le=500)]


@router.get("/standing")
def standing(request: Request, who: Somebody) -> shapes.Standing:
    """How the node is, and what to do when it is not well."""
    found = figures(parts_of(request))
    return shapes.Standing(
        well=not any(each.grave for each in found["troubles"]),
        troubles=[
            shapes.TroubleOut(grave=each.grave, problem=each.words, todo=each.todo)
            for each in found["troubles"]
        ],
        images_waiting=found["queues"].images_waiting,
        jobs_queued=found["counts"]["queued"],
        jobs_running=found["counts"]["running"],
        deliveries_open=found["counts"]["sending"],
        quarantined=found["counts"]["quarantined"],
        free_bytes=found["free"],
    )


@router.get("/jobs")
def jobs(
    request: Request, who: Somebody, asked: JobSearch, before: Before = None, limit: Limit = 50
) -> Jobs:
    """Jobs, the newest first."""
    parts = parts_of(request)
    patients = may_see_patients(who, parts.access)
    search = searching.search_of(asked, patients=patients)
    rows = parts.found.find_jobs(search, before=before, limit=limit + 1)
    return Jobs(
        jobs=[shapes.job_out(row, patients=patients) for row in rows[:limit]],
        next=rows[limit - 1].id if len(rows) > limit else None,
    )


@router.post("/jobs/cancel")
def cancel_queued(request: Request, who: Operator, asked: JobSearch) -> Count:
    """Give up the jobs that wait for the engine, of those that are looked for in any state."""
    return Count(count=bulk.settle(parts_of(request), who, Bulk.CANCEL_QUEUED, asked))


@router.get("/jobs/{key}")
def job(request: Request, who: Somebody, key: Key) -> JobDetails:
    """All about a job."""
    return shapes.job_details(known(request, key))


@router.post("/jobs/{key}/release")
def release(request: Request, who: Operator, key: Key) -> Done:
    """Let what is in quarantine of it run again."""
    return Done(done=deeds.settle_job(parts_of(request), who, known(request, key), Deed.RELEASE))


@router.post("/jobs/{key}/cancel")
def cancel(request: Request, who: Operator, key: Key) -> Done:
    """Give it up."""
    return Done(done=deeds.settle_job(parts_of(request), who, known(request, key), Deed.CANCEL))


@router.post("/jobs/{key}/retry")
def retry(request: Request, who: Operator, key: Key) -> Done:
    """Have what waits for a later time done now."""
    return Done(done=deeds.retry(parts_of(request), who, known(request, key)))


@router.post("/jobs/{key}/send")
def send(request: Request, who: Operator, key: Key, wanted: Send) -> Done:
    """Send its views to one more destination."""
    words = deeds.send(parts_of(request), who, known(request, key), wanted.destination)
    return Done(done=words)


@router.post("/jobs/{key}/again")
def again(request: Request, who: Operator, key: Key, wanted: Again) -> Done:
    """Synthesize other views; ``done`` is the key of the new job."""
    return Done(done=deeds.again(parts_of(request), who, known(request, key), wanted.view_set))


@router.get("/images")
def images(
    request: Request, who: Somebody, asked: ImageSearch, before: Before = None, limit: Limit = 50
) -> Images:
    """Images, the newest first."""
    parts = parts_of(request)
    patients = may_see_patients(who, parts.access)
    search = searching.search_of(asked, patients=patients)
    rows = parts.found.find_images(search, before=before, limit=limit + 1)
    return Images(
        images=[shapes.image_out(row, patients=patients) for row in rows[:limit]],
        next=rows[limit - 1].id if len(rows) > limit else None,
    )


@router.get("/images/{number}")
def image(request: Request, who: Somebody, number: Number) -> shapes.ImageDetails:
    """All about an image."""
    row, accession = known_image(request, number)
    patients = may_see_patients(who, parts_of(request).access)
    return shapes.image_details(row, accession, patients=patients)


@router.post("/images/{number}/release")
def release_image(request: Request, who: Operator, number: Number) -> Done:
    """Let an image in quarantine be decided by the routes of now."""
    return Done(done=_settle_image(request, who, number, Deed.RELEASE))


@router.post("/images/{number}/cancel")
def cancel_image(request: Request, who: Operator, number: Number) -> Done:
    """Give an image in quarantine up."""
    return Done(done=_settle_image(request, who, number, Deed.CANCEL))


def _settle_image(request: Request, who: Identity, number: int, deed: Deed) -> str:
    row, _ = known_image(request, number)
    return deeds.settle_image(parts_of(request), who, row.image.sop_instance_uid, deed)


@router.post("/images/anew")
def decide_anew(request: Request, who: Operator, asked: ImageSearch) -> Count:
    """Decide anew about the images that were ignored, of those that are looked for in any state."""
    return Count(count=bulk.settle(parts_of(request), who, Bulk.DECIDE_ANEW, asked))


@router.get("/quarantine")
def reasons(request: Request, who: Somebody) -> shapes.Reasons:
    """What is in quarantine, by reason."""
    found = parts_of(request).found.reasons(limit=100)
    return shapes.Reasons(reasons=[shapes.reason_out(each) for each in found])


@router.post("/quarantine")
def settle(request: Request, who: Operator, wanted: shapes.Bulk) -> Count:
    """Release or cancel all in quarantine whose reason holds these words."""
    count = deeds.settle_all(
        parts_of(request),
        who,
        wanted.kind,
        wanted.deed,
        reason=wanted.reason,
        destination=wanted.destination,
    )
    return Count(count=count)


@router.post("/destinations/{name}/retry")
def retry_destination(request: Request, who: Operator, name: str) -> Count:
    """Send now what waits for a destination."""
    return Count(count=deeds.hurry_destination(parts_of(request), who, name))


def _file(path: str, kind: str, serve: Callable[..., Response], words: str) -> None:
    """Offer a file that the console offers; its role is looked at and its reading audited there."""
    router.add_api_route(
        path,
        serve,
        description=words,
        response_class=Response,
        responses={200: {"content": {kind: {"schema": {"type": "string", "format": "binary"}}}}},
    )


_file("/jobs/{key}/files/{which}.dcm", DICOM, pictures.whole_file, "A DICOM file of a job.")
_file("/jobs/{key}/files/{which}.png", "image/png", pictures.whole_picture, "The same to look at.")
_file("/images/{number}/file.dcm", DICOM, pictures.image_file, "A received DICOM file.")


described = APIRouter()


@described.get("/api/openapi.json", include_in_schema=False)
def description(request: Request, who: Somebody) -> JSONResponse:
    """The OpenAPI description."""
    return JSONResponse(describe(request.app, request.scope.get("root_path", "")))


def describe(app: FastAPI, root_path: str = "") -> dict[str, Any]:
    """OpenAPI of what all sections offer to programs, with the address it is at."""
    made = get_openapi(
        title="dicom-node",
        version=app.version,
        routes=[
            each
            for section in app.state.sections
            for each in section.router.routes
            if getattr(each, "path", "").startswith(f"{API}/")
        ],
        servers=[{"url": root_path or "/"}],
    )
    components = made.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    made["security"] = [{"token": []}]
    return made


SECTION: Final = Section(name="api", router=router)
DESCRIPTION: Final = Section(name="description", router=described)
