"""What is in quarantine, by reason; and an image's page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

from fastapi import APIRouter, Depends, Request

from dicom_node.console import notices
from dicom_node.console.jobs import deeds
from dicom_node.console.jobs.details import person_of
from dicom_node.console.jobs.pictures import Number, known_image
from dicom_node.console.masking import may_see_patients
from dicom_node.console.pages import confirmation, page
from dicom_node.console.registry import Entry, Section
from dicom_node.console.security.guard import Somebody, requires
from dicom_node.domain.accounts import Identity, Role
from dicom_node.ports import Deed

if TYPE_CHECKING:
    from fastapi.responses import HTMLResponse, Response

    from dicom_node.console.parts import Parts

__all__ = ["SECTION"]

router = APIRouter()

Operator = Annotated[Identity, Depends(requires(Role.OPERATOR))]


@router.get("/quarantine")
def quarantine(request: Request, who: Somebody) -> HTMLResponse:
    """The reasons, the commonest first."""
    parts: Parts = request.app.state.parts
    reasons = parts.found.reasons(limit=100)
    return page(request, "quarantine.html", title="Quarantine", reasons=reasons)


@router.get("/images/{number}")
def image(request: Request, who: Somebody, number: Number) -> HTMLResponse:
    """An image and the terms that decided about it."""
    parts: Parts = request.app.state.parts
    row, accession = known_image(request, number)
    patients = may_see_patients(who, parts.access)
    return page(
        request,
        "image.html",
        title=f"Image {number}",
        row=row,
        accession=accession,
        patients=patients,
        person=person_of(parts, row.image.digest) if patients else (),
        stuck=row.state in ("quarantined", "conflicting"),
    )


@router.get("/images/{number}/{deed}/confirm")
def confirm(
    request: Request, who: Operator, number: Number, deed: Literal["release", "cancel"]
) -> HTMLResponse:
    """Ask."""
    row, _ = known_image(request, number)
    return confirmation(
        request,
        title=f"{deed.capitalize()} this image?",
        words="It is planned anew, by the routes as they are now."
        if deed == "release"
        else "Nothing is made from it. This cannot be undone.",
        action=f"/images/{number}/{deed}",
        verb=deed.capitalize(),
        back=f"/images/{number}",
        danger=deed == "cancel",
        details=(row.decision.reason,) if row.decision is not None else (),
    )


@router.post("/images/{number}/{deed}")
def settle(
    request: Request, who: Operator, number: Number, deed: Literal["release", "cancel"]
) -> Response:
    """Do it."""
    row, _ = known_image(request, number)
    parts: Parts = request.app.state.parts
    words = deeds.settle_image(parts, who, row.image.sop_instance_uid, Deed(deed))
    return notices.done(request, f"/images/{number}", words)


SECTION: Final = Section(
    name="quarantine",
    router=router,
    entries=(Entry(title="Quarantine", path="/quarantine", order=35),),
)
