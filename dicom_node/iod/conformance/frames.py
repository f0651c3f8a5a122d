"""Whether an object that holds all views of a job says of each frame what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicom_node.domain.writing import Form
from dicom_node.iod.conformance.image import common_problems, pixel_problems
from dicom_node.iod.conformance.origin import origin_problems
from dicom_node.iod.conformance.patient import patient_problems
from dicom_node.iod.conformance.statements import statement_problems
from dicom_node.iod.conformance.tables import ANGLE_TOLERANCE_DEG, ONE_VIEW_ONLY
from dicom_node.iod.elements import has_value, number, numbers, texts
from dicom_node.iod.multiframe import POINTERS, provenance_json, upright

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydicom.dataset import Dataset

    from dicom_node.domain.provenance import Provenance
    from dicom_node.iod.reading import Source

__all__ = ["frame_problems"]


def frame_problems(
    ds: Dataset, source: Source, provenances: Sequence[Provenance]
) -> tuple[str, ...]:
    """Every problem of a finished multi-frame object; empty when sound."""
    form, first = Form.MULTIFRAME, provenances[0]
    return (
        *statement_problems(ds, first, form),
        *origin_problems(ds, source, first, form, recorded=provenance_json(provenances)),
        *patient_problems(ds, source),
        *common_problems(ds, source, upright(source.grey), form, nominal=first.spacing_nominal),
        *pixel_problems(ds, source, provenances),
        *_vectors(ds, provenances),
    )


def _vectors(ds: Dataset, provenances: Sequence[Provenance]) -> Iterator[str]:
    views = [provenance.view for provenance in provenances]
    if number(ds, "NumberOfFrames") != len(views):
        yield "NumberOfFrames is not the number of views"
    for keyword in POINTERS:
        if not has_value(ds, keyword):
            yield f"{keyword}, which FrameIncrementPointer names, is missing"
    if len(ds.get("FrameIncrementPointer") or ()) != len(POINTERS):
        yield "FrameIncrementPointer does not name the vectors"
    if texts(ds, "FrameLabelVector") != tuple(view.label for view in views):
        yield "FrameLabelVector does not name the views"
    for keyword, angles in (
        ("FramePrimaryAngleVector", [view.primary_deg for view in views]),
        ("FrameSecondaryAngleVector", [view.secondary_deg for view in views]),
    ):
        stated = numbers(ds, keyword)
        if len(stated) != len(angles) or any(
            abs(one - other) > ANGLE_TOLERANCE_DEG
            for one, other in zip(stated, angles, strict=False)
        ):
            yield f"{keyword} is not that of the views"
    for keyword in ONE_VIEW_ONLY:
        if has_value(ds, keyword):
            yield f"{keyword} speaks of one view and the object holds many"
