"""Peers, destinations and models for programs: what the pages do, over JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, Request

from dicom_node.console.failures import RejectedError
from dicom_node.console.partners import deeds, shapes
from dicom_node.console.partners.fields import Part
from dicom_node.console.partners.lists import health_of, things, used_by
from dicom_node.console.registry import Section
from dicom_node.console.routing import answers, changing
from dicom_node.console.routing.answers import Name, Since
from dicom_node.console.routing.lists import Admin, Operator
from dicom_node.console.routing.shapes import Done
from dicom_node.console.security.guard import API, Somebody

if TYPE_CHECKING:
    from dicom_node.console.routing.changing import Opening

__all__ = ["SECTION"]

router = APIRouter(prefix=API, responses=answers.ANSWERS)


@router.get("/peers")
def peers(request: Request, who: Somebody) -> shapes.Peers:
    """Those who may call, as they stand in the file."""
    found = _opened(request)
    return shapes.Peers(
        digest=found.digest,
        peers=[shapes.keys_for(who, Part.PEERS, raw) for _, raw in things(found, Part.PEERS)],
    )


@router.post("/peers")
def add_peer(request: Request, who: Admin, wanted: shapes.NewPeer) -> Done:
    """Let one more call."""
    return answers.edit(request, who, answers.put("peers", "", wanted.peer), wanted)


@router.put("/peers/{name}")
def put_peer(request: Request, who: Admin, name: Name, wanted: shapes.NewPeer) -> Done:
    """Change a peer; with another name in it, rename it."""
    return answers.edit(request, who, answers.put("peers", name, wanted.peer), wanted)


@router.delete("/peers/{name}")
def remove_peer(request: Request, who: Admin, name: Name, base: Since = "") -> Done:
    """Let a peer call no more."""
    return answers.remove(request, who, "peers", name, base)


@router.get("/destinations")
def destinations(request: Request, who: Somebody) -> shapes.Destinations:
    """Where views go, whether they answer, and which routes send there."""
    found, health = _opened(request), health_of(request)
    used = used_by(found, "send_to")
    return shapes.Destinations(
        digest=found.digest,
        destinations=[
            shapes.destination_out(
                shapes.keys_for(who, Part.DESTINATIONS, raw), health.get(name), used.get(name, [])
            )
            for name, raw in things(found, Part.DESTINATIONS)
        ],
    )


@router.post("/destinations")
def add_destination(request: Request, who: Admin, wanted: shapes.NewDestination) -> Done:
    """Have one more that routes may send to."""
    return answers.edit(request, who, answers.put("destinations", "", wanted.destination), wanted)


@router.put("/destinations/{name}")
def put_destination(
    request: Request, who: Admin, name: Name, wanted: shapes.NewDestination
) -> Done:
    """Change a destination; with another name in it, rename it: routes follow."""
    put = answers.put("destinations", name, wanted.destination)
    return answers.edit(request, who, put, wanted)


@router.delete("/destinations/{name}")
def remove_destination(request: Request, who: Admin, name: Name, base: Since = "") -> Done:
    """Take a destination out that no route uses."""
    return answers.remove(request, who, "destinations", name, base)


@router.post("/destinations/{name}/echo")
def echo(request: Request, who: Operator, name: Name) -> shapes.ProbedOut:
    """Ask a destination whether it answers."""
    return shapes.probed_out(deeds.echo(request, name))


@router.post("/destinations/{name}/test-store")
def store(request: Request, who: Operator, name: Name) -> shapes.ProbedOut:
    """Store an object in it that says it is a test; it stays there until somebody deletes it."""
    return shapes.probed_out(deeds.store(request, who, name))


@router.get("/models")
def models(request: Request, who: Somebody) -> shapes.Models:
    """What makes views: figures, licence and limits of each, and which routes use it."""
    found = _opened(request)
    used = used_by(found, "model")
    cards = {each.name: shapes.card_out(each) for each in changing.desk_of(request).cards()}
    return shapes.Models(
        digest=found.digest,
        models=[
            shapes.ModelOut(
                name=name,
                model=shapes.keys_for(who, Part.MODELS, raw),
                used_by=used.get(name, []),
                weights=cards.get(name),
            )
            for name, raw in things(found, Part.MODELS)
        ],
    )


@router.post("/models")
def add_model(request: Request, who: Admin, wanted: shapes.NewModel) -> Done:
    """Have one more that routes may use."""
    return _put_model(request, who, "", wanted)


@router.put("/models/{name}")
def put_model(request: Request, who: Admin, name: Name, wanted: shapes.NewModel) -> Done:
    """Change a model; with another name, rename it: routes follow."""
    return _put_model(request, who, name, wanted)


@router.delete("/models/{name}")
def remove_model(request: Request, who: Admin, name: Name, base: Since = "") -> Done:
    """Take a model out that no route uses."""
    return answers.remove(request, who, "models", name, base)


def _put_model(request: Request, who: Admin, name: str, wanted: shapes.NewModel) -> Done:
    keys = {**wanted.model, "name": wanted.name}
    return answers.edit(request, who, answers.put("models", name, keys), wanted)


def _opened(request: Request) -> Opening:
    found = changing.opening(changing.desk_of(request).book)
    if found.problem:
        raise RejectedError(found.problem)
    return found


SECTION: Final = Section(name="partners for programs", router=router)
