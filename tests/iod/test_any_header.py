"""Whatever bytes an attribute has, reading it gives a header, and the header a decision."""

from __future__ import annotations

import dataclasses
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.datadict import tag_for_keyword
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pydicom.valuerep import VR

from dicom_node.domain.errors import ImageError, InputError
from dicom_node.domain.header import ROUTING_KEYWORDS
from dicom_node.domain.routes import Accept, Ignore, Quarantine
from dicom_node.domain.rules import AllOf, AnyOf, Matches, Present, Range, decide
from dicom_node.iod.reading import read_header, read_source
from tests.domain.test_any_header import ROUTE, predicates
from tests.iod.objects import file_of, radiograph

LONG = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
"""VRs with a length of four bytes (PS3.5 7.1.2)."""

ASKED = tuple(
    (keyword, tag)
    for keyword in (*ROUTING_KEYWORDS, "SpecificCharacterSet", "AnatomicRegionSequence")
    if (tag := tag_for_keyword(keyword)) is not None and tag >> 16 != 2
)
LOOKED_AT = (
    *ASKED,
    *(
        (keyword, tag_for_keyword(keyword) or 0)
        for keyword in (
            "BitsAllocated",
            "HighBit",
            "ImagerPixelSpacing",
            "LossyImageCompressionRatio",
            "ModalityLUTSequence",
            "PatientName",
            "PixelAspectRatio",
            "PixelIntensityRelationship",
            "PixelPaddingValue",
            "PixelRepresentation",
            "RescaleIntercept",
            "RescaleSlope",
            "SamplesPerPixel",
            "ShutterShape",
            "CircularShutter",
            "VOILUTSequence",
            "WindowCenter",
            "WindowWidth",
        )
    ),
)

vrs = st.sampled_from([one.value for one in VR if len(one.value) == 2] + ["XX", "??", "\0\0"])
values = st.one_of(
    st.binary(max_size=24),
    st.sampled_from(
        (
            b"",
            b"\\",
            b"YES",
            b"CHEST\\\\",
            b"nan",
            b"1e999\\-inf",
            b"\0\0\0\0",
            b"\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x1b$B\x1b(J\x1b",
            b"ISO_IR 192",
            b"ISO 2022 IR 87\\ISO 2022 IR 6",
            b"nothing\\\\nothing",
            b"\xfe\xff\x00\xe0\xff\xff\xff\xff",
            b"\xed\xa0\x80",
            b"line\nfeed\r\x1b[31m",
        )
    ),
)
elements = st.tuples(st.sampled_from(ASKED), vrs, values)
looked_at = st.tuples(st.sampled_from(LOOKED_AT), vrs, values)

PLAIN = dict.fromkeys((ExplicitVRLittleEndian, ImplicitVRLittleEndian), b"")
for _syntax in PLAIN:
    _ds = radiograph()
    _ds.file_meta.TransferSyntaxUID = _syntax
    PLAIN[_syntax] = file_of(_ds)


def encoded(tag: int, vr: str, value: bytes, *, explicit: bool) -> bytes:
    value += b" " * (len(value) % 2)
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    if not explicit:
        return head + struct.pack("<I", len(value)) + value
    if vr in LONG:
        return head + vr.encode() + b"\0\0" + struct.pack("<I", len(value)) + value
    return head + vr.encode() + struct.pack("<H", len(value)) + value


def altered(
    syntax: str, changes: list[tuple[tuple[str, int], str, bytes]], *, keep: bool = False
) -> bytes:
    """A radiograph whose attributes were replaced by other bytes."""
    explicit = syntax == ExplicitVRLittleEndian
    plain = PLAIN[syntax]  # type: ignore[index]
    at = 144 + int.from_bytes(plain[140:144], "little")
    found: list[tuple[int, bytes]] = []
    body = plain[at:]
    while body:
        group, element = struct.unpack("<HH", body[:4])
        vr = body[4:6].decode("latin-1") if explicit else ""
        if explicit and vr not in LONG:
            length = 8 + struct.unpack("<H", body[6:8])[0]
        else:
            start = 8 if explicit else 4
            length = start + 4 + struct.unpack("<I", body[start : start + 4])[0]
        found.append((group << 16 | element, body[:length]))
        body = body[length:]
    new = {tag: encoded(tag, vr, value, explicit=explicit) for (_, tag), vr, value in changes}
    if keep:  # without these it is no object at all
        for tag in (0x00080016, 0x00080018):
            new.pop(tag, None)
    merged = {**dict(found), **new}
    return plain[:at] + b"".join(merged[tag] for tag in sorted(merged))


@given(
    syntax=st.sampled_from(tuple(PLAIN)),
    changes=st.lists(elements, max_size=6),
    asked=st.lists(predicates, max_size=2),
)
@settings(max_examples=150, deadline=None, derandomize=True)
@pytest.mark.filterwarnings("ignore")
def test_any_bytes_are_a_header_with_a_decision_or_are_told_to_the_sender(
    syntax: str, changes: list[tuple[tuple[str, int], str, bytes]], asked: list[AnyOf]
) -> None:
    """The sender keeps what it was refused with 0xC000; nothing else may come out of it."""
    try:
        header = read_header(altered(syntax, changes), calling_ae_title="CT1")
    except InputError as error:
        assert str(error)
        return
    everything = AllOf(
        parts=tuple(
            term
            for keyword in ROUTING_KEYWORDS
            for term in (
                Present(attribute=keyword, present=True),
                Matches(attribute=keyword, matches="^[A-Z]+$"),
            )
        )
    )
    number = Range(attribute="BitsStored", at_least=8.0)
    for predicate in (everything, number, *asked):
        decision = decide([dataclasses.replace(ROUTE, when=predicate)], header)
        assert isinstance(decision, Accept | Ignore | Quarantine)
        assert decision.reason


@given(syntax=st.sampled_from(tuple(PLAIN)), changes=st.lists(looked_at, max_size=5))
@settings(max_examples=60, deadline=None, derandomize=True)
@pytest.mark.filterwarnings("ignore")
def test_any_bytes_are_a_source_or_an_image_error(
    syntax: str, changes: list[tuple[tuple[str, int], str, bytes]]
) -> None:
    try:
        source = read_source(altered(syntax, changes, keep=True))
    except (ImageError, InputError) as error:
        assert str(error)
        return
    assert source.radiograph.pixels.size
