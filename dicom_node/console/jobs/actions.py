"""What can be done on a job's page: each asks before it does something."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

from fastapi import APIRouter, Depends, Form, Query, Request

from dicom_node.console import notices
from dicom_node.console.failures import RejectedError
from dicom_node.console.filters import counted
from dicom_node.console.jobs import deeds
from dicom_node.console.jobs.pictures import Key, known
from dicom_node.console.pages import confirmation
from dicom_node.console.parts import parts_of
from dicom_node.console.registry import Section
from dicom_node.console.security.guard import requires
from dicom_node.domain.accounts import Identity, Role
from dicom_node.ports import Deed, Kind

if TYPE_CHECKING:
    from fastapi.responses import HTMLResponse, Response


__all__ = ["SECTION"]

router = APIRouter()

Operator = Annotated[Identity, Depends(requires(Role.OPERATOR))]
Reason = Annotated[str, Form(max_length=2000)]
Name = Annotated[str, Form(max_length=64)]

_ASKED: Final = {
    "release": ("Release this job?", "What is in quarantine of it runs again.", "Release"),
    "cancel": (
        "Cancel this job?",
        "Nothing more is made or sent of it; if the engine is at it, what it makes is thrown away. "
        "This cannot be undone.",
        "Cancel the job",
    ),
    "retry": ("Try again now?", "It does not wait for its time but is due at once.", "Try now"),
}


# These two stand before the one that matches any deed: the first that matches answers.
@router.get("/jobs/{key}/send/confirm")
def confirm_send(
    request: Request, who: Operator, key: Key, destination: Annotated[str, Query(max_length=64)]
) -> HTMLResponse:
    """Ask."""
    known(request, key)
    return confirmation(
        request,
        title=f"Send to {destination} too?",
        words="All views of this job are sent there.",
        action=f"/jobs/{key}/send",
        verb="Send",
        back=f"/jobs/{key}",
        fields={"destination": destination},
    )


@router.get("/jobs/{key}/again/confirm")
def confirm_again(
    request: Request, who: Operator, key: Key, view_set: Annotated[str, Query(max_length=64)]
) -> HTMLResponse:
    """Ask."""
    record = known(request, key)
    to = ", ".join(target.destination for target in record.row.job.order.targets)
    return confirmation(
        request,
        title=f"Synthesize again with {view_set}?",
        words=f"A new job makes these views of the same radiograph and sends them to {to}.",
        action=f"/jobs/{key}/again",
        verb="Synthesize",
        back=f"/jobs/{key}",
        fields={"view_set": view_set},
    )


@router.get("/jobs/{key}/{deed}/confirm")
def confirm(
    request: Request, who: Operator, key: Key, deed: Literal["release", "cancel", "retry"]
) -> HTMLResponse:
    """Ask."""
    record = known(request, key)
    title, words, verb = _ASKED[deed]
    return confirmation(
        request,
        title=title,
        words=words,
        action=f"/jobs/{key}/{deed}",
        verb=verb,
        back=f"/jobs/{key}",
        danger=deed == "cancel",
        details=tuple(filter(None, [record.row.job.last_error])),
    )


@router.post("/jobs/{key}/release")
def release(request: Request, who: Operator, key: Key) -> Response:
    """Let it run again."""
    words = deeds.settle_job(parts_of(request), who, known(request, key), Deed.RELEASE)
    return notices.done(request, f"/jobs/{key}", words)


@router.post("/jobs/{key}/cancel")
def cancel(request: Request, who: Operator, key: Key) -> Response:
    """Give it up."""
    words = deeds.settle_job(parts_of(request), who, known(request, key), Deed.CANCEL)
    return notices.done(request, f"/jobs/{key}", words)


@router.post("/jobs/{key}/retry")
def retry(request: Request, who: Operator, key: Key) -> Response:
    """Try now."""
    words = deeds.retry(parts_of(request), who, known(request, key))
    return notices.done(request, f"/jobs/{key}", words)


@router.post("/jobs/{key}/send")
def send(request: Request, who: Operator, key: Key, destination: Name) -> Response:
    """Send to one more destination."""
    words = deeds.send(parts_of(request), who, known(request, key), destination)
    return notices.done(request, f"/jobs/{key}", words)


@router.post("/jobs/{key}/again")
def again(request: Request, who: Operator, key: Key, view_set: Name) -> Response:
    """Synthesize with other views."""
    new = deeds.again(parts_of(request), who, known(request, key), view_set)
    return notices.done(request, f"/jobs/{new}", f"Queued with the views {view_set}.")


@router.get("/quarantine/confirm")
def confirm_all(
    request: Request,
    who: Operator,
    kind: Kind,
    deed: Deed,
    reason: Annotated[str, Query(max_length=2000)] = "",
    destination: Annotated[str, Query(max_length=64)] = "",
) -> HTMLResponse:
    """Ask about all that are in quarantine for a reason."""
    found = [
        each
        for each in parts_of(request).found.reasons(limit=200)
        if each.kind is kind
        and reason.lower() in each.words.lower()
        and destination in ("", each.destination)
    ]
    count = sum(each.count for each in found)
    verb = deed.value.capitalize()
    return confirmation(
        request,
        title=f"{verb} {counted(count, kind)}?",
        words="They run again, by the rules as they are now."
        if deed is Deed.RELEASE
        else "Nothing more is done about them. This cannot be undone.",
        action="/quarantine",
        verb=f"{verb} {count}",
        back="/quarantine",
        fields={
            "kind": kind.value,
            "deed": deed.value,
            "reason": reason,
            "destination": destination,
        },
        danger=deed is Deed.CANCEL,
        details=tuple(f"{each.count}: {each.words[:300]}" for each in found[:5]),
    )


@router.post("/quarantine")
def settle_all(
    request: Request,
    who: Operator,
    kind: Annotated[Kind, Form()],
    deed: Annotated[Deed, Form()],
    reason: Reason = "",
    destination: Name = "",
) -> Response:
    """Release or cancel them."""
    count = deeds.settle_all(
        parts_of(request), who, kind, deed, reason=reason, destination=destination
    )
    if not count:
        raise RejectedError("Nothing is in quarantine that this describes any more.")
    return notices.done(request, "/quarantine", f"{counted(count, kind)} {deeds.WORDS[deed]}.")


@router.post("/destinations/{name}/retry")
def retry_destination(request: Request, who: Operator, name: str) -> Response:
    """Send now what waits for a destination."""
    deeds.hurry_destination(parts_of(request), who, name)
    return notices.done(request, "/", f"What waits for {name} is tried again now.")


SECTION: Final = Section(name="actions", router=router)
