"""What the routes would do with image files: nothing is stored, nothing is sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dicom_node.domain.errors import InputError, NodeError
from dicom_node.domain.routes import Accept, Decision, Ignore, Quarantine, Route
from dicom_node.domain.rules import decide
from dicom_node.iod.reading import read_header, source_view
from dicom_node.ports import DecidedAs
from synthesis.errors import SynthesisError

__all__ = ["Inspected", "files_of", "inspect"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """What would become of one file.

    Attributes:
        path: Of the file.
        decision: As the node would decide.
        route: Name of the route that holds; None when none does.
        views: Labels of the views that would be made, in order.
        readable: False when the file is no DICOM object, which the node would refuse (0xC000).
    """

    path: Path
    decision: Decision
    route: str | None = None
    views: tuple[str, ...] = ()
    readable: bool = True

    @property
    def decided_as(self) -> DecidedAs:
        """Name of the decision."""
        match self.decision:
            case Accept():
                return DecidedAs.ACCEPT
            case Ignore():
                return DecidedAs.IGNORE
            case Quarantine():
                return DecidedAs.QUARANTINE

    def to_json(self) -> dict[str, Any]:
        """Plain data for machines."""
        return {
            "image": str(self.path),
            "decision": self.decided_as.value,
            "route": self.route,
            "reason": self.decision.reason,
            "views": list(self.views),
            "terms": [asdict(term) for term in self.decision.terms],
        }


def files_of(paths: Iterable[Path]) -> Iterator[Path]:
    """The files themselves, and for a folder every file below it, by name."""
    for path in paths:
        if path.is_dir():
            yield from sorted(each for each in path.rglob("*") if each.is_file())
        else:
            yield path


def inspect(routes: Sequence[Route], path: Path, *, calling_ae_title: str = "") -> Inspected:
    """Judge one file as the node would.

    Args:
        routes: In order.
        path: Of a DICOM file; anything else is an answer too.
        calling_ae_title: Of the peer that is imagined to send it.
    """
    if not path.is_file():
        absent = Quarantine(reason="there is no such file")
        return Inspected(path=path, decision=absent, readable=False)
    try:
        header = read_header(path, calling_ae_title=calling_ae_title)
    except InputError as error:
        refused = Quarantine(reason=f"the node would refuse it as unreadable (0xC000): {error}")
        return Inspected(path=path, decision=refused, readable=False)
    except OSError as error:
        unread = Quarantine(reason=f"the file cannot be read: {error.strerror or error}")
        return Inspected(path=path, decision=unread, readable=False)
    decision = decide(routes, header)
    if not isinstance(decision, Accept):
        return Inspected(path=path, decision=decision)
    route = decision.route
    try:
        views = route.views.resolve(source_view(header))
    except (NodeError, SynthesisError) as error:
        held = Quarantine(reason=f"{decision.reason}, but {error}", terms=decision.terms)
        return Inspected(path=path, decision=held, route=route.name)
    labels = tuple(view.label for view in views)
    return Inspected(path=path, decision=decision, route=route.name, views=labels)
