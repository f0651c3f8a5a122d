"""Versions of the configuration: who changed what and when, and the way back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Form, Query, Request
from fastapi import Path as InPath

from dicom_node.console import notices
from dicom_node.console.pages import confirmation, page
from dicom_node.console.registry import Section
from dicom_node.console.routing import changing, outcomes
from dicom_node.console.routing.lists import Admin, Base, Operator, standing
from dicom_node.console.security.guard import Somebody
from dicom_node.rulebook.book import Conflict, Invalid, Written
from dicom_node.rulebook.merging import unified

if TYPE_CHECKING:
    from fastapi.responses import HTMLResponse, Response

    from dicom_node.console.parts import Parts
    from dicom_node.ports import Version
    from dicom_node.rulebook import Desk

__all__ = ["SECTION", "counted"]

router = APIRouter()

Number = Annotated[int, InPath(ge=1, lt=2**62)]

_SHOWN: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A version as the list shows it.

    Attributes:
        version: The row.
        added: Lines that it has more than the one before it.
        taken: Lines that it has less.
    """

    version: Version
    added: int
    taken: int


@router.get("/routes/versions")
def versions(request: Request, who: Somebody) -> HTMLResponse:
    """The list."""
    parts: Parts = request.app.state.parts
    desk = changing.desk_of(request)
    found = parts.ledger.versions(limit=_SHOWN + 1)
    before = {each.number: each.version.text for each in found}
    lines = []
    for each in found[:_SHOWN]:
        added, taken = counted(before.get(each.parent or 0, ""), each.version.text)
        lines.append(Line(version=each, added=added, taken=taken))
    opened = changing.opening(desk.book)
    return page(
        request,
        "versions.html",
        title="Versions",
        lines=lines,
        more=len(found) > _SHOWN,
        **standing(desk, opened, who),
    )


def counted(before: str, after: str) -> tuple[int, int]:
    """How many lines came and went."""
    lines = unified(before, after, old="", new="")[2:]
    return (
        sum(line.startswith("+") for line in lines),
        sum(line.startswith("-") for line in lines),
    )


@router.get("/routes/versions/{number}")
def version(
    request: Request, who: Operator, number: Number, to: Annotated[str, Query(max_length=20)] = ""
) -> HTMLResponse:
    """A version: what it changed, or how it differs from another one or from the file."""
    parts: Parts = request.app.state.parts
    desk = changing.desk_of(request)
    found = changing.version_of(request, number)
    if to == "file":
        opened = changing.opening(desk.book)
        old, new = (f"version {number}", found.version.text), ("the file now", opened.text)
    elif to.isdigit():
        other = changing.version_of(request, int(to))
        old, new = (
            (f"version {number}", found.version.text),
            (f"version {other.number}", other.version.text),
        )
    else:
        parent = parts.ledger.version(found.parent) if found.parent else None
        text = parent.version.text if parent else ""
        old = (f"version {parent.number}" if parent else "nothing", text)
        new = (f"version {number}", found.version.text)
    return page(
        request,
        "version.html",
        title=f"Version {number}",
        version=found,
        to=to,
        others=[each.number for each in parts.ledger.versions(limit=_SHOWN)],
        difference=unified(old[1], new[1], old=old[0], new=new[0]),
        names=(old[0], new[0]),
        in_force=desk.book.state.version,
        same=desk.book.state.digest == found.version.digest,
    )


@router.get("/routes/versions/{number}/back")
def confirm_back(request: Request, who: Admin, number: Number) -> HTMLResponse:
    """Ask."""
    desk = changing.desk_of(request)
    found = changing.version_of(request, number)
    opened = changing.opening(desk.book)
    added, taken = counted(opened.text, found.version.text)
    return confirmation(
        request,
        title=f"Go back to version {number}?",
        words="Its text is written into the file, as a new version, and comes into force at once. "
        "Images that were decided meanwhile stay as they are.",
        action=f"/routes/versions/{number}/back",
        verb=f"Go back to version {number}",
        back=f"/routes/versions/{number}",
        fields={"base": opened.digest},
        details=(
            f"{added} lines come, {taken} lines go, compared with the file as it is now.",
            *(f"As it stands it could not be used: {each}" for each in _problems(desk, found)),
        ),
    )


@router.post("/routes/versions/{number}/back")
def back(
    request: Request,
    who: Admin,
    number: Number,
    base: Base,
    comment: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Write its text into the file."""
    desk = changing.desk_of(request)
    found = changing.version_of(request, number)
    done = desk.book.roll_back(found, base=base, author=who.name, comment=comment.strip())
    match done:
        case Written():
            return outcomes.written(request, done, f"Back to version {number}.")
        case Conflict():
            return outcomes.conflicting(request, done, comment=f"back to version {number}")
        case Invalid(problems=problems):
            words = "; ".join(str(each) for each in problems[:3])
            where = f"/routes/versions/{number}"
            return notices.done(request, where, f"Not done. {words}", kind="bad")


def _problems(desk: Desk, found: Version) -> list[str]:
    return [str(each) for each in desk.book.problems(found.version.text)[:3]]


SECTION: Final = Section(name="versions", router=router)
