"""Whether the object belongs to the source's patient and study, to the letter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from dicom_node.iod.elements import carried, has_value, items, texts
from dicom_node.iod.patient import REQUIRED_EMPTY, copied_tags

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

    from dicom_node.iod.reading import Source

__all__ = ["patient_problems"]


def patient_problems(ds: Dataset, source: Source) -> Iterator[str]:
    """Patient and study exactly as in the source: nothing more, nothing less, nothing else."""
    wanted = copied_tags(source.dataset)
    for tag in wanted:
        if tag not in ds or not _same(source.dataset, ds, tag):
            yield f"{_name(tag)} is not the source's"
    for tag in copied_tags(ds):
        name = _name(tag)
        if tag not in wanted and (name not in REQUIRED_EMPTY or has_value(ds, name)):
            yield f"{name} is not in the source"
    for keyword in REQUIRED_EMPTY:
        if Tag(tag_for_keyword(keyword) or 0) not in ds:
            yield f"{keyword} is missing"


def _name(tag: BaseTag) -> str:
    return keyword_for_tag(tag) or f"{tag}"


def _same(one: Dataset, other: Dataset, tag: BaseTag) -> bool:
    """Byte for byte where both are as read; by text where somebody has looked at one."""
    keyword = keyword_for_tag(tag)
    first, second = carried(one, tag), carried(other, tag)
    if first.VR == "SQ" or second.VR == "SQ":
        return _same_items(one, other, keyword)
    if isinstance(first, RawDataElement) and isinstance(second, RawDataElement):
        return (first.value or b"").rstrip(b" \0") == (second.value or b"").rstrip(b" \0")
    if keyword:
        return texts(one, keyword) == texts(other, keyword)
    return bool(one[tag].value == other[tag].value)


def _same_items(one: Dataset, other: Dataset, keyword: str) -> bool:
    ours, theirs = items(one, keyword), items(other, keyword)
    return len(ours) == len(theirs) and all(
        _tags(a) == _tags(b) and all(_same(a, b, tag) for tag in _tags(a))
        for a, b in zip(ours, theirs, strict=True)
    )


def _tags(item: Dataset) -> list[BaseTag]:
    """Of the elements that are copied: no group lengths, nothing private."""
    tags = sorted(Tag(key) for key in item.keys())  # noqa: SIM118
    return [tag for tag in tags if tag.element and not tag.is_private]
