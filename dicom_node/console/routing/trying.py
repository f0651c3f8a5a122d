"""Drop a file here: which route takes it and why, and the views it would get. Nothing is kept."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from dicom_node.console.pages import page
from dicom_node.console.registry import Section
from dicom_node.console.routing import changing
from dicom_node.console.routing.lists import Operator
from dicom_node.domain.errors import NodeError
from synthesis.errors import SynthesisError

if TYPE_CHECKING:
    from fastapi.responses import HTMLResponse

    from dicom_node.console.parts import Parts
    from dicom_node.rulebook.trying import Tried

__all__ = ["FILE_BYTES", "SECTION"]

router = APIRouter()

FILE_BYTES: Final = 128 * 1024 * 1024
"""Longest file that is tried."""


async def _file(request: Request) -> tuple[bytes, str, str]:
    """The file that was sent, its name, and who is imagined to send it."""
    # Read here and not by a declared argument: the guard comes before, so nobody unknown fills
    # the disk.
    form = await request.form(max_files=1, max_fields=20)
    file, caller = form.get("file"), form.get("caller")
    if not isinstance(file, UploadFile) or not file.filename:
        return b"", "", ""
    data = await file.read()
    return data, file.filename, caller if isinstance(caller, str) else ""


Sent = Annotated[tuple[bytes, str, str], Depends(_file)]


@router.get("/routes/try")
def show(request: Request, who: Operator) -> HTMLResponse:
    """Where a file is dropped."""
    return page(request, "routes_try.html", title="Try a file", **_nothing(request))


@router.post("/routes/try")
def tried(request: Request, who: Operator, sent: Sent) -> HTMLResponse:
    """What becomes of it, and why."""
    data, name, caller = sent
    if not data:
        return _answer(request, problem="Choose a file first.")
    found = changing.desk_of(request).try_file(data, calling_ae_title=caller[:16])
    return _answer(request, tried=found, name=name[:100], caller=caller[:16])


@router.post("/routes/preview")
async def preview(request: Request, who: Operator, sent: Sent) -> HTMLResponse:
    """What becomes of it, with the views it would get."""
    data, name, caller = sent
    if not data:
        return _answer(request, problem="Choose a file first.")
    return await run_in_threadpool(_preview, request, data, name[:100], caller[:16])


def _preview(request: Request, data: bytes, name: str, caller: str) -> HTMLResponse:
    desk = changing.desk_of(request)
    found = desk.try_file(data, calling_ae_title=caller)
    try:
        made = desk.previewing.preview(found, data)
    except (NodeError, SynthesisError) as error:
        return _answer(request, tried=found, name=name, caller=caller, problem=str(error))
    pictures = [(each.label, _uri(each.png), each.score) for each in made.pictures]
    return _answer(
        request,
        tried=found,
        name=name,
        caller=caller,
        preview=made,
        pictures=pictures,
        source=_uri(made.source),
    )


def _answer(request: Request, *, tried: Tried | None = None, **given: Any) -> HTMLResponse:
    template = "_tried.html" if "hx-request" in request.headers else "routes_try.html"
    return page(
        request,
        template,
        title="Try a file",
        **{**_nothing(request), **given, "tried": tried},
    )


def _nothing(request: Request) -> dict[str, Any]:
    parts: Parts = request.app.state.parts
    desk = changing.desk_of(request)
    return {
        "tried": None,
        "preview": None,
        "pictures": (),
        "source": "",
        "problem": "",
        "name": "",
        "caller": "",
        "peers": [each.ae_title for each in desk.book.settings.to_peers()],
        "version": desk.rules.now.version,
        "clock": parts.clock(),
    }


def _uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


SECTION: Final = Section(
    name="trying",
    router=router,
    uploads=(("/routes/try", FILE_BYTES), ("/routes/preview", FILE_BYTES)),
)
