"""Forms of a peer, a destination and a model: what is saved goes into the file, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Depends, Form, Request
from starlette.datastructures import FormData

from dicom_node.console import notices
from dicom_node.console.failures import NotFoundError, RejectedError
from dicom_node.console.pages import confirmation, page
from dicom_node.console.partners.fields import (
    FIELDS,
    Filled,
    Part,
    Wrong,
    beside_fields,
    filled,
    value_of,
)
from dicom_node.console.partners.lists import things
from dicom_node.console.registry import Section
from dicom_node.console.routing import changing, outcomes
from dicom_node.console.security.guard import requires
from dicom_node.domain.accounts import Identity, Role
from dicom_node.domain.errors import ConfigurationError
from dicom_node.rulebook.book import Conflict, Invalid, Written
from dicom_node.rulebook.edits import MAPPINGS, Put, Remove

if TYPE_CHECKING:
    from fastapi.responses import HTMLResponse, Response

    from dicom_node.console.routing.changing import Opening

__all__ = ["SECTION"]

router = APIRouter()

Admin = Annotated[Identity, Depends(requires(Role.ADMIN))]
Base = Annotated[str, Form(max_length=64)]


async def _sent(request: Request) -> FormData:
    return await request.form()


Sent = Annotated[FormData, Depends(_sent)]


@router.get("/{part}/new")
def new(request: Request, who: Admin, part: Part) -> HTMLResponse:
    """An empty form."""
    found = _opened(request)
    return _show(request, filled(part, "", {}, base=found.digest))


@router.get("/{part}/edit/{name}")
def edit(request: Request, who: Admin, part: Part, name: str) -> HTMLResponse:
    """The form of a thing."""
    found = _opened(request)
    return _show(request, filled(part, name, _raw(found, part, name), base=found.digest))


@router.post("/{part}/edit")
def save(request: Request, who: Admin, part: Part, sent: Sent) -> Response:
    """Write it into the file and put it in force."""
    form = _read(part, sent)
    book = changing.desk_of(request).book
    raw = _raw(_opened(request), part, form.old_name) if form.old_name else {}
    put = Put(section=part.value, name=form.old_name, new_name=form.name, value=value_of(form, raw))
    said = f"{part.noun} {form.name}"
    comment = form.comment or f"{'changed' if form.old_name else 'new'} {said}"
    try:
        result = changing.change(book, put, base=form.base, author=who.name, comment=comment)
    except ConfigurationError as error:
        wrong = Wrong(fields={"name": (str(error).removeprefix(f"{part}: "),)})
        return _show(request, form, wrong=wrong, status=422)
    match result:
        case Written():
            return outcomes.written(request, result, f"{said} is saved.", to=f"/{part}")
        case Conflict():
            return outcomes.conflicting(request, result, comment=comment)
        case Invalid(problems=problems):
            place: int | str = form.name
            if part not in MAPPINGS:
                names = [name for name, _ in things(_opened(request), part)]
                place = names.index(form.old_name) if form.old_name in names else len(names)
            return _show(request, form, wrong=beside_fields(part, place, problems), status=422)


@router.get("/{part}/at/{name}/remove")
def confirm_remove(request: Request, who: Admin, part: Part, name: str) -> HTMLResponse:
    """Ask."""
    found = _opened(request)
    _raw(found, part, name)
    return confirmation(
        request,
        title=f"Take the {part.noun} {name} out?",
        words="Its lines are taken out of the file. Every version that had it is kept, and you can "
        "go back to one.",
        action=f"/{part}/at/{name}/remove",
        verb="Take it out",
        back=f"/{part}",
        fields={"base": found.digest},
        danger=True,
    )


@router.post("/{part}/at/{name}/remove")
def remove(request: Request, who: Admin, part: Part, name: str, base: Base) -> Response:
    """Take it out."""
    book = changing.desk_of(request).book
    said = f"{part.noun} {name} is taken out."
    put = Remove(section=part.value, name=name)
    match changing.change(book, put, base=base, author=who.name, comment=said):
        case Written() as done:
            return outcomes.written(request, done, said, to=f"/{part}")
        case Conflict() as conflict:
            return outcomes.conflicting(request, conflict, comment=said)
        case Invalid(problems=problems):
            words = "; ".join(str(each) for each in problems[:3])
            return notices.done(request, f"/{part}", f"Not done. {words}", kind="bad")


def _show(
    request: Request, form: Filled, *, wrong: Wrong | None = None, status: int = 200
) -> HTMLResponse:
    wrong = wrong or Wrong()
    fields = FIELDS[form.part]
    used = [
        each.key
        for each in fields
        if each.rare and (each.key in wrong.fields or _differs(form, each))
    ]
    return page(
        request,
        "partner.html",
        title=form.old_name or f"New {form.part.noun}",
        status=status,
        form=form,
        common=[each for each in fields if not each.rare],
        rare=[each for each in fields if each.rare],
        open=bool(used),
        wrong=wrong,
    )


def _differs(form: Filled, each: Any) -> bool:
    empty = filled(form.part, "", {}, base="").values
    return form.values.get(each.key, "") != empty[each.key]


def _read(part: Part, sent: FormData) -> Filled:
    def text(name: str, most: int = 500) -> str:
        value = sent.get(name)
        return value.strip()[:most] if isinstance(value, str) else ""

    return Filled(
        part=part,
        old_name=text("old_name"),
        base=text("base"),
        name=text("name"),
        values={each.key: text(f"f-{each.key}") for each in FIELDS[part]},
        comment=text("comment", 200),
    )


def _raw(found: Opening, part: Part, name: str) -> dict[str, Any]:
    for known, raw in things(found, part):
        if known == name:
            return {key: value for key, value in raw.items() if key != "name"}
    raise NotFoundError(f"There is no {part.noun} of this name in the file.")


def _opened(request: Request) -> Opening:
    found = changing.opening(changing.desk_of(request).book)
    if found.problem:
        raise RejectedError(f"{found.problem} Edit it as text.")
    return found


SECTION: Final = Section(name="partner", router=router)
