"""The node's errors, each with the policy that follows from it.

    NodeError
    ├── InputError           REJECT      what a peer sent cannot be read (0xC000)
    ├── UnsupportedError     REJECT      a SOP class or form this node does not take (0x0122)
    │   └── SyntaxUnreadableError REJECT a transfer syntax this node does not read (0xC122)
    ├── CapacityError        REJECT      no room to accept more (0xA700)
    ├── ImageError           QUARANTINE  stored, but not a radiograph that can be synthesized from
    ├── RuleError            QUARANTINE  a routing rule failed on this image
    ├── ConsistencyError     QUARANTINE  synthesized views agree too little with their source
    ├── IntegrityError       QUARANTINE  bytes, rows or provenance contradict each other
    │   └── LeaseLostError   RETRY       somebody else works on this row now; step aside
    ├── PeerError            RETRY       a destination broke off, was too slow or failed
    │   ├── UnreachableError RETRY       it gave no association: whatever it is sent would fail
    │   └── BusyError        RETRY       it has no room now
    ├── RefusedError         QUARANTINE  a destination refused an object for good
    ├── EngineError          RETRY       the engine crashed, timed out or ran out of memory
    │   └── EngineDownError  RETRY       it did so before it came to the job, which is not to blame
    ├── EngineInputError     QUARANTINE  the engine answered that it cannot do this request
    └── ConfigurationError   FATAL       the node cannot start as configured

Messages say what, where and what to do; they never hold patient data.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import PurePath
from typing import ClassVar

from synthesis.errors import SynthesisError

__all__ = [
    "BusyError",
    "CapacityError",
    "ConfigurationError",
    "ConsistencyError",
    "Disposition",
    "EngineDownError",
    "EngineError",
    "EngineInputError",
    "ImageError",
    "InputError",
    "IntegrityError",
    "LeaseLostError",
    "NodeError",
    "PeerError",
    "RefusedError",
    "RuleError",
    "SyntaxUnreadableError",
    "UnreachableError",
    "UnsupportedError",
    "describe",
]


class Disposition(StrEnum):
    """What the node does about an error."""

    REJECT = "reject"
    RETRY = "retry"
    QUARANTINE = "quarantine"
    FATAL = "fatal"


class NodeError(Exception):
    """Base of every error the node raises on purpose.

    Attributes:
        disposition: The policy of this class.
        dimse_status: Status of the C-STORE response, for REJECT classes only (PS3.4 B.2.3).
    """

    disposition: ClassVar[Disposition]
    dimse_status: ClassVar[int | None] = None


class InputError(NodeError):
    """What a peer sent cannot be read."""

    disposition = Disposition.REJECT
    dimse_status = 0xC000


class UnsupportedError(NodeError):
    """A SOP class this node does not take."""

    disposition = Disposition.REJECT
    dimse_status = 0x0122


class SyntaxUnreadableError(UnsupportedError):
    """A transfer syntax this node does not read (PS3.18 Table I.2-2)."""

    disposition = Disposition.REJECT
    dimse_status = 0xC122


class CapacityError(NodeError):
    """No room to accept more."""

    disposition = Disposition.REJECT
    dimse_status = 0xA700


class ImageError(NodeError):
    """A stored object that is not a radiograph views can be synthesized from."""

    disposition = Disposition.QUARANTINE


class RuleError(NodeError):
    """A routing rule failed on an image."""

    disposition = Disposition.QUARANTINE


class ConsistencyError(NodeError):
    """Synthesized views agree less with their source than the route asks for."""

    disposition = Disposition.QUARANTINE


class IntegrityError(NodeError):
    """Bytes, rows or provenance contradict each other."""

    disposition = Disposition.QUARANTINE


class LeaseLostError(IntegrityError):
    """The row changed hands: its lease ran out, and whoever held it must leave it alone."""

    disposition = Disposition.RETRY


class PeerError(NodeError):
    """A destination broke off, was too slow or failed; the same send may succeed later."""

    disposition = Disposition.RETRY


class UnreachableError(PeerError):
    """A destination gave no association, so nothing else can be sent to it now either."""

    disposition = Disposition.RETRY


class BusyError(PeerError):
    """A destination has no room now (0xA7xx and the like); it needs more time than a slip does."""

    disposition = Disposition.RETRY


class RefusedError(NodeError):
    """A destination refused an object for good."""

    disposition = Disposition.QUARANTINE


class EngineError(NodeError):
    """The engine crashed, timed out or ran out of memory; the same job may succeed later."""

    disposition = Disposition.RETRY


class EngineDownError(EngineError):
    """The engine cannot be started, or not have the model ready: no job can be done now."""


class EngineInputError(NodeError):
    """The engine answered that it cannot do this request, now or later."""

    disposition = Disposition.QUARANTINE


class ConfigurationError(NodeError):
    """The node cannot start as configured.

    Attributes:
        problems: One ``path: what is wrong and what to do`` a problem.
    """

    disposition = Disposition.FATAL

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def describe(error: BaseException) -> str:
    """What may be kept of an error in rows and logs.

    The message of this product's own errors; of any other error only its class and the place it
    came from, as a foreign message may quote the patient's data.
    """
    if isinstance(error, (NodeError, SynthesisError)):
        return str(error)
    place, trace = "", error.__traceback__
    while trace is not None:
        place = f" at {PurePath(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"unexpected {type(error).__name__}{place}"
