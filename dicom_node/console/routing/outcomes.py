"""What a page says after the file was written, or was not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicom_node.console import notices
from dicom_node.console.pages import page
from dicom_node.console.routing import changing
from dicom_node.rulebook.book import Conflict, Invalid, Written
from dicom_node.rulebook.merging import unified

if TYPE_CHECKING:
    from fastapi import Request
    from fastapi.responses import Response

    from dicom_node.domain.accounts import Identity
    from dicom_node.rulebook.edits import Edit

__all__ = ["after_edit", "conflicting", "written"]


def after_edit(
    request: Request, who: Identity, edit: Edit, *, base: str, said: str, comment: str = ""
) -> Response:
    """Make an edit from the list and go back there; whatever stands against it is shown."""
    book = changing.desk_of(request).book
    found = changing.change(book, edit, base=base, author=who.name, comment=comment or said)
    match found:
        case Written():
            return written(request, found, said)
        case Conflict():
            return conflicting(request, found, comment=comment or said)
        case Invalid(problems=problems):
            words = "; ".join(str(each) for each in problems[:3])
            return notices.done(request, "/routes", f"Not done. {words}", kind="bad")


def written(request: Request, found: Written, said: str, *, to: str = "/routes") -> Response:
    """Go to a page that says so."""
    version = "" if found.version is None else f" In force as version {found.version}."
    return notices.done(request, to, f"{said}{version}")


def conflicting(request: Request, found: Conflict, *, comment: str) -> Response:
    """Show what was to be written, what is in the file, and both put together."""
    merged = found.merged
    return page(
        request,
        "routes_conflict.html",
        title="The file has changed meanwhile",
        status=409,
        found=found,
        clean=merged is not None and not merged.clashes and not found.problems,
        clashes=merged.clashes if merged is not None else 0,
        text=found.ours if merged is None else merged.text,
        theirs=unified(found.base, found.theirs, old="before", new="the file now"),
        ours=unified(found.base, found.ours, old="before", new="your change"),
        comment=comment,
    )
