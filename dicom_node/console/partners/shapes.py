"""The JSON of peers, destinations and models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from dicom_node.console.filters import iso
from dicom_node.console.partners.fields import Part
from dicom_node.console.routing.shapes import Why
from dicom_node.console.shapes import As, Shape
from dicom_node.domain.accounts import Role
from dicom_node.settings.peers import PeerSettings
from dicom_node.settings.sections import DestinationSettings, ModelSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dicom_node.console.parts import Part as Health
    from dicom_node.domain.accounts import Identity
    from dicom_node.rulebook.cards import Block, ModelCard
    from dicom_node.rulebook.probing import Probed

__all__ = [
    "BlockOut",
    "CardOut",
    "DestinationOut",
    "Destinations",
    "ModelOut",
    "Models",
    "NewDestination",
    "NewModel",
    "NewPeer",
    "Peers",
    "ProbedOut",
    "card_out",
    "destination_out",
    "keys_for",
    "probed_out",
]

PeerKeys = Annotated[dict[str, Any], As(PeerSettings)]
DestinationKeys = Annotated[dict[str, Any], As(DestinationSettings)]
ModelKeys = Annotated[dict[str, Any], As(ModelSettings)]

SEEN: Mapping[Part, frozenset[str]] = {
    Part.PEERS: frozenset(PeerSettings.model_fields) - {"subject", "token_file", "token_env"},
    Part.DESTINATIONS: frozenset(DestinationSettings.model_fields)
    - {"authorization_file", "authorization_env", "tls"},
    Part.MODELS: frozenset(ModelSettings.model_fields),
}
"""Keys that everybody sees; those about where secrets are only who may read the file."""


class NewPeer(Why):
    """A peer as it is to stand in the file."""

    peer: PeerKeys


class NewDestination(Why):
    """A destination as it is to stand in the file."""

    destination: DestinationKeys


class NewModel(Why):
    """A model as it is to stand in the file: in a mapping, so its name stands beside its keys."""

    name: str
    model: ModelKeys


class Peers(Shape):
    """Those who may call, as they stand in the file; ``digest`` goes into ``base``."""

    digest: str
    peers: list[PeerKeys]


class DestinationOut(Shape):
    """A destination as it stands in the file, and how it is.

    ``answers`` is null while it was not asked yet.
    """

    destination: DestinationKeys
    answers: bool | None
    problem: str
    asked_at: str | None
    used_by: list[str]


class Destinations(Shape):
    """Where views go; ``digest`` goes into ``base``."""

    digest: str
    destinations: list[DestinationOut]


class BlockOut(Shape):
    """A piece of a card: ``lines`` of a heading, paragraph, list or code, ``rows`` of a table."""

    kind: str
    lines: list[str]
    rows: list[list[str]]


class CardOut(Shape):
    """What a model is. ``facts`` are the checkpoint's own words, ``card`` those beside it.

    ``licence``, ``sources`` and ``views`` are null where no card says them.
    """

    digest: str
    size_bytes: int
    licence: str | None
    sources: str | None
    views: str | None
    facts: dict[str, str]
    card: list[BlockOut]


class ModelOut(Shape):
    """A model as it stands in the file; ``weights`` is null until it is in force."""

    name: str
    model: ModelKeys
    used_by: list[str]
    weights: CardOut | None


class Models(Shape):
    """What makes views; ``digest`` goes into ``base``."""

    digest: str
    models: list[ModelOut]


class ProbedOut(Shape):
    """What a destination did."""

    good: bool
    words: str
    seconds: float


def keys_for(who: Identity, part: Part, raw: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a thing that somebody may see."""
    if who.role.allows(Role.OPERATOR):
        return dict(raw)
    return {key: value for key, value in raw.items() if key in SEEN[part]}


def destination_out(
    keys: dict[str, Any], health: Health | None, used_by: Sequence[str]
) -> DestinationOut:
    """A destination.

    Args:
        keys: That may be seen.
        health: What was tried of it; None when nothing was.
        used_by: Names of routes.
    """
    return DestinationOut(
        destination=keys,
        answers=None if health is None else not health.problem,
        problem="" if health is None else health.problem,
        asked_at=None if health is None or health.at is None else iso(health.at),
        used_by=list(used_by),
    )


def card_out(card: ModelCard) -> CardOut:
    """A model's card."""
    return CardOut(
        digest=card.digest,
        size_bytes=card.size_bytes,
        licence=card.said("licence"),
        sources=card.said("sources"),
        views=card.said("views"),
        facts=dict(card.facts),
        card=[_block(each) for each in card.blocks],
    )


def probed_out(found: Probed) -> ProbedOut:
    """What a destination did."""
    return ProbedOut(good=found.good, words=found.words, seconds=found.seconds)


def _block(block: Block) -> BlockOut:
    return BlockOut(
        kind=block.kind, lines=list(block.lines), rows=[list(each) for each in block.rows]
    )
