"""Attributes of a data set as their bytes say, without judging or changing them.

Data sets from the field hold values that break their VR, and pydicom quotes such values (names,
dates of birth) in its warnings. Here values are read from the raw element: nothing is validated,
nothing is quoted, an attribute that cannot be read counts as absent. `carried` copies an element
byte for byte, so text in any character set arrives as it was sent.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Final, cast

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import dictionary_has_tag, dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence as ItemSequence
from pydicom.tag import BaseTag, Tag
from pydicom.valuerep import VR

from dicom_node.domain.errors import ImageError, InputError
from dicom_node.iod.foreign import FOREIGN_ERRORS
from dicom_node.iod.parsing import parsed_sequence

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "carried",
    "has_value",
    "items",
    "number",
    "numbers",
    "text",
    "texts",
    "value_bytes",
]

_CHARSET_VRS: Final = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_TEXT_VRS: Final = _CHARSET_VRS | {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"}
_SINGLE_VRS: Final = frozenset({"LT", "ST", "UT", "UR"})
_NUMBER_FORMATS: Final = {
    "US": "H",
    "SS": "h",
    "UL": "I",
    "SL": "i",
    "FL": "f",
    "FD": "d",
    "UV": "Q",
    "SV": "q",
    "US or SS": "H",
}
_WORD_BYTES: Final = {"OW": 2, "OL": 4, "OF": 4, "OD": 8, "OV": 8, "AT": 2, "US or OW": 2}
"""Bytes of one word of the binary VRs without a number format (PS3.5 7.3)."""

_LEGIBLE_BYTES: Final = 1 << 18
"""Longest value that is read: twice the longest table (65536 entries of 16 bits), and more than any
text. What is longer would take many times as much as numbers or words."""

_CARRIED_BYTES: Final = 1 << 16
"""Longest value that is copied into derived images, of which there are many."""

_KNOWN_VRS: Final = frozenset(one.value for one in VR if len(one.value) == 2) - {"UN"}
"""What a file may say; anything else is damage, and UN says nothing."""


def _tag(keyword: str) -> BaseTag:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(f"{keyword} is no DICOM keyword")
    return Tag(tag)


def _element(ds: Dataset, keyword: str) -> DataElement | RawDataElement | None:
    return _raw(ds, _tag(keyword))


def _raw(ds: Dataset, tag: BaseTag) -> DataElement | RawDataElement | None:
    # Without keep_deferred pydicom converts an empty element, and chokes on a damaged one.
    found = ds.get_item(tag, keep_deferred=True)
    return cast("DataElement | RawDataElement | None", found)


def _vr_of(raw: RawDataElement) -> str:
    """The VR a raw element is to be read with: its own where it has one, else the dictionary's."""
    if raw.VR in _KNOWN_VRS:
        return str(raw.VR)
    return dictionary_VR(raw.tag) if dictionary_has_tag(raw.tag) else "UN"


def value_bytes(ds: Dataset, keyword: str) -> bytes | None:
    """The value as it stands in the file; None when absent or no longer raw."""
    element = _element(ds, keyword)
    if isinstance(element, RawDataElement):
        return element.value or b""
    if element is not None and isinstance(element.value, bytes):
        return element.value
    return None


def _encodings(ds: Dataset) -> list[str]:
    names = texts(ds, "SpecificCharacterSet")
    try:
        return list(convert_encodings(list(names) or ["ISO_IR 6"]))
    except FOREIGN_ERRORS:
        return ["iso8859"]


def texts(ds: Dataset, keyword: str, *, parent: Dataset | None = None) -> tuple[str, ...]:
    """All values of an attribute as text, without padding; empty when absent or unreadable.

    Args:
        ds: The data set or sequence item.
        keyword: A DICOM keyword; sequences have no text.
        parent: For an item: the data set whose Specific Character Set holds for it.
    """
    element = _element(ds, keyword)
    if element is None:
        return ()
    if not isinstance(element, RawDataElement):
        value = element.value
        if value is None or isinstance(value, ItemSequence | bytes):
            return ()
        values = list(value) if isinstance(value, MultiValue | list) else [value]
        return _trimmed(str(one) for one in values)
    vr = _vr_of(element)
    data = element.value or b""
    if len(data) > _LEGIBLE_BYTES:
        return ()
    if vr in _NUMBER_FORMATS:
        size = struct.calcsize(_NUMBER_FORMATS[vr])
        count = len(data) // size
        order = "<" if element.is_little_endian else ">"
        found = struct.unpack(f"{order}{count}{_NUMBER_FORMATS[vr]}", data[: count * size])
        return tuple(f"{one}" for one in found)
    if vr not in _TEXT_VRS:
        return ()
    if vr in _CHARSET_VRS:
        try:
            joined = decode_bytes(data, _encodings(parent or ds), {0x5C, 0x5E, 0x3D})
        except FOREIGN_ERRORS:
            joined = data.decode("latin-1")
    else:
        joined = data.decode("latin-1")
    return _trimmed([joined] if vr in _SINGLE_VRS else joined.split("\\"))


def _trimmed(values: Iterable[str]) -> tuple[str, ...]:
    found = tuple(value.strip(" \0\r\n\t") for value in values)
    return found if any(found) else ()


def text(ds: Dataset, keyword: str, *, parent: Dataset | None = None) -> str:
    """The first value as text; empty when absent."""
    found = texts(ds, keyword, parent=parent)
    return found[0] if found else ""


def numbers(ds: Dataset, keyword: str) -> tuple[float, ...]:
    """All values as numbers; empty when absent or when any of them is no finite number."""
    try:
        found = tuple(float(value) for value in texts(ds, keyword))
    except ValueError:
        return ()
    return found if all(map(math.isfinite, found)) else ()


def number(ds: Dataset, keyword: str) -> float | None:
    """The first value as a number; None when absent or not a number."""
    found = numbers(ds, keyword)
    return found[0] if found else None


def has_value(ds: Dataset, keyword: str) -> bool:
    """Whether the attribute is there and not empty."""
    element = _element(ds, keyword)
    if element is None:
        return False
    if isinstance(element, RawDataElement):
        return bool((element.value or b"").strip(b" \0"))
    return not element.is_empty


def items(ds: Dataset, keyword: str) -> tuple[Dataset, ...]:
    """The items of a sequence; empty when absent or when its bytes are no sequence.

    Raises:
        InputError: It holds more than any image does.
    """
    return tuple(_sequence(ds, _tag(keyword)))


def _sequence(ds: Dataset, tag: BaseTag) -> Iterable[Dataset]:
    element = _raw(ds, tag)
    try:
        if isinstance(element, RawDataElement) and _vr_of(element) == "SQ":
            encoding = ds.original_character_set or "iso8859"
            # Kept in place of its bytes, as the library does when it converts an element.
            ds[tag] = DataElement(tag, "SQ", parsed_sequence(element, cast("list[str]", encoding)))
        value = ds[tag].value if element is not None else None
    except InputError:
        raise
    except FOREIGN_ERRORS:
        return ()
    return value if isinstance(value, ItemSequence) else ()


def carried(ds: Dataset, tag: BaseTag) -> DataElement | RawDataElement:
    """A copy of an element for an Explicit VR Little Endian data set, its text byte for byte.

    Sequences are copied item by item; binary values are turned to little endian. The copy stays
    raw, so that pydicom writes the bytes it was given instead of decoding and encoding them.

    Raises:
        ImageError: It is longer than what goes into an image.
    """
    element = _raw(ds, tag)
    if element is None:
        raise KeyError(f"the data set has no {tag}")
    vr = _vr_of(element) if isinstance(element, RawDataElement) else str(element.VR)
    if vr == "SQ":
        copies = [_carried_item(item) for item in _sequence(ds, tag)]
        return DataElement(tag, "SQ", ItemSequence(copies))
    if not isinstance(element, RawDataElement):
        return DataElement(tag, vr, element.value)
    data = element.value or b""
    if len(data) > _CARRIED_BYTES:
        raise ImageError(f"{tag} has {len(data)} bytes: no more than {_CARRIED_BYTES} are copied")
    if not element.is_little_endian and vr not in _TEXT_VRS:
        data = _swapped(data, vr)
    if len(data) % 2:
        data += b"\0" if vr in {"UI", "OB", "UN"} else b" "
    if " or " in vr:  # the ambiguity does not matter for the bytes; unsigned is the usual reading
        vr = "US"
    return element._replace(
        VR=vr, value=data, length=len(data), is_implicit_VR=False, is_little_endian=True
    )


def _carried_item(item: Dataset) -> Dataset:
    copy = Dataset()
    for tag in item.keys():  # noqa: SIM118  (iterating a Dataset converts its raw elements)
        if tag.element != 0 and not tag.is_private:
            copy[tag] = carried(item, tag)
    return copy


def _swapped(data: bytes, vr: str) -> bytes:
    size = struct.calcsize(_NUMBER_FORMATS[vr]) if vr in _NUMBER_FORMATS else _WORD_BYTES.get(vr, 1)
    if size == 1:
        return data
    return b"".join(data[at : at + size][::-1] for at in range(0, len(data), size))
