"""Identifiers that follow from content."""

from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_node.domain.identifiers import (
    NAMESPACE,
    canonical_json,
    derived_uid,
    digest_of,
    job_key,
)

PARTS = {
    "route_digest": "r",
    "views_digest": "v",
    "weights_digest": "w",
    "seed_policy": "s",
}
texts = st.text(max_size=20)


def test_canonical_json_has_sorted_keys_and_no_spaces() -> None:
    assert canonical_json({"b": [1, None, 2.5], "a": "x"}) == '{"a":"x","b":[1,null,2.5]}'


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_canonical_json_has_no_word_for_what_is_not_a_number(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json([value])


def test_a_digest_is_the_sha256_of_the_canonical_json() -> None:
    # printf '{"a":1}' | sha256sum
    expected = "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"
    assert digest_of({"a": 1}) == expected


@given(sources=st.lists(texts, min_size=1, max_size=4))
def test_the_order_in_which_sources_arrive_does_not_change_the_key(sources: list[str]) -> None:
    forward = job_key(source_digests=sources, **PARTS)
    assert forward == job_key(source_digests=reversed(sources), **PARTS)
    assert re.fullmatch("[0-9a-f]{64}", forward)


@pytest.mark.parametrize("part", [*PARTS, "source_digests"])
def test_every_part_of_the_work_is_in_the_key(part: str) -> None:
    whole = {**PARTS, "source_digests": ["a"]}
    other = {**whole, part: ["b"] if part == "source_digests" else "other"}
    assert job_key(**whole) != job_key(**other)  # type: ignore[arg-type]


def test_parts_do_not_run_into_each_other() -> None:
    one = job_key(**{**PARTS, "route_digest": "ab", "views_digest": "c"}, source_digests=["x"])
    two = job_key(**{**PARTS, "route_digest": "a", "views_digest": "bc"}, source_digests=["x"])
    assert one != two


@given(key=texts, form=texts, what=texts)
def test_a_derived_uid_is_one_of_the_standard(key: str, form: str, what: str) -> None:
    """PS3.5 9.1 and B.2: components of digits without leading zeros, 64 characters at most."""
    uid = derived_uid(key, form, what)
    assert len(uid) <= 64
    assert re.fullmatch(r"2\.25\.(0|[1-9][0-9]*)", uid)


def test_a_derived_uid_is_a_version_5_uuid_as_rfc_4122_makes_it() -> None:
    raw = bytearray(hashlib.sha1(NAMESPACE.bytes + b"key/dx/instance 3").digest()[:16])
    raw[6] = raw[6] & 0x0F | 0x50
    raw[8] = raw[8] & 0x3F | 0x80
    assert derived_uid("key", "dx", "instance 3") == f"2.25.{int.from_bytes(raw, 'big')}"


def test_the_namespace_never_changes() -> None:
    """Another one would give old work new UIDs, and archives a second copy of it."""
    assert str(NAMESPACE) == "6d0f6d8e-2f5c-5f0e-9b57-0d3a2a1f7c11"


def test_uids_differ_in_everything_they_follow_from() -> None:
    uids = {
        derived_uid(key, form, what)
        for key in ("k", "l")
        for form in ("dx", "dx-plain", "sc")
        for what in ("series", "instance 0", "instance 1", "instance 10")
    }
    assert len(uids) == 24
