"""The JSON of routes and of the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field

from dicom_node.console.filters import iso
from dicom_node.console.shapes import Shape
from dicom_node.ports import DecidedAs

if TYPE_CHECKING:
    from dicom_node.domain.explaining import RouteVerdict
    from dicom_node.domain.routes import Term
    from dicom_node.ports import Version
    from dicom_node.rulebook.replaying import Outcome, Replay
    from dicom_node.rulebook.trying import Tried
    from dicom_node.settings.problems import Problem

__all__ = ["TEXT_LENGTH", "iso", "problem_out", "replay_out", "tried_out", "version_out"]

TEXT_LENGTH: Final = 2_000_000
"""Most characters of a configuration."""

_Text = Annotated[str, Field(max_length=TEXT_LENGTH)]
_Digest = Annotated[str, Field(max_length=64)]
_Comment = Annotated[str, Field(max_length=200)]


class ProblemOut(Shape):
    """Something that is wrong with a configuration."""

    path: str
    message: str
    line: int | None


class Standing(Shape):
    """How file and node stand to each other; ``digest`` goes into ``base``."""

    version: int | None
    in_force: str
    since: str
    digest: str
    problems: list[ProblemOut]
    restart: list[str]
    text: str | None


class Text(Shape):
    """A configuration."""

    text: _Text


class ReplayOf(Text):
    """A configuration to be tried on so many of the newest images."""

    images: Annotated[int, Field(ge=1, le=5000)] = 500


class Why(Shape):
    """The digest of the text that was edited, and what for."""

    base: _Digest = ""
    comment: _Comment = ""


class NewText(Shape):
    """A configuration to be written."""

    text: _Text
    base: _Digest
    comment: _Comment = ""


class NewRoute(Why):
    """A route as it is to stand in the file."""

    route: dict[str, Any]


class Place(Why):
    """Where a route is to be tried."""

    to: Annotated[int, Field(ge=0, le=10_000)]


class OnOff(Why):
    """Whether a route decides."""

    enabled: bool


class Done(Shape):
    """It is in the file, and in force as this version."""

    version: int | None


class Checked(Shape):
    """What is wrong with a text, and how it differs from the file."""

    problems: list[ProblemOut]
    difference: list[str]


class Difference(Shape):
    """Lines of a unified diff."""

    difference: list[str]


class VersionOut(Shape):
    """A version; ``text`` only where one is asked for."""

    version: int
    at: str
    author: str
    comment: str
    digest: str
    parent: int | None
    text: str | None


class Versions(Shape):
    """Versions, the newest first."""

    versions: list[VersionOut]


class Routes(Shape):
    """The routes as they stand in the file; ``digest`` goes into ``base``."""

    digest: str
    routes: list[dict[str, Any]]


class ChangeOut(Shape):
    """Images that would come out otherwise in the same way."""

    before: DecidedAs
    before_route: str
    after: DecidedAs
    after_route: str
    count: int
    images: list[int]


class ReplayOut(Shape):
    """Two sets of rules on the same images."""

    images: int
    unread: int
    remade: int
    changes: list[ChangeOut]


class TermOut(Shape):
    """A term as it was judged."""

    path: str
    text: str
    actual: str
    holds: bool


class RouteOut(Shape):
    """A route as it was judged; ``holds`` is null when it cannot be."""

    route: str
    enabled: bool
    holds: bool | None
    takes: bool
    problem: str
    terms: list[TermOut]


class TriedOut(Shape):
    """What becomes of a file, and why."""

    decided_as: DecidedAs
    route: str
    reason: str
    views: list[str]
    guards: list[TermOut]
    routes: list[RouteOut]


class PictureOut(Shape):
    """A view as PNG in base64."""

    label: str
    score: float | None
    png: str


class PreviewOut(Shape):
    """The views that a file would get."""

    views: int
    seconds: float
    refused: str
    pictures: list[PictureOut]


def problem_out(problem: Problem) -> ProblemOut:
    """A problem of a configuration."""
    return ProblemOut(path=problem.path, message=problem.message, line=problem.line)


def version_out(row: Version, *, text: bool) -> VersionOut:
    """A version."""
    of = row.version
    return VersionOut(
        version=row.number,
        at=iso(row.at),
        author=of.author,
        comment=of.comment,
        digest=of.digest,
        parent=row.parent,
        text=of.text if text else None,
    )


def replay_out(replay: Replay) -> ReplayOut:
    """A replay."""

    def change(before: Outcome, after: Outcome, count: int, images: list[int]) -> ChangeOut:
        return ChangeOut(
            before=before.decided_as,
            before_route=before.route,
            after=after.decided_as,
            after_route=after.route,
            count=count,
            images=images,
        )

    return ReplayOut(
        images=replay.images,
        unread=replay.unread,
        remade=replay.remade,
        changes=[
            change(each.before, each.after, each.count, [one[0] for one in each.examples])
            for each in replay.changes
        ],
    )


def tried_out(tried: Tried) -> TriedOut:
    """A file that was tried."""
    found = tried.explanation
    return TriedOut(
        decided_as=tried.verdict.decided_as,
        route=tried.verdict.route,
        reason=tried.verdict.reason,
        views=list(tried.views),
        guards=[_term(each) for each in found.guards] if found else [],
        routes=[_route(each) for each in found.routes] if found else [],
    )


def _term(term: Term) -> TermOut:
    return TermOut(path=term.path, text=term.text, actual=term.actual, holds=term.holds)


def _route(verdict: RouteVerdict) -> RouteOut:
    return RouteOut(
        route=verdict.route.name,
        enabled=verdict.route.enabled,
        holds=verdict.holds,
        takes=verdict.takes,
        problem=verdict.problem,
        terms=[_term(each) for each in verdict.terms],
    )
