"""What the rules are now: one value, replaced as a whole while the services run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dicom_node.domain.retry import RetryPolicy
    from dicom_node.domain.routes import Destination, Route

__all__ = ["DestinationNames", "Policies", "RuleSet", "Rules"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSet:
    """Everything a decision rests on, of one version of the configuration.

    Attributes:
        routes: In the order they are tried.
        destinations: By name.
        weights: Name of a configured model -> SHA-256 of its checkpoint.
        version: Number of the version; None when none was written down.
    """

    routes: tuple[Route, ...]
    destinations: Mapping[str, Destination]
    weights: Mapping[str, str]
    version: int | None = None


@dataclass(slots=True)
class Rules:
    """The rule set in force. Whoever needs it takes it once and works with that one to the end.

    Attributes:
        now: Replaced by one assignment, so nobody ever sees half of one set and half of another.
    """

    now: RuleSet


@dataclass(frozen=True, slots=True)
class DestinationNames(Collection[str]):
    """Names of the destinations that are configured now."""

    rules: Rules = field(repr=False)

    def __contains__(self, name: object) -> bool:
        return name in self.rules.now.destinations

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self.rules.now.destinations))

    def __len__(self) -> int:
        return len(self.rules.now.destinations)


@dataclass(frozen=True, slots=True)
class Policies(Mapping[str, "RetryPolicy"]):
    """Retry policies of the destinations that are configured now."""

    rules: Rules = field(repr=False)

    def __getitem__(self, name: str) -> RetryPolicy:
        return self.rules.now.destinations[name].retry

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self.rules.now.destinations))

    def __len__(self) -> int:
        return len(self.rules.now.destinations)
