"""Statements of the object about itself: fixed values, forbidden attributes, times, words."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from dicom_node.domain.writing import Form
from dicom_node.iod.conformance.tables import FIXED, FIXED_FOR_FORM, FORBIDDEN
from dicom_node.iod.elements import has_value, text, texts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset

    from dicom_node.domain.provenance import Provenance

__all__ = ["statement_problems"]


def statement_problems(ds: Dataset, provenance: Provenance, form: Form) -> Iterator[str]:
    """What is wrong with what the object says of itself."""
    for keyword, values in (FIXED | FIXED_FOR_FORM[form]).items():
        if texts(ds, keyword) != values:
            yield f"{keyword} is not {chr(92).join(values)}"
    for keyword in FORBIDDEN:
        if keyword in ds:
            yield f"{keyword} must not be there"
    if form is Form.DX and "AcquisitionContextSequence" not in ds:
        yield "AcquisitionContextSequence is missing"
    yield from _times(ds, provenance)
    yield from _words(ds, provenance)


def _times(ds: Dataset, provenance: Provenance) -> Iterator[str]:
    """Creation and content are the instant of synthesis, to the microsecond."""
    instant = datetime.fromisoformat(provenance.synthesized_at)
    zone = text(ds, "TimezoneOffsetFromUTC")
    for name in ("InstanceCreation", "Content"):
        stated = f"{text(ds, f'{name}Date')}{text(ds, f'{name}Time')}{zone}"
        try:
            same = datetime.strptime(stated, "%Y%m%d%H%M%S.%f%z") == instant
        except ValueError:
            same = False
        if not same:
            yield f"{name}Date, {name}Time and TimezoneOffsetFromUTC are not those of synthesis"


def _words(ds: Dataset, provenance: Provenance) -> Iterator[str]:
    if not text(ds, "SeriesDescription").startswith("AI SYNTHETIC"):
        yield "SeriesDescription does not begin with AI SYNTHETIC"
    if text(ds, "InstanceNumber") != f"{provenance.index + 1}":
        yield "InstanceNumber is not the position in the view set"
    if not has_value(ds, "SeriesNumber"):
        yield "SeriesNumber is empty"
    description = text(ds, "DerivationDescription")
    if not description or len(description) > 1024 or provenance.view.label not in description:
        yield "DerivationDescription does not tell the view in at most 1024 characters"
    if provenance.spacing_nominal and "NOMINAL" not in description:
        yield "DerivationDescription does not say that lengths are nominal"
