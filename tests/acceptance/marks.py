"""A patient with a mark in every attribute, and a look for it in what a node wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydicom import Dataset, Sequence
from pydicom.datadict import dictionary_VR

from tests.acceptance.radiographs import copy_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.acceptance.harness import Node

MARK = "ZQXMARK"
BIRTH = "19420317"
NUMBER = "1.234567"
ABOUT_PATIENTS = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "OtherPatientNames",
    "PatientBirthName",
    "PatientAddress",
    "PatientMotherBirthName",
    "PatientTelephoneNumbers",
    "PatientComments",
    "PatientReligiousPreference",
    "MilitaryRank",
    "EthnicGroup",
    "Occupation",
    "AdditionalPatientHistory",
    "Allergies",
    "MedicalAlerts",
    "CountryOfResidence",
    "RegionOfResidence",
    "InsurancePlanIdentification",
    "ResponsiblePerson",
    "ResponsibleOrganization",
    "AccessionNumber",
    "StudyID",
    "StudyDescription",
    "SeriesDescription",
    "ProtocolName",
    "ReferringPhysicianName",
    "PerformingPhysicianName",
    "OperatorsName",
    "NameOfPhysiciansReadingStudy",
    "PhysiciansOfRecord",
    "RequestingPhysician",
    "InstitutionName",
    "InstitutionAddress",
    "InstitutionalDepartmentName",
    "StationName",
    "DeviceSerialNumber",
    "ImageComments",
    "RequestedProcedureDescription",
    "PerformedProcedureStepDescription",
    "DerivationDescription",
    "AdmissionID",
    "CurrentPatientLocation",
    "VisitComments",
    "AcquisitionComments",
)


def marked() -> Dataset:
    """A small real radiograph whose texts all hold the mark, private ones and nested ones too."""
    dataset = copy_of("RG1_UNCR.dcm", every=8)
    for element in list(dataset):
        if element.VR in ("LO", "SH", "PN", "LT", "ST", "UT"):
            element.value = f"{MARK}^{element.tag.group:04X}"[:16]
    for number, keyword in enumerate(ABOUT_PATIENTS):
        if keyword in ("OtherPatientNames", "MedicalAlerts") or dictionary_VR(keyword) != "SQ":
            setattr(dataset, keyword, f"{MARK}{number:02d}")
    dataset.PatientBirthDate = BIRTH
    dataset.PatientAge = "081Y"
    nested = Dataset()
    nested.PatientID = f"{MARK}NESTED"
    dataset.OtherPatientIDsSequence = Sequence([nested])
    block = dataset.private_block(0x0099, f"{MARK} PRIVATE", create=True)
    block.add_new(0x01, "LT", f"{MARK} private text")
    dataset.BodyPartExamined = "CHEST"
    dataset.ViewPosition = "PA"
    return dataset


def files_of(node: Node) -> list[Path]:
    """Everything the node wrote, without spool and ledger."""
    data = node.folder / "data"
    return [
        path
        for path in sorted(data.rglob("*"))
        if path.is_file()
        and "spool" not in path.relative_to(data).parts
        and not path.name.startswith("ledger.sqlite")
    ]


def unmarked(written: Mapping[str, bytes], *more: str) -> None:
    """Nothing of it holds the mark, the date of birth, or further secrets."""
    for name, data in written.items():
        for secret in (MARK, BIRTH, *more):
            at = data.upper().find(secret.encode())
            context = data[max(0, at - 300) : at + 60]
            assert at < 0, f"{name}: {context!r}"
