"""Routes and the configuration for programs: what the pages do, over JSON."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Depends, Query, Request
from starlette.concurrency import run_in_threadpool

from dicom_node.console.failures import RejectedError
from dicom_node.console.registry import Section
from dicom_node.console.routing import answers, changing, shapes
from dicom_node.console.routing.answers import Name, Since
from dicom_node.console.routing.lists import Admin, Operator
from dicom_node.console.routing.trying import FILE_BYTES
from dicom_node.console.routing.versions import Number
from dicom_node.console.security.guard import API, Somebody
from dicom_node.domain.accounts import Role
from dicom_node.rulebook.edits import Move, Switch
from dicom_node.rulebook.merging import unified

if TYPE_CHECKING:
    from dicom_node.console.parts import Parts

__all__ = ["SECTION"]

_DICOM: Final = {
    "requestBody": {
        "required": True,
        "content": {"application/dicom": {"schema": {"type": "string", "format": "binary"}}},
    }
}

router = APIRouter(prefix=API, responses=answers.ANSWERS)

Caller = Annotated[str, Query(max_length=16, description="AE title of who is to have sent it.")]


@router.get("/configuration")
def configuration(request: Request, who: Somebody) -> shapes.Standing:
    """How file and node stand to each other, and the file's text for those who may see it."""
    book = changing.desk_of(request).book
    found, state = changing.opening(book), book.state
    operator = who.role.allows(Role.OPERATOR)
    return shapes.Standing(
        version=state.version,
        in_force=state.digest,
        since=shapes.iso(state.since),
        digest=found.digest,
        problems=[shapes.problem_out(each) for each in state.problems] if operator else [],
        restart=list(state.restart),
        text=found.text if operator else None,
    )


@router.put("/configuration")
def write(request: Request, who: Admin, wanted: shapes.NewText) -> shapes.Done:
    """Replace the file's text and put it in force."""
    book = changing.desk_of(request).book
    found = book.write(wanted.text, base=wanted.base, author=who.name, comment=wanted.comment)
    return answers.done(found)


@router.post("/configuration/check")
def check(request: Request, who: Operator, wanted: shapes.Text) -> shapes.Checked:
    """What is wrong with a text, and how it differs from the file."""
    book = changing.desk_of(request).book
    return shapes.Checked(
        problems=[shapes.problem_out(each) for each in book.problems(wanted.text)],
        difference=list(unified(book.open().text, wanted.text, old="file", new="text")),
    )


@router.post("/configuration/replay")
def replay(request: Request, who: Operator, wanted: shapes.ReplayOf) -> shapes.ReplayOut:
    """What another text would make of the images that came last."""
    desk = changing.desk_of(request)
    problems = desk.book.problems(wanted.text)
    if problems:
        raise answers.not_valid(problems)
    return shapes.replay_out(desk.replay(wanted.text, limit=wanted.images))


@router.get("/configuration/versions")
def versions(
    request: Request, who: Somebody, limit: Annotated[int, Query(ge=1, le=1000)] = 50
) -> shapes.Versions:
    """Versions, the newest first."""
    parts: Parts = request.app.state.parts
    changing.desk_of(request)
    rows = parts.ledger.versions(limit=limit)
    return shapes.Versions(versions=[shapes.version_out(row, text=False) for row in rows])


@router.get("/configuration/versions/{number}")
def version(request: Request, who: Operator, number: Number) -> shapes.VersionOut:
    """A version with its text."""
    return shapes.version_out(changing.version_of(request, number), text=True)


@router.get("/configuration/versions/{number}/diff")
def diff(
    request: Request,
    who: Operator,
    number: Number,
    to: Annotated[int | None, Query(ge=1, lt=2**62, description="Left out: the file.")] = None,
) -> shapes.Difference:
    """A unified diff from a version to another one, or to the file."""
    before = changing.version_of(request, number).version.text
    if to is None:
        after, name = changing.opening(changing.desk_of(request).book).text, "file"
    else:
        after, name = changing.version_of(request, to).version.text, f"version {to}"
    lines = unified(before, after, old=f"version {number}", new=name)
    return shapes.Difference(difference=list(lines))


@router.post("/configuration/versions/{number}/back")
def back(request: Request, who: Admin, number: Number, wanted: shapes.Why) -> shapes.Done:
    """Write the text of a version into the file, as a new version."""
    book = changing.desk_of(request).book
    return answers.done(
        book.roll_back(
            changing.version_of(request, number),
            base=wanted.base or book.open().digest,
            author=who.name,
            comment=wanted.comment,
        )
    )


@router.get("/routes")
def routes(request: Request, who: Somebody) -> shapes.Routes:
    """The routes as they stand in the file, in order."""
    found = changing.opening(changing.desk_of(request).book)
    if found.problem:
        raise RejectedError(found.problem)
    return shapes.Routes(digest=found.digest, routes=found.routes)


@router.post("/routes")
def add(request: Request, who: Admin, wanted: shapes.NewRoute) -> shapes.Done:
    """Put a route behind the others."""
    return answers.edit(request, who, answers.put("routes", "", wanted.route), wanted)


@router.put("/routes/{name}")
def put(request: Request, who: Admin, name: Name, wanted: shapes.NewRoute) -> shapes.Done:
    """Change a route; with another name in it, rename it."""
    return answers.edit(request, who, answers.put("routes", name, wanted.route), wanted)


@router.delete("/routes/{name}")
def remove(request: Request, who: Admin, name: Name, base: Since = "") -> shapes.Done:
    """Take a route out."""
    return answers.remove(request, who, "routes", name, base)


@router.post("/routes/{name}/move")
def move(request: Request, who: Admin, name: Name, wanted: shapes.Place) -> shapes.Done:
    """Bring a route to another place, counted from 0."""
    return answers.edit(request, who, Move(name=name, to=wanted.to), wanted)


@router.post("/routes/{name}/switch")
def switch(request: Request, who: Admin, name: Name, wanted: shapes.OnOff) -> shapes.Done:
    """Switch a route on or off."""
    return answers.edit(request, who, Switch(name=name, enabled=wanted.enabled), wanted)


async def _body(request: Request) -> bytes:
    data = await request.body()
    if not data:
        raise RejectedError("Send the DICOM file as the body of the request.")
    return data


Body = Annotated[bytes, Depends(_body)]


@router.post("/trials", openapi_extra=_DICOM)
def trial(request: Request, who: Operator, data: Body, caller: Caller = "") -> shapes.TriedOut:
    """Which route takes a file, and why every term of every route holds or fails."""
    return shapes.tried_out(changing.desk_of(request).try_file(data, calling_ae_title=caller))


@router.post("/previews", openapi_extra=_DICOM)
async def preview(
    request: Request, who: Operator, data: Body, caller: Caller = ""
) -> shapes.PreviewOut:
    """The views a file would get, as PNG; nothing is stored or sent."""
    desk = changing.desk_of(request)
    made = await run_in_threadpool(desk.preview, data, calling_ae_title=caller)
    return shapes.PreviewOut(
        views=made.views,
        seconds=made.seconds,
        refused=made.refused,
        pictures=[
            shapes.PictureOut(
                label=each.label, score=each.score, png=base64.b64encode(each.png).decode()
            )
            for each in made.pictures
        ],
    )


SECTION: Final = Section(
    name="routes for programs",
    router=router,
    uploads=(
        (f"{API}/configuration", 2 * shapes.TEXT_LENGTH),
        (f"{API}/configuration/check", 2 * shapes.TEXT_LENGTH),
        (f"{API}/configuration/replay", 2 * shapes.TEXT_LENGTH),
        (f"{API}/trials", FILE_BYTES),
        (f"{API}/previews", FILE_BYTES),
    ),
)
