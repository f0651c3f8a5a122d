"""All that the console is given: ports and values, nothing that it looks for by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from dicom_node.audit.messages import AuditMessage
from dicom_node.domain.console import Access, NodeFacts
from dicom_node.ports import AccountStore, Clock, NodeLedger, Spool

__all__ = ["Parts"]


def _nobody(message: AuditMessage) -> None:
    """Takes audit messages where no trail is kept."""


def _asleep() -> None:
    """Wakes nobody."""


_NOBODY: Final[Callable[[AuditMessage], None]] = _nobody


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the composition root hands over.

    Attributes:
        facts: What the node is called and how it is configured, as far as pages show it.
        access: How the console is reached and by whom.
        ledger: Rows.
        accounts: Who may log in.
        spool: Files.
        clock: Unix seconds.
        record: Takes audit messages.
        wake: Rung after something was released or added.
    """

    facts: NodeFacts
    access: Access
    ledger: NodeLedger
    accounts: AccountStore
    spool: Spool
    clock: Clock
    record: Callable[[AuditMessage], None] = field(default=_NOBODY)
    wake: Callable[[], None] = field(default=_asleep)
