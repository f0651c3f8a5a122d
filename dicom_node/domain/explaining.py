"""Why each route takes an image or leaves it: every term of every route."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dicom_node.domain.errors import RuleError
from dicom_node.domain.rules import decide, guard_terms, judge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dicom_node.domain.header import Header
    from dicom_node.domain.routes import Decision, Route, Term

__all__ = ["Explanation", "RouteVerdict", "explain"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteVerdict:
    """What one route makes of an image, whatever stands before it.

    Attributes:
        route: The route.
        holds: Whether its predicate does; None when it cannot be judged.
        terms: Every leaf as it was judged; empty when one cannot be.
        problem: Why it cannot be judged; empty when it can.
        takes: Whether this is the route that the image goes down.
    """

    route: Route
    holds: bool | None
    terms: tuple[Term, ...] = ()
    problem: str = ""
    takes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What becomes of an image, and why of every route.

    Attributes:
        guards: The fixed guards, each as it came out; they come before any route.
        routes: In the order they are tried, the disabled ones included.
        decision: As the node decides.
    """

    guards: tuple[Term, ...]
    routes: tuple[RouteVerdict, ...]
    decision: Decision


def explain(routes: Sequence[Route], header: Header) -> Explanation:
    """Judge every route, also those after the one that takes the image and those switched off."""
    decision = decide(routes, header)
    chosen = getattr(decision, "route", None)
    return Explanation(
        guards=guard_terms(header),
        routes=tuple(_verdict(route, header, takes=route is chosen) for route in routes),
        decision=decision,
    )


def _verdict(route: Route, header: Header, *, takes: bool) -> RouteVerdict:
    try:
        holds, terms = judge(route.when, header, route=route.name)
    except RuleError as error:
        return RouteVerdict(route=route, holds=None, problem=str(error))
    return RouteVerdict(route=route, holds=holds, terms=terms, takes=takes)
