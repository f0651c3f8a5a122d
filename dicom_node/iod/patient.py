"""Whose images they are: the patient and study of the source, copied as they stand.

A derived image that differs from its study in one letter of these is a second patient to an
archive, so nothing here is parsed, completed or encoded anew; Specific Character Set comes along
and the bytes stay what they were.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.tag import Tag

from dicom_node.domain.errors import ImageError
from dicom_node.iod.elements import carried
from dicom_node.iod.foreign import FOREIGN_ERRORS

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

__all__ = ["REQUIRED_EMPTY", "copied_tags", "copy_patient_and_study"]

_PATIENT_GROUPS: Final = (0x0010, 0x0012)
"""Patient, Patient Study and Clinical Trial Subject and Study live in these groups entirely."""

_CLINICAL_TRIAL_SERIES: Final = frozenset({0x00120060, 0x00120071, 0x00120072, 0x00120073})
"""Coordinating center and series identifiers: about the source's series, not the patient."""

_STUDY_KEYWORDS: Final = (
    "SpecificCharacterSet",
    # General Study (PS3.3 C.7.2.1)
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "IssuerOfAccessionNumberSequence",
    "ReferringPhysicianName",
    "ReferringPhysicianIdentificationSequence",
    "ConsultingPhysicianName",
    "ConsultingPhysicianIdentificationSequence",
    "StudyDescription",
    "ProcedureCodeSequence",
    "PhysiciansOfRecord",
    "PhysiciansOfRecordIdentificationSequence",
    "NameOfPhysiciansReadingStudy",
    "PhysiciansReadingStudyIdentificationSequence",
    "StudyID",
    "RequestingService",
    "RequestingServiceCodeSequence",
    "ReferencedStudySequence",
    "ReasonForPerformedProcedureCodeSequence",
    # Patient (C.7.1.1) and Patient Study (C.7.2.2) outside their group
    "ReferencedPatientSequence",
    "AdmittingDiagnosesDescription",
    "AdmittingDiagnosesCodeSequence",
    "ReasonForVisit",
    "ReasonForVisitCodeSequence",
    "AdmissionID",
    "IssuerOfAdmissionIDSequence",
    "ServiceEpisodeID",
    "ServiceEpisodeDescription",
    "IssuerOfServiceEpisodeIDSequence",
    "PatientState",
    # Says whether the dates above are the true ones (C.12.1)
    "LongitudinalTemporalInformationModified",
)

REQUIRED_EMPTY: Final = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
)
"""Type 2: present in every image, empty when unknown."""


def _tags(keywords: tuple[str, ...]) -> frozenset[int]:
    return frozenset(tag for keyword in keywords if (tag := tag_for_keyword(keyword)) is not None)


_STUDY_TAGS: Final = _tags(_STUDY_KEYWORDS)


def copied_tags(source: Dataset) -> tuple[BaseTag, ...]:
    """The tags of the source that belong to its patient and study, ascending."""
    return tuple(
        tag
        for tag in sorted(Tag(key) for key in source.keys())  # noqa: SIM118  (no conversion)
        if tag in _STUDY_TAGS
        or (tag.group in _PATIENT_GROUPS and tag.element != 0 and tag not in _CLINICAL_TRIAL_SERIES)
    )


def copy_patient_and_study(source: Dataset, target: Dataset) -> None:
    """Put the source's patient and study into a new object, byte for byte.

    Raises:
        ImageError: An element is so broken that it cannot be copied.
    """
    for tag in copied_tags(source):
        try:
            target[tag] = carried(source, tag)
        except FOREIGN_ERRORS as error:
            name = keyword_for_tag(tag) or f"{tag}"
            raise ImageError(
                f"{name} of the source is broken and cannot be copied ({type(error).__name__})"
            ) from None
    for keyword in REQUIRED_EMPTY:
        if keyword not in target:
            setattr(target, keyword, None)
