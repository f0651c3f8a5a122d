"""The configuration as text: all of it, as it lies in the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from fastapi import APIRouter, Form, Request

from dicom_node.console.pages import page
from dicom_node.console.registry import Section
from dicom_node.console.routing import changing, outcomes
from dicom_node.console.routing.lists import Admin, Base, Operator, standing
from dicom_node.console.routing.replays import SIZES, Images, as_rows
from dicom_node.domain.errors import ConfigurationError
from dicom_node.rulebook.book import Conflict, Invalid, Written
from dicom_node.rulebook.merging import unified
from dicom_node.settings.problems import Problem

if TYPE_CHECKING:
    from fastapi.responses import HTMLResponse, Response

    from dicom_node.domain.accounts import Identity

__all__ = ["SECTION", "TEXT_BYTES"]

router = APIRouter()

TEXT_BYTES: Final = 2_000_000
"""Most bytes of a configuration that is sent here."""

Text = Annotated[str, Form(max_length=TEXT_BYTES)]
Comment = Annotated[str, Form(max_length=200)]
Do = Annotated[Literal["save", "check", "replay"], Form()]


@router.get("/routes/text")
def text(request: Request, who: Operator) -> HTMLResponse:
    """The editor."""
    desk = changing.desk_of(request)
    found = changing.opening(desk.book)
    problems = desk.book.problems(found.text)
    return _show(request, who, found.text, found.digest, problems=problems)


@router.post("/routes/text")
def sent(
    request: Request,
    who: Admin,
    text: Text,
    base: Base,
    do: Do = "save",
    comment: Comment = "",
    images: Images = 500,
) -> Response:
    """What the editor was sent for: to check, to replay, to save."""
    desk = changing.desk_of(request)
    text = _line_ends(text, desk.book.text_of(base) or "")
    comment = comment.strip()
    if do == "save":
        said = comment or "edited as text"
        match desk.book.write(text, base=base, author=who.name, comment=said):
            case Written() as done:
                return outcomes.written(request, done, "The configuration is saved.")
            case Conflict() as conflict:
                return outcomes.conflicting(request, conflict, comment=comment)
            case Invalid(problems=problems):
                return _show(request, who, text, base, problems=problems, comment=comment)
    problems, replay = desk.book.problems(text), None
    if do == "replay" and not problems:
        try:
            replay = as_rows(desk.replay(text, limit=images))
        except ConfigurationError as error:
            problems = tuple(Problem(location=(), message=each) for each in error.problems)
    return _show(
        request,
        who,
        text,
        base,
        problems=problems,
        comment=comment,
        replay=replay,
        images=images,
        checked=True,
    )


def _line_ends(text: str, before: str) -> str:
    """Browsers send CRLF; the file keeps the line ends it has, and its last one."""
    plain = text.replace("\r\n", "\n")
    if plain and before.endswith("\n") and not plain.endswith("\n"):
        plain += "\n"
    return plain.replace("\n", "\r\n") if "\r\n" in before else plain


def _show(
    request: Request,
    who: Identity,
    text: str,
    base: str,
    *,
    problems: tuple[Problem, ...],
    comment: str = "",
    checked: bool = False,
    replay: Any = None,
    images: int = 500,
) -> HTMLResponse:
    partial = "hx-request" in request.headers
    desk = changing.desk_of(request)
    before = desk.book.text_of(base) or ""
    more = {} if partial else standing(desk, changing.opening(desk.book), who, base=base)
    return page(
        request,
        "_text_result.html" if partial else "routes_text.html",
        title="The configuration as text",
        status=422 if problems and not partial and request.method == "POST" else 200,
        text=text,
        file=desk.book.path.name,
        problems=problems,
        difference=unified(before, text, old="the file", new="this text"),
        comment=comment,
        checked=checked,
        replay=replay,
        replay_sizes=SIZES,
        images=images,
        **{"base": base, **more},
    )


SECTION: Final = Section(
    name="configuration text", router=router, uploads=(("/routes/text", TEXT_BYTES),)
)
