"""Trying a destination: an echo, or an object that is only a test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Depends, Request

from dicom_node.console import notices
from dicom_node.console.pages import confirmation
from dicom_node.console.partners import deeds
from dicom_node.console.registry import Section
from dicom_node.console.security.guard import requires
from dicom_node.domain.accounts import Identity, Role

if TYPE_CHECKING:
    from fastapi.responses import HTMLResponse, Response

    from dicom_node.rulebook.probing import Probed

__all__ = ["SECTION"]

router = APIRouter()

Operator = Annotated[Identity, Depends(requires(Role.OPERATOR))]


@router.post("/destinations/at/{name}/echo")
def echo(request: Request, who: Operator, name: str) -> Response:
    """Ask whether it answers."""
    return _told(request, name, deeds.echo(request, name))


@router.get("/destinations/at/{name}/store")
def confirm(request: Request, who: Operator, name: str) -> HTMLResponse:
    """Ask."""
    return confirmation(
        request,
        title=f"Store a test object in {name}?",
        words="An image of a grey ramp, of the patient DICOM-NODE-TEST, that says it is a test. It "
        "stays there until somebody deletes it.",
        action=f"/destinations/at/{name}/store",
        verb="Store it",
        back="/destinations",
    )


@router.post("/destinations/at/{name}/store")
def store(request: Request, who: Operator, name: str) -> Response:
    """Store a test object."""
    return _told(request, name, deeds.store(request, who, name))


def _told(request: Request, name: str, found: Probed) -> Response:
    kind = "good" if found.good else "bad"
    return notices.done(request, "/destinations", f"{name} {found.words}.", kind=kind)


SECTION: Final = Section(name="trials", router=router)
