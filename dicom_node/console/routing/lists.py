"""The routes in their order, and how the file stands to what is in force."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Depends, Form, Query, Request

from dicom_node.console.pages import confirmation, page
from dicom_node.console.registry import Entry, Section
from dicom_node.console.routing import changing, outcomes
from dicom_node.console.routing.forms import RouteForm, form_of
from dicom_node.console.routing.words import in_words
from dicom_node.console.security.guard import Somebody, requires
from dicom_node.domain.accounts import Identity, Role
from dicom_node.rulebook.edits import Move, Remove, Switch

if TYPE_CHECKING:
    from fastapi.responses import HTMLResponse, Response

    from dicom_node.console.routing.changing import Opening
    from dicom_node.rulebook import Desk
    from dicom_node.rulebook.book import State

__all__ = ["SECTION", "Admin", "Base", "Operator", "standing"]

router = APIRouter()

Admin = Annotated[Identity, Depends(requires(Role.ADMIN))]
Operator = Annotated[Identity, Depends(requires(Role.OPERATOR))]
Base = Annotated[str, Form(max_length=64)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A route as the list shows it."""

    form: RouteForm
    words: str


@router.get("/routes")
def routes(request: Request, who: Somebody) -> HTMLResponse:
    """The list."""
    desk = changing.desk_of(request)
    found = changing.opening(desk.book)
    forms = [form_of(each, base=found.digest) for each in found.routes]
    return page(
        request,
        "routes.html",
        title="Routes",
        lines=[Line(form=each, words=in_words(each.when)) for each in forms],
        opened=found,
        **standing(desk, found, who),
    )


@router.get("/routes/standing")
def standing_part(
    request: Request, who: Somebody, base: Annotated[str, Query(max_length=64)] = ""
) -> HTMLResponse:
    """How file and node stand to each other, for pages that stay open."""
    desk = changing.desk_of(request)
    found = changing.opening(desk.book)
    return page(request, "_standing.html", title="", **standing(desk, found, who, base=base))


def standing(desk: Desk, found: Opening, who: Identity, *, base: str = "") -> dict[str, Any]:
    """What ``_standing.html`` shows.

    Args:
        desk: Of the node.
        found: The file as it is now.
        who: Asks.
        base: Digest of the text that the page was made of; empty: of the one of now.
    """
    state: State = desk.book.state
    version = None if state.version is None else desk.ledger.version(state.version)
    waits = found.digest not in (state.digest, state.file_digest)
    return {
        "state": state,
        "version": version,
        "base": base or found.digest,
        "moved_on": bool(base) and base != found.digest,
        "waits": waits,
        "shown": state.problems if who.role.allows(Role.OPERATOR) else (),
    }


@router.post("/routes/at/{name}/move")
def move(
    request: Request, who: Admin, name: str, base: Base, to: Annotated[int, Form(ge=0, le=10_000)]
) -> Response:
    """Bring a route to another place."""
    edit = Move(name=name, to=to)
    return outcomes.after_edit(request, who, edit, base=base, said=f"{name} is tried {_nth(to)}.")


@router.post("/routes/at/{name}/switch")
def switch(
    request: Request, who: Admin, name: str, base: Base, enabled: Annotated[bool, Form()]
) -> Response:
    """Switch a route on or off."""
    said = f"{name} is switched {'on' if enabled else 'off'}."
    return outcomes.after_edit(
        request, who, Switch(name=name, enabled=enabled), base=base, said=said
    )


@router.get("/routes/at/{name}/remove")
def confirm_remove(request: Request, who: Admin, name: str) -> HTMLResponse:
    """Ask."""
    found = changing.opening(changing.desk_of(request).book)
    changing.raw_route(found, name)
    return confirmation(
        request,
        title=f"Take the route {name} out?",
        words="Its lines are taken out of the file. Jobs it has made go on; every version that had "
        "it is kept, and you can go back to one. To rest it for a while, switch it off instead.",
        action=f"/routes/at/{name}/remove",
        verb="Take it out",
        back="/routes",
        fields={"base": found.digest},
        danger=True,
    )


@router.post("/routes/at/{name}/remove")
def remove(request: Request, who: Admin, name: str, base: Base) -> Response:
    """Take a route out."""
    edit = Remove(section="routes", name=name)
    return outcomes.after_edit(request, who, edit, base=base, said=f"{name} is taken out.")


def _nth(place: int) -> str:
    return "first" if place == 0 else f"as number {place + 1}"


SECTION: Final = Section(
    name="routes", router=router, entries=(Entry(title="Routes", path="/routes", order=40),)
)
