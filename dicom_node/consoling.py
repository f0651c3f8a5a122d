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
    from dicom_node.settings import Settings

__all__ = ["Configured", "parts_of", "serve_console"]


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
    found = node.ledger.console()
    configured = Configured(node)
    pulse = Pulse(node, lambda: configured.facts().destinations)
    return Parts(
        read_facts=configured.facts,
        access=node.settings.console.to_domain(),
        ledger=node.ledger,
        found=found,
        orders=Ordering(
            ledger=found,
            spool=node.spool,
            clock=node.clock,
            view_sets=lambda: {each.name: each for each in configured.facts().view_sets},
            destinations=lambda: {each.name: each for each in configured.facts().destinations},
            wake=node.bell.ring,
        ),
        health=pulse.parts,
        accounts=node.ledger.accounts(),
        spool=node.spool,
        clock=node.clock,
        record=node.record,
        wake=node.bell.ring,
        call_again=node.outlets.call_again,
        fetches=node.fetches,
        desk=node.desk,
    )


class Configured:
    """What is configured now: the file may be put in force anew while the node runs."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._started_at = node.clock()
        self._known = (node.settings, self._facts(node.settings))

    def facts(self) -> NodeFacts:
        """As pages show it. Any number of threads may ask."""
        book = self._node.rulebook
        settings = self._node.settings if book is None else book.settings
        known, facts = self._known
        if known is not settings:
            facts = self._facts(settings)
            self._known = (settings, facts)
        return facts

    def _facts(self, settings: Settings) -> NodeFacts:
        return NodeFacts(
            ae_title=settings.node.ae_title,
            version=__version__,
            peers=settings.to_peers(),
            destinations=settings.to_destinations(),
            routes=settings.to_routes(),
            view_sets=tuple(each.to_domain(name) for name, each in settings.view_sets.items()),
            min_free_bytes=settings.retention.min_free_bytes,
            started_at=self._started_at,
            data_dir=str(settings.node.data_dir),
        )
