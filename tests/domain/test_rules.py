"""Rules: what a predicate says about a header, and what is decided from it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_node.domain.errors import RuleError
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
    judge,
)

HEADER = Header(
    {
        "Modality": ("CR",),
        "ImageType": ("ORIGINAL", "PRIMARY", ""),
        "StudyDescription": ("Thorax  p.a.",),
        "PatientAge": ("045Y",),
        "Rows": ("2048",),
        "ViewPosition": (" PA ",),
    }
)


def holds(predicate: Predicate, header: Header = HEADER) -> bool:
    return judge(predicate, header, route="r")[0]


@pytest.mark.parametrize(
    ("predicate", "expected"),
    [
        (Equals(attribute="Modality", equals="CR"), True),
        (Equals(attribute="Modality", equals=" cr "), True),
        (Equals(attribute="Modality", equals="DX"), False),
        (Equals(attribute="Modality", equals="C"), False),
        (Equals(attribute="ViewPosition", equals="PA"), True),
        (Equals(attribute="ImageType", equals="primary"), True),
        (Equals(attribute="Manufacturer", equals=""), False),
        (OneOf(attribute="Modality", one_of=("CR", "DX")), True),
        (OneOf(attribute="Modality", one_of=("dx", "cr")), True),
        (OneOf(attribute="Modality", one_of=()), False),
        (OneOf(attribute="ImageType", one_of=("DERIVED", "PRIMARY")), True),
        (OneOf(attribute="Manufacturer", one_of=("",)), False),
        (Matches(attribute="StudyDescription", matches="CHEST|THORAX"), True),
        (Matches(attribute="StudyDescription", matches="^p"), False),
        (Matches(attribute="StudyDescription", matches=r"p\.a\.$"), True),
        (Matches(attribute="Manufacturer", matches=".*"), False),
        (Present(attribute="Modality", present=True), True),
        (Present(attribute="Modality", present=False), False),
        (Present(attribute="Manufacturer", present=True), False),
        (Present(attribute="Manufacturer", present=False), True),
        (Range(attribute="Rows", at_least=2048), True),
        (Range(attribute="Rows", at_most=2048), True),
        (Range(attribute="Rows", at_least=2048.5), False),
        (Range(attribute="Rows", at_least=1, at_most=2000), False),
        (Range(attribute="Rows"), True),
        (Range(attribute="Columns"), False),
        (Range(attribute="PatientAge", at_least=45, at_most=45), True),
        (Range(attribute="PatientAge", at_least=46), False),
    ],
)
def test_a_leaf_says_what_it_says(predicate: Predicate, expected: bool) -> None:
    assert holds(predicate) is expected


@pytest.mark.parametrize(
    ("age", "at_least", "at_most"),
    [("006M", 0.5, 0.5), ("052W", 0.99, 1.0), ("731D", 2.0, 2.01), ("120Y", 120, 120)],
)
def test_an_age_is_compared_in_years(age: str, at_least: float, at_most: float) -> None:
    header = Header({"PatientAge": (age,)})
    assert holds(Range(attribute="PatientAge", at_least=at_least, at_most=at_most), header)


def test_a_range_over_text_is_an_error_that_does_not_quote_the_value() -> None:
    with pytest.raises(RuleError, match=r"r: when\.all\[0\]") as raised:
        holds(AllOf(parts=(Range(attribute="Modality", at_least=1),)))
    assert "CR" not in str(raised.value)


def test_a_broken_expression_is_an_error_that_says_where() -> None:
    with pytest.raises(RuleError, match=r"r: when\.any\[1\]"):
        holds(
            AnyOf(
                parts=(
                    Equals(attribute="Modality", equals="CR"),
                    Matches(attribute="Modality", matches="("),
                )
            )
        )


leaves = st.builds(
    Present,
    attribute=st.sampled_from(["Modality", "Manufacturer", "Rows", "Columns"]),
    present=st.booleans(),
)
parts = st.lists(
    st.recursive(
        leaves,
        lambda inner: st.one_of(
            *(
                st.builds(kind, parts=st.lists(inner, max_size=3).map(tuple))
                for kind in (AllOf, AnyOf, NoneOf)
            )
        ),
        max_leaves=8,
    ),
    max_size=4,
).map(tuple)


def naive(predicate: Any) -> bool:
    """The meaning of the tree, written down a second time."""
    match predicate:
        case Present(attribute=name, present=wanted):
            return (name in {"Modality", "Rows"}) is wanted
        case AllOf(parts=inner):
            return False not in {naive(part) for part in inner}
        case AnyOf(parts=inner):
            return True in {naive(part) for part in inner}
        case NoneOf(parts=inner):
            return True not in {naive(part) for part in inner}
    raise AssertionError


def count(predicate: Any) -> int:
    return 1 if isinstance(predicate, Present) else sum(count(p) for p in predicate.parts)


@given(inner=parts)
def test_all_any_and_none_mean_what_they_say_at_any_depth(inner: tuple[Any, ...]) -> None:
    for kind in (AllOf, AnyOf, NoneOf):
        tree = kind(parts=inner)
        assert holds(tree) is naive(tree)


@given(inner=parts)
def test_none_is_the_opposite_of_any(inner: tuple[Any, ...]) -> None:
    assert holds(NoneOf(parts=inner)) is not holds(AnyOf(parts=inner))


@given(inner=parts)
def test_every_leaf_is_judged_and_none_is_skipped(inner: tuple[Any, ...]) -> None:
    tree = AnyOf(parts=inner)
    _, terms = judge(tree, HEADER, route="r")
    assert len(terms) == count(tree)
    assert len({term.path for term in terms}) == len(terms)


def test_the_empty_all_and_none_hold_and_the_empty_any_does_not() -> None:
    assert (holds(AllOf(parts=())), holds(NoneOf(parts=())), holds(AnyOf(parts=()))) == (
        True,
        True,
        False,
    )


def test_a_term_is_told_in_words_with_what_was_found() -> None:
    tree = AllOf(
        parts=(
            OneOf(attribute="Modality", one_of=("CR", "DX")),
            AnyOf(parts=(Present(attribute="Manufacturer", present=True),)),
        )
    )
    result, (first, second) = judge(tree, HEADER, route="chest")
    assert result is False
    assert (first.route, first.path, first.holds) == ("chest", "when.all[0]", True)
    assert (first.text, first.actual) == ("Modality one_of [CR, DX]", "CR")
    assert (second.path, second.holds) == ("when.all[1].any[0]", False)
    assert (second.text, second.actual) == ("Manufacturer present", "")


@pytest.mark.parametrize(
    ("leaf", "text"),
    [
        (Equals(attribute="Modality", equals="CR"), "Modality equals CR"),
        (Matches(attribute="Modality", matches="C."), "Modality matches C."),
        (Range(attribute="Rows", at_least=1), "Rows range 1.."),
        (Range(attribute="Rows", at_most=2.5), "Rows range ..2.5"),
        (Present(attribute="Modality", present=False), "Modality absent"),
    ],
)
def test_every_leaf_has_its_words(leaf: Predicate, text: str) -> None:
    assert judge(leaf, HEADER, route="r")[1][0].text == text


def route(name: str, when: Predicate, *, enabled: bool = True) -> Route:
    return Route(
        name=name,
        when=when,
        views=ViewPlan(name="v", sweep=Sweep(from_deg=-30, to_deg=30, step_deg=30)),
        model="m",
        samples=1,
        steps=None,
        send_to=("pacs",),
        priority=0,
        digest="d",
        enabled=enabled,
    )


YES = Present(attribute="Modality", present=True)
NO = Present(attribute="Modality", present=False)
BROKEN = Range(attribute="Modality", at_least=1)


def test_the_first_route_that_holds_decides() -> None:
    decision = decide([route("a", NO), route("b", YES), route("c", YES)], HEADER)
    assert isinstance(decision, Accept)
    assert decision.route.name == "b"
    assert [(t.route, t.holds) for t in decision.terms] == [("a", False), ("b", True)]


def test_a_route_that_is_switched_off_is_passed_over() -> None:
    decision = decide([route("a", BROKEN, enabled=False), route("b", YES)], HEADER)
    assert isinstance(decision, Accept)
    assert decision.route.name == "b"


def test_a_rule_that_raises_quarantines_the_image_and_no_later_route_is_tried() -> None:
    decision = decide([route("a", NO), route("b", BROKEN), route("c", YES)], HEADER)
    assert isinstance(decision, Quarantine)
    assert decision.reason.startswith("rule failed: b: when")
    assert [t.route for t in decision.terms] == ["a"]


def test_a_route_that_holds_decides_before_a_later_one_that_would_raise() -> None:
    decision = decide([route("a", YES), route("b", BROKEN)], HEADER)
    assert isinstance(decision, Accept)


def test_an_image_no_route_wants_is_ignored_and_the_reason_names_what_failed() -> None:
    decision = decide([route("a", NO), route("b", NO)], HEADER)
    assert isinstance(decision, Ignore)
    assert decision.reason == "no route holds: a: not (Modality absent); b: not (Modality absent)"
    assert decide([], HEADER) == Ignore(reason="no route")


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (Header({"SyntheticData": ("YES",)}), "synthetic"),
        (Header({"SyntheticData": (" yes",)}), "synthetic"),
        (Header({"QualityControlImage": ("YES",)}), "quality control"),
        (Header({}, manufactured_here=True), "this product"),
    ],
)
def test_guards_come_before_every_rule_even_a_broken_one(header: Header, words: str) -> None:
    decision = decide([route("a", BROKEN), route("b", AllOf(parts=()))], header)
    assert isinstance(decision, Ignore)
    assert decision.reason.startswith("guard: ")
    assert words in decision.reason
    assert [term.route for term in decision.terms] == ["guard"]


@pytest.mark.parametrize("value", ["NO", "", "MAYBE"])
def test_a_guard_lets_anything_but_yes_pass(value: str) -> None:
    header = Header({"SyntheticData": (value,), "QualityControlImage": (value,)})
    assert isinstance(decide([route("a", AllOf(parts=()))], header), Accept)


@given(
    values=st.dictionaries(
        st.sampled_from(ROUTING_KEYWORDS), st.lists(st.text(max_size=9), max_size=3).map(tuple)
    ),
    ours=st.booleans(),
)
def test_a_decision_is_always_one_of_three_whatever_the_header_holds(
    values: dict[str, tuple[str, ...]], ours: bool
) -> None:
    routes = [
        route("numbers", AnyOf(parts=(Range(attribute="PatientAge", at_most=18),))),
        route("words", Matches(attribute="StudyDescription", matches="chest")),
        route("rest", NoneOf(parts=(Present(attribute="Modality", present=True),))),
    ]
    decision = decide(routes, Header(values, manufactured_here=ours))
    assert isinstance(decision, (Accept, Ignore, Quarantine))
    assert decision.reason
    if ours:
        assert isinstance(decision, Ignore)
