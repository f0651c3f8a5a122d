"""The lists: who may send, where views go, what makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Request

from dicom_node.console.pages import page
from dicom_node.console.partners.fields import Part
from dicom_node.console.registry import Entry, Section
from dicom_node.console.routing import changing
from dicom_node.console.security.guard import Somebody

if TYPE_CHECKING:
    from fastapi.responses import HTMLResponse

    from dicom_node.console.parts import Part as Health
    from dicom_node.console.parts import Parts
    from dicom_node.console.routing.changing import Opening

__all__ = ["SECTION", "health_of", "things", "used_by"]

router = APIRouter()


@router.get("/peers")
def peers(request: Request, who: Somebody) -> HTMLResponse:
    """Those who may call."""
    found = changing.opening(changing.desk_of(request).book)
    return page(
        request,
        "peers.html",
        title="Peers",
        opened=found,
        things=things(found, Part.PEERS),
    )


@router.get("/destinations")
def destinations(request: Request, who: Somebody) -> HTMLResponse:
    """Where views go, and whether they answer."""
    found = changing.opening(changing.desk_of(request).book)
    return page(
        request,
        "destinations.html",
        title="Destinations",
        opened=found,
        things=things(found, Part.DESTINATIONS),
        health=health_of(request),
        used=used_by(found, "send_to"),
    )


@router.get("/models")
def models(request: Request, who: Somebody) -> HTMLResponse:
    """What makes views: the card of each."""
    desk = changing.desk_of(request)
    found = changing.opening(desk.book)
    return page(
        request,
        "models.html",
        title="Models",
        opened=found,
        things=things(found, Part.MODELS),
        cards={each.name: each for each in desk.cards()},
        used=used_by(found, "model"),
    )


class Keys(dict[str, Any]):
    """What the file says of a thing; what it does not say is None."""

    def __missing__(self, key: str) -> None:
        return None


def things(found: Opening, part: Part) -> list[tuple[str, Keys]]:
    """(name, its keys as they stand in the file)."""
    content = found.data.get(part.value)
    if isinstance(content, dict):
        return [(str(name), Keys(each)) for name, each in content.items() if isinstance(each, dict)]
    items = content if isinstance(content, list) else []
    return [(str(each.get("name", "")), Keys(each)) for each in items if isinstance(each, dict)]


def health_of(request: Request) -> dict[str, Health]:
    """Name of a destination -> what was tried of it."""
    parts: Parts = request.app.state.parts
    return {
        each.name.removeprefix("destination "): each
        for each in parts.health()
        if each.name.startswith("destination ")
    }


def used_by(found: Opening, key: str) -> dict[str, list[str]]:
    """Name of a thing -> the routes that use it."""
    used: dict[str, list[str]] = {}
    for route in found.routes:
        made = route.get("synthesize")
        said = route.get(key) or (made.get(key) if isinstance(made, dict) else None)
        for name in said if isinstance(said, list) else [said]:
            if isinstance(name, str):
                used.setdefault(name, []).append(str(route.get("name", "")))
    return used


SECTION: Final = Section(
    name="partners",
    router=router,
    entries=(
        Entry(title="Peers", path="/peers", order=50),
        Entry(title="Destinations", path="/destinations", order=52),
        Entry(title="Models", path="/models", order=54),
    ),
)
