"""One route in a form."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request

from dicom_node.console.failures import RejectedError
from dicom_node.console.pages import page
from dicom_node.console.registry import Section
from dicom_node.console.routing import changing, outcomes
from dicom_node.console.routing.forms import (
    Found,
    RouteForm,
    form_of,
    problems_by_field,
    read_form,
    value_of,
)
from dicom_node.console.routing.lists import Admin
from dicom_node.console.routing.replays import SIZES, as_rows
from dicom_node.console.routing.tree import GROUPS, KINDS, ROOT, added, newest, removed
from dicom_node.console.routing.words import in_words
from dicom_node.domain.errors import ConfigurationError
from dicom_node.domain.header import ROUTING_KEYWORDS
from dicom_node.rulebook.book import Conflict, Invalid, Written
from dicom_node.rulebook.edits import Put, names_in
from dicom_node.rulebook.merging import unified
from dicom_node.settings import document

if TYPE_CHECKING:
    from fastapi.responses import HTMLResponse, Response
    from starlette.datastructures import FormData

    from dicom_node.console.routing.changing import Opening
    from dicom_node.rulebook import Rulebook

__all__ = ["SECTION"]

router = APIRouter()

_LIKE: Final = 64


async def _sent(request: Request) -> FormData:
    return await request.form(max_fields=2000)


Sent = Annotated[Any, Depends(_sent)]


@router.get("/routes/new")
def new(
    request: Request, who: Admin, like: Annotated[str, Query(max_length=_LIKE)] = ""
) -> HTMLResponse:
    """The form of a new route, or of a copy."""
    found = _opened(request)
    if like:
        form = form_of(changing.raw_route(found, like), base=found.digest, new=True)
    else:
        first = {section: found.names(section)[:1] for section in ("models", "view_sets")}
        form = RouteForm(
            base=found.digest,
            model="".join(first["models"]),
            views="".join(first["view_sets"]),
            send_to=tuple(found.names("destinations")[:1]),
        )
    return _show(request, form, found)


@router.get("/routes/edit/{name}")
def edit(request: Request, who: Admin, name: str) -> HTMLResponse:
    """The form of a route."""
    found = _opened(request)
    return _show(request, form_of(changing.raw_route(found, name), base=found.digest), found)


@router.post("/routes/edit")
def sent(request: Request, who: Admin, fields: Sent) -> Response:
    """What the form was sent for: to grow, to be checked, to be replayed, to be saved."""
    form = read_form(_texts(fields), [str(each) for each in fields.getlist("send_to")])
    do, _, place = str(fields.get("do") or "save").partition(":")
    found = _opened(request)
    match do:
        case "add-term" | "add-group":
            grown = added(form.when, place, group=do == "add-group")
            return _show(request, replace(form, when=grown), found, focus=newest(grown, place))
        case "remove" if place != ROOT:
            return _show(request, replace(form, when=removed(form.when, place)), found)
        case "mark":
            return _marked(request, form)
        case "check":
            return _show(request, form, found, wrong=_wrong(request, form), checked=True)
        case "replay":
            return _replayed(request, form, found)
        case "save":
            return _save(request, who.name, form, found)
    raise RejectedError("This form knows nothing of that.")


def _save(request: Request, author: str, form: RouteForm, found: Opening) -> Response:
    book = changing.desk_of(request).book
    try:
        text, position = _edited(book, form)
    except ConfigurationError as error:
        return _show(request, form, found, wrong=_on_name(error), status=422)
    comment = form.comment or f"{'changed' if form.old_name else 'new'} route {form.name}"
    match book.write(text, base=form.base, author=author, comment=comment):
        case Written() as done:
            return outcomes.written(request, done, f"{form.name} is saved.")
        case Conflict() as conflict:
            return outcomes.conflicting(request, conflict, comment=comment)
        case Invalid(problems=problems):
            wrong = problems_by_field(form, problems, position)
            return _show(request, form, found, wrong=wrong, status=422)


def _replayed(request: Request, form: RouteForm, found: Opening) -> Response:
    desk = changing.desk_of(request)
    wrong = _wrong(request, form)
    if wrong:
        return _show(request, form, found, wrong=wrong, checked=True)
    if form.images not in SIZES:
        raise RejectedError("Images are replayed in the numbers that the page offers.")
    text, _ = _edited(desk.book, form)
    replay = as_rows(desk.replay(text, limit=form.images))
    return _show(request, form, found, checked=True, replay=replay)


def _marked(request: Request, form: RouteForm) -> HTMLResponse:
    """What is wrong beside each field, while somebody types."""
    return page(
        request,
        "_route_marks.html",
        title="",
        form=form,
        wrong=_wrong(request, form),
        words=in_words(form.when),
    )


def _wrong(request: Request, form: RouteForm) -> Found:
    book = changing.desk_of(request).book
    try:
        text, position = _edited(book, form)
    except ConfigurationError as error:
        return _on_name(error)
    return problems_by_field(form, book.problems(text), position)


def _on_name(error: ConfigurationError) -> Found:
    return Found(fields={"name": (str(error).removeprefix("routes: "),)})


def _edited(book: Rulebook, form: RouteForm) -> tuple[str, int]:
    """The text with the form in it, and the place of its route there."""
    before = book.text_of(form.base)
    raw: dict[str, Any] = {}
    if form.old_name and before is not None:
        data = document.parse(before, book.path).data
        routes = data.get("routes") if isinstance(data, dict) else None
        same = (each for each in routes or [] if each.get("name") == form.old_name)
        raw = {key: value for key, value in next(same, {}).items() if key != "name"}
    put = Put(section="routes", name=form.old_name, new_name=form.name, value=value_of(form, raw))
    text = changing.edited_text(book, put, base=form.base)
    return text, names_in(document.parse(text, book.path).data, "routes").index(form.name)


def _show(
    request: Request,
    form: RouteForm,
    found: Opening,
    *,
    wrong: Found | None = None,
    checked: bool = False,
    replay: Any = None,
    focus: str = "",
    status: int = 200,
) -> HTMLResponse:
    """The form, as a whole page or as the part that takes its place."""
    wrong = wrong if wrong is not None else Found()
    difference: tuple[str, ...] = ()
    if checked and not wrong:
        book = changing.desk_of(request).book
        text, _ = _edited(book, form)
        difference = unified(book.text_of(form.base) or "", text, old="now", new="then")
    partial = "hx-request" in request.headers
    return page(
        request,
        "_route_form.html" if partial else "route.html",
        title=form.old_name or "New route",
        # What is swapped in by htmx has to be an answer that all is well with.
        status=200 if partial else status,
        form=form,
        wrong=wrong,
        checked=checked,
        difference=difference,
        replay=replay,
        replay_sizes=SIZES,
        images=form.images,
        focus=focus,
        words=in_words(form.when),
        destinations=_with(found.names("destinations"), *form.send_to),
        models=_with(found.names("models"), form.model),
        view_sets=_with(found.names("view_sets"), form.views),
        keywords=ROUTING_KEYWORDS,
        groups=GROUPS,
        kinds=KINDS,
    )


def _opened(request: Request) -> Opening:
    found = changing.opening(changing.desk_of(request).book)
    if found.problem:
        raise RejectedError(f"{found.problem} Edit it as text.")
    return found


def _with(names: list[str], *more: str) -> list[str]:
    return [*names, *(each for each in more if each and each not in names)]


def _texts(fields: FormData) -> dict[str, str]:
    return {name: value for name, value in fields.items() if isinstance(value, str)}


SECTION: Final = Section(name="route", router=router)
