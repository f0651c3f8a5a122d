"""Bodies of multipart/related, cut anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_node.domain.errors import CapacityError, InputError
from dicom_node.network.multipart import boundary_of, part_head, parts_of


def body(parts: list[bytes], boundary: str = "b") -> bytes:
    written = b"".join(part_head(boundary, "application/dicom") + part for part in parts)
    return written + f"\r\n--{boundary}--\r\n".encode()


@given(
    parts=st.lists(st.binary(max_size=40), min_size=1, max_size=3),
    preamble=st.sampled_from([b"", b"\r\n", b"hello"]),
    size=st.integers(1, 50),
)
def test_parts_are_the_same_however_the_body_is_cut(
    parts: list[bytes], preamble: bytes, size: int
) -> None:
    whole = preamble + body(parts, "a-boundary-not-drawn")
    chunks = [whole[start : start + size] for start in range(0, len(whole), size)]
    found = list(parts_of(chunks, b"a-boundary-not-drawn", bytes_at_most=40))
    assert [part.body for part in found] == parts
    assert {part.headers["content-type"] for part in found} == {"application/dicom"}


def test_a_boundary_at_the_very_beginning_and_spaces_after_it_are_read() -> None:
    text = b"--b  \r\nContent-Type: x\r\n\r\nAB\r\n--b\r\n\r\nno headers\r\n--b--"
    found = list(parts_of([text], b"b", bytes_at_most=20))
    assert [(part.headers, part.body) for part in found] == [
        ({"content-type": "x"}, b"AB"),
        ({}, b"no headers"),
    ]


@pytest.mark.parametrize("cut", [3, 20, 48])
def test_a_body_that_ends_in_the_middle_is_an_input_error(cut: int) -> None:
    with pytest.raises(InputError):
        list(parts_of([body([b"x" * 30])[:cut]], b"b", bytes_at_most=99))


def test_a_part_that_is_too_long_is_found_out_before_it_is_whole() -> None:
    def endless() -> object:
        yield part_head("b", "x")
        while True:
            yield b"y" * 100

    with pytest.raises(CapacityError):
        list(parts_of(endless(), b"b", bytes_at_most=1000))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "boundary"),
    [
        ('multipart/related; type="application/dicom"; boundary=abc', b"abc"),
        ('Multipart/Related; boundary="a b;c"; type=x', b"a b;c"),
        (f"multipart/related; boundary={'c' * 73}", b"c" * 73),
    ],
)
def test_the_boundary_is_found(text: str, boundary: bytes) -> None:
    assert boundary_of(text) == boundary


@pytest.mark.parametrize(
    "text", ["", "application/dicom", "multipart/related", "text/x; boundary=a"]
)
def test_what_names_no_boundary_is_an_input_error(text: str) -> None:
    with pytest.raises(InputError):
        boundary_of(text)
