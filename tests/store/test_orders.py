"""Orders and terms as JSON: what was written once is read for ever."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_node.domain.errors import IntegrityError
from dicom_node.domain.jobs import Order, Target
from dicom_node.domain.routes import Term
from dicom_node.domain.writing import Document, Form, Matrix
from dicom_node.store.orders import (
    order_from_json,
    order_to_json,
    terms_from_json,
    terms_to_json,
)
from synthesis.types import SeenFrom, View, ViewSet

angles = st.floats(-180, 180, exclude_min=True)
views = st.builds(
    View,
    primary_deg=angles,
    secondary_deg=st.floats(-90, 90),
    source_detector_mm=st.floats(1200, 2000),
    source_isocenter_mm=st.floats(500, 1100),
    seen_from=st.sampled_from(SeenFrom),
)
orders = st.builds(
    Order,
    route=st.text(),
    route_digest=st.text(),
    model=st.text(),
    weights_digest=st.text(),
    views=st.builds(
        ViewSet,
        name=st.text(),
        views=st.lists(views, min_size=1, max_size=5, unique=True).map(tuple),
    ),
    samples=st.integers(1, 9),
    steps=st.none() | st.integers(1, 50),
    seed=st.integers(0, 2**31 - 1),
    targets=st.lists(
        st.builds(
            Target,
            destination=st.text(),
            form=st.sampled_from(Form),
            banner=st.booleans(),
            matrix=st.sampled_from(Matrix),
            documents=st.lists(st.sampled_from(Document), unique=True).map(tuple),
        ),
        max_size=3,
    ).map(tuple),
    priority=st.integers(-9, 9),
    min_consistency=st.none() | st.floats(-1, 1),
    allow_ineligible=st.booleans(),
)
terms = st.lists(
    st.builds(
        Term, route=st.text(), path=st.text(), text=st.text(), actual=st.text(), holds=st.booleans()
    ),
    max_size=4,
).map(tuple)


@given(order=orders)
def test_an_order_comes_back_as_it_was(order: Order) -> None:
    assert order_from_json(order_to_json(order)) == order


@given(terms=terms)
def test_terms_come_back_as_they_were(terms: tuple[Term, ...]) -> None:
    assert terms_from_json(terms_to_json(terms)) == terms


ORDER = Order(
    route="chest",
    route_digest="rr",
    model="m",
    weights_digest="ww",
    views=ViewSet(name="v", views=(View(primary_deg=30),)),
    samples=1,
    steps=None,
    seed=5,
    targets=(Target(destination="pacs", form=Form.SC, banner=False),),
    priority=2,
)
TEXT = (
    '{"model":"m","priority":2,"route":"chest","route_digest":"rr","samples":1,"seed":5,'
    '"steps":null,"targets":[{"banner":false,"destination":"pacs","form":"sc"}],'
    '"views":{"name":"v","views":[{"primary_deg":30.0,"secondary_deg":0.0,'
    '"seen_from":"detector","source_detector_mm":1800.0,"source_isocenter_mm":1650.0}]},'
    '"weights_digest":"ww"}'
)


def test_the_text_of_an_order_never_changes() -> None:
    """Rows of released versions hold this text; a change needs a migration."""
    assert order_to_json(ORDER) == TEXT
    assert order_from_json(TEXT) == ORDER


def test_what_a_later_version_asks_for_is_in_the_text_only_where_it_is_asked_for() -> None:
    for asked in ({"min_consistency": 0.5}, {"allow_ineligible": True}):
        order = replace(ORDER, **asked)  # type: ignore[arg-type]
        assert json.loads(order_to_json(order)) == json.loads(TEXT) | asked
        assert order_from_json(order_to_json(order)) == order


@pytest.mark.parametrize("field", sorted(json.loads(TEXT)))
def test_an_order_without_a_field_is_an_integrity_error(field: str) -> None:
    value = json.loads(TEXT)
    del value[field]
    with pytest.raises(IntegrityError):
        order_from_json(json.dumps(value))


@pytest.mark.parametrize("text", ["", "null", "[]", '"x"', "{", TEXT.replace('"sc"', '"jpeg"')])
def test_a_text_that_is_no_order_is_an_integrity_error(text: str) -> None:
    with pytest.raises(IntegrityError):
        order_from_json(text)


@pytest.mark.parametrize("text", ["", "null", '{"a":1}', '[{"route":"x"}]', "[1]"])
def test_a_text_that_is_no_terms_is_an_integrity_error(text: str) -> None:
    with pytest.raises(IntegrityError):
        terms_from_json(text)
