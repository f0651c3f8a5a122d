"""A configuration in a few lines, and what about it may be a slip without being an error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from rich.table import Table
from rich.text import Text

from dicom_node.domain.routes import Commitment

if TYPE_CHECKING:
    from dicom_node.settings.root import Settings

__all__ = ["notes", "summary"]

_LOCAL: Final = ("127.0.0.1", "::1", "localhost")


def summary(settings: Settings) -> Table:
    """The node, who may send, and every route with what it makes for whom."""
    node = settings.node
    table = Table.grid(padding=(0, 2))

    def row(name: str, value: str) -> None:
        table.add_row(Text(name, style="dim"), Text(value))

    row("node", f"{node.ae_title} on {node.host}:{node.port}{_secured(settings)}")
    row("data", str(node.data_dir))
    for peer in settings.to_peers():
        secured = ", over TLS" if peer.require_tls else ""
        web = ", also by STOW-RS" if settings.dicomweb.enabled and peer.token is not None else ""
        row("peer", f"{peer.name}: {peer.ae_title} from {peer.host or 'anywhere'}{secured}{web}")
    for each in settings.destinations:
        row(
            "destination",
            f"{each.name}: {each.where}, as {each.form.value}"
            f"{'' if each.tls is None else ', over TLS'}",
        )
    for route in settings.routes:
        made = route.synthesize
        state = "" if route.enabled else " (disabled)"
        row(
            "route",
            f"{route.name}{state}: {made.views} by {made.model}, to {', '.join(route.send_to)}",
        )
    return table


def _secured(settings: Settings) -> str:
    tls = settings.tls
    if tls is None:
        return ""
    return f", TLS ({tls.profile.value})" + ("" if tls.port is None else f" on {tls.port}")


def notes(settings: Settings) -> Iterator[str]:
    """What a person should look at again."""
    if not settings.peers:
        yield "peers: nobody may send to this node, so it will never receive an image"
    if not [route for route in settings.routes if route.enabled]:
        yield "routes: no route is enabled, so every image will be ignored"
    if settings.tls is None and settings.node.host not in _LOCAL:
        yield "tls: there is none, so images travel over the network in plain"
    web = settings.dicomweb
    if web.enabled and not web.tls and web.host not in _LOCAL:
        yield "dicomweb: it speaks HTTP, so images and tokens travel over the network in plain"
    used = {name for route in settings.routes for name in route.send_to}
    for position, destination in enumerate(settings.destinations):
        if destination.name not in used:
            yield f"destinations[{position}]: no route sends to {destination.name}"
        asked = destination.commitment is not Commitment.NONE
        if asked and destination.ae_title not in {peer.ae_title for peer in settings.peers}:
            yield (
                f"destinations[{position}]: {destination.name} is asked for commitment, but its AE "
                "title is none of the peers, so it can only report on the association of the asking"
            )
    for position, route in enumerate(settings.routes[:-1]):
        if route.enabled and route.when.all == ():
            yield f"routes[{position}]: {route.name} takes every image, the routes after it none"
