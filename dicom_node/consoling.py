"""Hands the console what it needs of a node; the only place that knows both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from dicom_node import __version__
from dicom_node.console.parts import Parts
from dicom_node.console.server import ConsoleServer, start_console
from dicom_node.domain.console import NodeFacts
from dicom_node.domain.errors import ConfigurationError
from dicom_node.pulse import Pulse
from dicom_node.services.ordering import Ordering

if TYPE_CHECKING:
    from dicom_node.bootstrap import Node
    from dicom_node.ports import AccountStore, ConsoleLedger

__all__ = ["parts_of", "serve_console"]


@runtime_checkable
class _HasAccounts(Protocol):
    def accounts(self) -> AccountStore: ...
    def console(self) -> ConsoleLedger: ...


def serve_console(node: Node) -> ConsoleServer | None:
    """A running console of a node; None where it is not enabled.

    Raises:
        ConfigurationError: It cannot be served.
    """
    return start_console(parts_of(node)) if node.settings.console.enabled else None


def parts_of(node: Node) -> Parts:
    """What a console is given.

    Raises:
        ConfigurationError: The node's ledger keeps no accounts.
    """
    if not isinstance(node.ledger, _HasAccounts):
        raise ConfigurationError("console.enabled: this ledger keeps no accounts")
    settings = node.settings
    found = node.ledger.console()
    views = {name: each.to_domain(name) for name, each in settings.view_sets.items()}
    destinations = {each.name: each for each in settings.to_destinations()}
    pulse = Pulse(node)
    return Parts(
        facts=NodeFacts(
            ae_title=settings.node.ae_title,
            version=__version__,
            peers=settings.to_peers(),
            destinations=settings.to_destinations(),
            routes=settings.to_routes(),
            view_sets=tuple(views.values()),
            min_free_bytes=settings.retention.min_free_bytes,
            started_at=node.clock(),
        ),
        access=settings.console.to_domain(),
        ledger=node.ledger,
        found=found,
        orders=Ordering(
            ledger=found,
            spool=node.spool,
            clock=node.clock,
            view_sets=lambda: views,
            destinations=lambda: destinations,
            wake=node.bell.ring,
        ),
        health=pulse.parts,
        accounts=node.ledger.accounts(),
        spool=node.spool,
        clock=node.clock,
        record=node.record,
        wake=node.bell.ring,
        desk=node.desk,
    )
