"""All that the console is given: ports and values, nothing that it looks for by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from dicom_node.audit.messages import AuditMessage
from dicom_node.domain.console import Access, NodeFacts
from dicom_node.ports import AccountStore, Clock, ConsoleLedger, NodeLedger, Spool
from dicom_node.ports.console import Orders
from dicom_node.ports.fetches import Fetches
from dicom_node.rulebook import Desk

if TYPE_CHECKING:
    from fastapi import Request

__all__ = ["Part", "Parts", "parts_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """How one part of the node is.

    Attributes:
        name: ``engine``, ``certificate``, or ``destination NAME``.
        problem: Empty when it works.
        words: More about it, for people.
        at: When it was tried; None: never yet.
        warns: It works, and something is to be done soon.
    """

    name: str
    problem: str = ""
    words: str = ""
    at: float | None = None
    warns: bool = False


def _nobody(message: AuditMessage) -> None:
    """Takes audit messages where no trail is kept."""


def _asleep() -> None:
    """Wakes nobody."""


_NOBODY: Final[Callable[[AuditMessage], None]] = _nobody


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the composition root hands over.

    Attributes:
        read_facts: What the node is called and how it is configured now, as far as pages show it.
        access: How the console is reached and by whom.
        ledger: Rows.
        found: Rows as pages show them.
        orders: What people order beside the rules.
        accounts: Who may log in.
        spool: Files.
        clock: Unix seconds.
        health: What was tried of the node just now.
        record: Takes audit messages.
        wake: Rung after something was released or added.
        call_again: Has a destination called that is left alone for a while, by name.
        fetches: Fetches studies from archives; None where there is none.
        desk: Where rules are tried and changed; None where there is no configuration file.
    """

    read_facts: Callable[[], NodeFacts]
    access: Access
    ledger: NodeLedger
    found: ConsoleLedger
    orders: Orders
    accounts: AccountStore
    spool: Spool
    clock: Clock
    health: Callable[[], tuple[Part, ...]] = field(default=tuple)
    record: Callable[[AuditMessage], None] = field(default=_NOBODY)
    wake: Callable[[], None] = field(default=_asleep)
    call_again: Callable[[str], None] = field(default=lambda name: None)
    fetches: Fetches | None = None
    desk: Desk | None = None

    @property
    def facts(self) -> NodeFacts:
        """As they are now."""
        return self.read_facts()


def parts_of(request: Request) -> Parts:
    """Those of the console that answers a request."""
    parts: Parts = request.app.state.parts
    return parts
