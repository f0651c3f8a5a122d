"""Whom an image is of, in words for those who may know."""

from __future__ import annotations

from typing import Final

from dicom_node.domain.errors import InputError
from dicom_node.iod.elements import text
from dicom_node.iod.foreign import FOREIGN_ERRORS
from dicom_node.iod.parsing import parsed

__all__ = ["person"]

_SHOWN: Final = (
    ("Patient", "PatientName"),
    ("Patient ID", "PatientID"),
    ("Born", "PatientBirthDate"),
    ("Sex", "PatientSex"),
    ("Study date", "StudyDate"),
    ("Description", "StudyDescription"),
)


def person(data: bytes) -> tuple[tuple[str, str], ...]:
    """(name of a field, its value) of what a DICOM file says; what is empty is left out.

    Raises:
        InputError: It cannot be read.
    """
    try:
        ds = parsed(data, pixels=False)
        found = [(name, text(ds, keyword)) for name, keyword in _SHOWN]
    except FOREIGN_ERRORS as error:
        raise InputError(f"the data set cannot be parsed ({type(error).__name__})") from None
    return tuple((name, _readable(name, value)) for name, value in found if value)


def _readable(name: str, value: str) -> str:
    if name in ("Born", "Study date") and len(value) == 8 and value.isdecimal():
        return f"{value[:4]}-{value[4:6]}-{value[6:]}"
    return value.replace("^", " ").strip()
