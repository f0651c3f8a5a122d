"""Whatever a header holds and whatever a rule asks, there is a decision."""

from __future__ import annotations

import dataclasses
import unicodedata

from hypothesis import example, given, settings
from hypothesis import strategies as st

from dicom_node.domain.header import ROUTING_KEYWORDS, Header
from dicom_node.domain.routes import Accept, Ignore, Quarantine, Route, Sweep, ViewPlan
from dicom_node.domain.rules import (
    AllOf,
    AnyOf,
    Equals,
    Matches,
    NoneOf,
    OneOf,
    Predicate,
    Present,
    Range,
    decide,
)

FORBIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}

ROUTE = Route(
    name="any",
    when=AllOf(parts=()),
    views=ViewPlan(name="sweep", sweep=Sweep(from_deg=-60, to_deg=60, step_deg=60)),
    model="chest",
    samples=1,
    steps=None,
    send_to=("pacs",),
    priority=5,
    digest="d" * 64,
)

keywords = st.sampled_from(ROUTING_KEYWORDS)
odd = st.sampled_from(("", " ", "\0", "nan", "inf", "-Infinity", "1e999", "045Y", "٠٤٥Y", "1_0"))
texts = st.one_of(st.text(st.characters(), max_size=20), odd, st.floats().map(str))
headers = st.builds(
    Header,
    st.dictionaries(keywords, st.lists(texts, min_size=1, max_size=4).map(tuple), max_size=8),
    manufactured_here=st.sampled_from((False, False, False, True)),
)
bounds = st.one_of(st.none(), st.floats(allow_nan=False))
leaves = st.one_of(
    st.builds(Equals, attribute=keywords, equals=texts),
    st.builds(OneOf, attribute=keywords, one_of=st.lists(texts, max_size=3).map(tuple)),
    st.builds(Matches, attribute=keywords, matches=st.one_of(texts, st.just("(")))
    | st.builds(Matches, attribute=keywords, matches=st.just("CHEST|THORAX")),
    st.builds(Range, attribute=keywords, at_least=bounds, at_most=bounds),
    st.builds(Present, attribute=keywords, present=st.booleans()),
)
groups: tuple[type[AllOf] | type[AnyOf] | type[NoneOf], ...] = (AllOf, AnyOf, NoneOf)
predicates = st.recursive(
    leaves,
    lambda inner: st.builds(
        lambda kind, parts: kind(parts=tuple(parts)),
        st.sampled_from(groups),
        st.lists(inner, max_size=3),
    ),
    max_leaves=6,
)


@given(header=headers, predicates=st.lists(predicates, max_size=3))
@example(
    header=Header({"PatientAge": ("nan",)}),
    predicates=[Range(attribute="PatientAge", at_least=1.0)],
)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_every_header_gets_a_decision_from_every_rule(
    header: Header, predicates: list[Predicate]
) -> None:
    routes = [dataclasses.replace(ROUTE, name=f"r{i}", when=p) for i, p in enumerate(predicates)]
    decision = decide(routes, header)
    assert isinstance(decision, Accept | Ignore | Quarantine)
    assert decision.reason
    if isinstance(decision, Quarantine):
        assert "rule failed: r" in decision.reason
    # What is kept of it fits into any database, and into a line of a log.
    for term in decision.terms:
        assert not {unicodedata.category(each) for each in term.actual} & FORBIDDEN
        assert term.actual.encode().decode() == term.actual
        assert len(term.actual) <= 1024


@given(value=st.sampled_from(("nan", "NaN", "inf", "-inf", "Infinity", "1e999")))
def test_what_is_no_finite_number_cannot_be_judged_by_a_range(value: str) -> None:
    route = dataclasses.replace(ROUTE, when=Range(attribute="BitsStored", at_least=8.0))
    decision = decide([route], Header({"BitsStored": (value,)}))
    assert isinstance(decision, Quarantine)
    assert value not in decision.reason
