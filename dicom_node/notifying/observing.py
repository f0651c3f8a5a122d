"""A look at the node: what is wrong now."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dicom_node.domain.alarms import Cause, Trouble
from dicom_node.domain.deliveries import DeliveryState
from dicom_node.domain.errors import ConfigurationError, NodeError, describe
from dicom_node.domain.jobs import JobState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dicom_node.domain.routes import Destination
    from dicom_node.ports import FigureLedger, Queues

__all__ = ["Certificate", "Echoes", "Observer"]

ECHO_EVERY_S: Final = 60.0
"""How often a destination is asked whether it answers."""

_DAY_S: Final = 86400.0


class Echoes:
    """Asks every destination now and then, each in a thread of its own, as one that is away takes
    its time to be found so.

    Args:
        destinations: To ask.
        echo: Asks one; raises when it does not answer.
    """

    def __init__(
        self, destinations: Sequence[Destination], echo: Callable[[Destination], object]
    ) -> None:
        self._destinations = tuple(destinations)
        self._echo = echo
        self._asked_at: dict[str, float] = {}
        self._asking: set[str] = set()
        self._problems: dict[str, str] = {}
        self._lock = threading.Lock()

    def ask(self, now: float) -> None:
        """Ask those whose turn it is; returns at once."""
        for each in self._destinations:
            with self._lock:
                since_s = now - self._asked_at.get(each.name, float("-inf"))
                if each.name in self._asking or 0 <= since_s < ECHO_EVERY_S:
                    continue
                self._asking.add(each.name)
                self._asked_at[each.name] = now
            threading.Thread(
                target=self._ask, args=(each,), name=f"echo-{each.name}", daemon=True
            ).start()

    def troubles(self) -> list[Trouble]:
        """One for each that did not answer when it was last asked."""
        with self._lock:
            found = sorted(self._problems.items())
        return [Trouble(cause=Cause.DESTINATION, subject=n, problem=text) for n, text in found]

    def _ask(self, destination: Destination) -> None:
        problem = ""
        try:
            self._echo(destination)
        except Exception as error:  # noqa: BLE001 - service boundary: whatever fails did not answer
            problem = describe(error)
        with self._lock:
            self._asking.discard(destination.name)
            self._problems.pop(destination.name, None)
            if problem:
                self._problems[destination.name] = problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """One of ours.

    Attributes:
        where: Of the configuration it comes from.
        expires_at: Tells when it ends, in Unix seconds; raises ConfigurationError when it cannot.
        warn_days: Before its end from which on it is a trouble.
    """

    where: str
    expires_at: Callable[[], float]
    warn_days: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Observer:
    """Looks at everything that rules may be about.

    Attributes:
        ledger: Whose rows are counted.
        room: Raises when the disk is too full.
        engines: Name -> raises when it does not run, and has it started.
        certificates: Of ours.
        echoes: Of destinations; None when no rule is about them.
    """

    ledger: FigureLedger
    room: Callable[[], object]
    engines: Mapping[str, Callable[[], object]]
    certificates: Sequence[Certificate]
    echoes: Echoes | None

    def look(self, now: float) -> tuple[list[Trouble], frozenset[Cause]]:
        """What is wrong, and of which causes that is everything."""
        found: list[Trouble] = []
        looked_at = set(Cause)
        try:
            found += _quarantined(self.ledger.queues())
        except NodeError as error:
            found.append(Trouble(cause=Cause.LEDGER, subject="the ledger", problem=describe(error)))
            looked_at.discard(Cause.QUARANTINE)
        found += _tried(Cause.DISK, "the disk", self.room)
        for name, trial in self.engines.items():
            found += _tried(Cause.ENGINE, name, trial)
        for certificate in self.certificates:
            found += _ending(certificate, now)
        if self.echoes is not None:
            self.echoes.ask(now)
            found += self.echoes.troubles()
        return found, frozenset(looked_at)


def _quarantined(queues: Queues) -> list[Trouble]:
    counts = {
        "images": queues.images_quarantined,
        "jobs": queues.jobs.get(JobState.QUARANTINED, 0),
    }
    for (destination, state), count in sorted(queues.deliveries.items()):
        if state is DeliveryState.QUARANTINED:
            counts[f"deliveries to {destination}"] = count
    return [
        Trouble(
            cause=Cause.QUARANTINE,
            subject=subject,
            problem=f"{count} {subject} wait for a person",
            count=count,
        )
        for subject, count in counts.items()
        if count
    ]


def _tried(cause: Cause, subject: str, trial: Callable[[], object]) -> list[Trouble]:
    try:
        trial()
    except (NodeError, OSError) as error:
        return [Trouble(cause=cause, subject=subject, problem=describe(error))]
    return []


def _ending(certificate: Certificate, now: float) -> list[Trouble]:
    try:
        left_days = (certificate.expires_at() - now) / _DAY_S
    except ConfigurationError as error:
        problem = describe(error)
    else:
        if left_days > certificate.warn_days:
            return []
        problem = f"it ends in {int(left_days)} days" if left_days > 0 else "it has expired"
    return [Trouble(cause=Cause.CERTIFICATE, subject=certificate.where, problem=problem)]
