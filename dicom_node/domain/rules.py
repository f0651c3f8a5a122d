"""The routing predicate: a closed tree of values, judged by one pure function.

Text is compared without regard to case or surrounding spaces, as code strings are padded and typed
by people. An attribute with several values satisfies a term when any of them does.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dicom_node.domain.errors import RuleError
from dicom_node.domain.legible import legible
from dicom_node.domain.routes import Accept, Decision, Ignore, Quarantine, Route, Term

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dicom_node.domain.header import Header

__all__ = [
    "AllOf",
    "AnyOf",
    "Equals",
    "Matches",
    "NoneOf",
    "OneOf",
    "Predicate",
    "Present",
    "Range",
    "decide",
    "guard_terms",
    "judge",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Equals:
    """A value is this text."""

    attribute: str
    equals: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OneOf:
    """A value is one of these texts."""

    attribute: str
    one_of: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """A regular expression is found in a value."""

    attribute: str
    matches: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """A value is a number in [at_least, at_most]; a missing end is open."""

    attribute: str
    at_least: float | None = None
    at_most: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """The attribute has a value (True) or has none (False)."""

    attribute: str
    present: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AllOf:
    """Every part holds; the empty one always does."""

    parts: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyOf:
    """At least one part holds; the empty one never does."""

    parts: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoneOf:
    """No part holds; the empty one always does."""

    parts: tuple[Predicate, ...]


Predicate = Equals | OneOf | Matches | Range | Present | AllOf | AnyOf | NoneOf


def judge(predicate: Predicate, header: Header, *, route: str) -> tuple[bool, tuple[Term, ...]]:
    """Whether a predicate holds, with every leaf as it was judged (none is skipped).

    Raises:
        RuleError: A leaf cannot be judged: a range over text, a broken expression.
    """
    terms: list[Term] = []

    def walk(node: Predicate, path: str) -> bool:
        match node:
            case AllOf(parts=parts):
                return all([walk(part, f"{path}.all[{i}]") for i, part in enumerate(parts)])
            case AnyOf(parts=parts):
                return any([walk(part, f"{path}.any[{i}]") for i, part in enumerate(parts)])
            case NoneOf(parts=parts):
                return not any([walk(part, f"{path}.none[{i}]") for i, part in enumerate(parts)])
            case leaf:
                values = header.get(leaf.attribute)
                holds = _leaf_holds(leaf, values, f"{route}: {path}")
                terms.append(
                    Term(
                        route=route,
                        path=path,
                        text=_leaf_text(leaf),
                        actual=legible("\\".join(values)),
                        holds=holds,
                    )
                )
                return holds

    return walk(predicate, "when"), tuple(terms)


def _leaf_holds(
    leaf: Equals | OneOf | Matches | Range | Present, values: Sequence[str], where: str
) -> bool:
    match leaf:
        case Present(present=wanted):
            return bool(values) == wanted
        case Equals(equals=text):
            return _any(values, lambda v: _fold(v) == _fold(text))
        case OneOf(one_of=texts):
            folded = {_fold(text) for text in texts}
            return _any(values, lambda v: _fold(v) in folded)
        case Matches(matches=pattern):
            try:
                compiled = re.compile(pattern, re.IGNORECASE)
            except re.error as error:
                raise RuleError(f"{where}: {pattern!r} is no expression: {error}") from error
            return _any(values, lambda v: compiled.search(v) is not None)
        case Range(at_least=low, at_most=high):
            return _any(values, lambda v: _in_range(v, low, high, where))


def _any(values: Sequence[str], test: Callable[[str], bool]) -> bool:
    return any([test(value) for value in values])


def _fold(text: str) -> str:
    return text.strip().casefold()


def _in_range(value: str, low: float | None, high: float | None, where: str) -> bool:
    # PatientAge is an Age String such as 045Y (PS3.5 6.2); years are what people write rules in.
    age = re.fullmatch(r"(\d{3})([DWMY])", value.strip())
    if age:
        number = int(age[1]) / {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0}[age[2]]
    else:
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):  # which the library reads from words, but no rule means
            # The value itself may be about a patient, so it stays out of the message.
            raise RuleError(f"{where}: the value is not a number, so a range cannot judge it")
    return (low is None or number >= low) and (high is None or number <= high)


def _leaf_text(leaf: Equals | OneOf | Matches | Range | Present) -> str:
    match leaf:
        case Equals(attribute=name, equals=text):
            return f"{name} equals {text}"
        case OneOf(attribute=name, one_of=texts):
            return f"{name} one_of [{', '.join(texts)}]"
        case Matches(attribute=name, matches=pattern):
            return f"{name} matches {pattern}"
        case Range(attribute=name, at_least=low, at_most=high):
            ends = f"{'' if low is None else f'{low:g}'}..{'' if high is None else f'{high:g}'}"
            return f"{name} range {ends}"
        case Present(attribute=name, present=wanted):
            return f"{name} {'present' if wanted else 'absent'}"


_FLAGGED: Final = (
    ("SyntheticData", "YES", "the image is synthetic (Synthetic Data is YES)"),
    ("QualityControlImage", "YES", "the image is a quality control image"),
)


def guard_terms(header: Header) -> tuple[Term, ...]:
    """The fixed guards, each as it came out: nothing synthetic comes in again, nothing from QC."""
    flagged = tuple(
        Term(
            route="guard",
            path=keyword,
            text=f"{keyword} is not {value}",
            actual=legible(header.first(keyword)),
            holds=_fold(header.first(keyword)) != _fold(value),
        )
        for keyword, value, _ in _FLAGGED
    )
    ours = Term(
        route="guard",
        path="equipment",
        text="not made by this product",
        actual="",
        holds=not header.manufactured_here,
    )
    return (*flagged, ours)


def _guard(header: Header) -> Ignore | None:
    """The first guard that does not let an image through, before any rule."""
    reasons = (*(reason for _, _, reason in _FLAGGED), "the image was made by this product")
    for term, reason in zip(guard_terms(header), reasons, strict=True):
        if not term.holds:
            return Ignore(reason=f"guard: {reason}", terms=(term,))
    return None


def decide(routes: Sequence[Route], header: Header) -> Decision:
    """The first enabled route whose predicate holds; a route that fails quarantines the image.

    Routes are tried in the order given. Every term judged on the way is in the decision.
    """
    guarded = _guard(header)
    if guarded is not None:
        return guarded
    terms: tuple[Term, ...] = ()
    for route in routes:
        if not route.enabled:
            continue
        try:
            holds, judged = judge(route.when, header, route=route.name)
        except RuleError as error:
            return Quarantine(reason=f"rule failed: {error}", terms=terms)
        terms += judged
        if holds:
            return Accept(route=route, reason=f"route {route.name} holds", terms=terms)
    failing = "; ".join(f"{t.route}: not ({t.text})" for t in terms if not t.holds)
    return Ignore(reason=f"no route holds: {failing}" if failing else "no route", terms=terms)
