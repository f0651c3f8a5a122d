"""Today."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, Request

from dicom_node.console.pages import page
from dicom_node.console.registry import Entry, Section
from dicom_node.console.security.guard import Somebody

if TYPE_CHECKING:
    from fastapi.responses import HTMLResponse

__all__ = ["SECTION"]

router = APIRouter()


@router.get("/")
def today(request: Request, who: Somebody) -> HTMLResponse:
    """The page."""
    return page(request, "today.html", title="Today")


SECTION: Final = Section(
    name="today", router=router, entries=(Entry(title="Today", path="/", order=10),)
)
