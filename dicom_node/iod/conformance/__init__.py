"""The last look before an object is spooled: is it what it must say that it is?

General validators do not notice a synthetic image that calls itself original, or one whose source,
derivation or equipment is missing. These checks do. They compare the finished object with its
source and its provenance, read it through `elements` (so that nothing is converted by looking), and
report all problems at once by keyword, never by a patient's value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicom_node.domain.errors import IntegrityError
from dicom_node.iod.conformance.frames import frame_problems
from dicom_node.iod.conformance.image import image_problems
from dicom_node.iod.conformance.origin import origin_problems
from dicom_node.iod.conformance.patient import patient_problems
from dicom_node.iod.conformance.statements import statement_problems

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydicom.dataset import Dataset

    from dicom_node.domain.provenance import Provenance
    from dicom_node.domain.writing import Form
    from dicom_node.iod.reading import Source

__all__ = ["problems", "verify"]


def verify(
    dataset: Dataset, *, source: Source, provenances: Sequence[Provenance], form: Form
) -> None:
    """Check a finished image against its source and the provenance of each of its views.

    Raises:
        IntegrityError: With every problem found.
    """
    if form.holds_all_views:
        found = frame_problems(dataset, source, provenances)
    else:
        found = problems(dataset, source=source, provenance=provenances[0], form=form)
    if found:
        raise IntegrityError("the derived object is not fit to be sent: " + "; ".join(found))


def problems(
    dataset: Dataset, *, source: Source, provenance: Provenance, form: Form
) -> tuple[str, ...]:
    """Every problem of a finished object of one view, each with its keyword; empty when sound."""
    return (
        *statement_problems(dataset, provenance, form),
        *origin_problems(dataset, source, provenance, form, recorded=provenance.to_json()),
        *patient_problems(dataset, source),
        *image_problems(dataset, source, provenance, form),
    )
