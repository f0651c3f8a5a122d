"""Where the object says it comes from: identifiers, source, derivation, devices, provenance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicom_node import MANUFACTURER, PRODUCT
from dicom_node.iod.codes import (
    ACQUISITION_EQUIPMENT,
    ARTIFICIAL_INTELLIGENCE,
    PROCESSING_EQUIPMENT,
    SOURCE_IMAGE,
    SYNTHESIZING_EQUIPMENT,
)
from dicom_node.iod.derived import PRIVATE_GROUP, PROVENANCE_ELEMENT, SOP_CLASS
from dicom_node.iod.elements import items, text
from dicom_node.iod.equipment import ascii_text, model_uid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset
    from pydicom.sr.coding import Code

    from dicom_node.domain.provenance import Provenance
    from dicom_node.domain.writing import Form
    from dicom_node.iod.reading import Source

__all__ = [
    "equipment_problems",
    "is_code",
    "origin_problems",
    "recorded_problems",
    "uid_problems",
]

_OWN_UIDS = ("SOPInstanceUID", "SeriesInstanceUID", "DeviceUID")


def origin_problems(
    ds: Dataset, source: Source, provenance: Provenance, form: Form, *, recorded: str
) -> Iterator[str]:
    """What is wrong with the object's account of its origin.

    Args:
        ds: The object.
        source: Of it.
        provenance: Of its first view.
        form: Of it.
        recorded: What the private block must hold.
    """
    yield from uid_problems(ds, source, SOP_CLASS[form])
    yield from _source(ds, source, provenance)
    yield from equipment_problems(ds, provenance)
    yield from recorded_problems(ds, source, provenance, recorded)


def is_code(item: Dataset, code: Code) -> bool:
    """Whether a code sequence item is this concept."""
    return (
        text(item, "CodeValue") == code.value
        and text(item, "CodingSchemeDesignator") == code.scheme_designator
    )


def _is_uid(value: str) -> bool:
    """PS3.5 9.1: digits and dots, at most 64, no component with a leading zero."""
    return len(value) <= 64 and all(
        part.isascii() and part.isdigit() and (part == "0" or part[0] != "0")
        for part in value.split(".")
    )


def uid_problems(ds: Dataset, source: Source, sop_class_uid: str) -> Iterator[str]:
    """What is wrong with the object's identifiers."""
    if text(ds, "SOPClassUID") != sop_class_uid:
        yield "SOPClassUID is not that of its form"
    own = [text(ds, keyword) for keyword in _OWN_UIDS]
    for keyword, value in zip(_OWN_UIDS, own, strict=True):
        if not value.startswith("2.25.") or not _is_uid(value):
            yield f"{keyword} is no valid UID below 2.25"
        if value and value == text(source.dataset, keyword):
            yield f"{keyword} is the source's"
    if len(set(own)) != len(own):
        yield "SOPInstanceUID, SeriesInstanceUID and DeviceUID are not different"
    meta = getattr(ds, "file_meta", None)
    if meta is None or any(
        text(meta, f"MediaStorage{keyword}") != text(ds, keyword)
        for keyword in ("SOPClassUID", "SOPInstanceUID")
    ):
        yield "the file meta (MediaStorageSOPInstanceUID) names another object"


def _purpose_is(item: Dataset, code: Code) -> bool:
    purposes = items(item, "PurposeOfReferenceCodeSequence")
    return len(purposes) == 1 and is_code(purposes[0], code)


def _source(ds: Dataset, source: Source, provenance: Provenance) -> Iterator[str]:
    def names_source(item: Dataset) -> bool:
        return (
            text(item, "ReferencedSOPClassUID") == provenance.source_sop_class_uid
            and text(item, "ReferencedSOPInstanceUID") == provenance.source_sop_instance_uid
        )

    sources = items(ds, "SourceImageSequence")
    if len(sources) != 1 or not names_source(sources[0]):
        yield "SourceImageSequence does not name the source"
    for item in sources:
        if not _purpose_is(item, SOURCE_IMAGE):
            yield "SourceImageSequence has another purpose of reference"
        if text(item, "SpatialLocationsPreserved") != "NO":
            yield "SourceImageSequence does not say SpatialLocationsPreserved NO"
    if not any(
        is_code(item, ARTIFICIAL_INTELLIGENCE) for item in items(ds, "DerivationCodeSequence")
    ):
        yield "DerivationCodeSequence does not say artificial intelligence"
    groups = items(ds, "ReferencedSeriesSequence")
    instances = [one for group in groups for one in items(group, "ReferencedInstanceSequence")]
    if (
        len(groups) != 1
        or text(groups[0], "SeriesInstanceUID") != text(source.dataset, "SeriesInstanceUID")
        or len(instances) != 1
        or not names_source(instances[0])
    ):
        yield "ReferencedSeriesSequence does not name the source"


def equipment_problems(ds: Dataset, provenance: Provenance) -> Iterator[str]:
    """What is wrong with the devices that are named."""
    contributions = items(ds, "ContributingEquipmentSequence")
    acquisition = [item for item in contributions if _purpose_is(item, ACQUISITION_EQUIPMENT)]
    if len(acquisition) != 1 or not text(acquisition[0], "Manufacturer", parent=ds):
        yield "ContributingEquipmentSequence does not name the source's device"
    if any("DeviceSerialNumber" in item or "DetectorID" in item for item in contributions):
        yield "ContributingEquipmentSequence holds a serial number"
    devices = (
        (PRODUCT, text(ds, "DeviceUID")),
        (ascii_text(provenance.model.name), model_uid(provenance.model.digest)),
    )
    for purpose in (SYNTHESIZING_EQUIPMENT, PROCESSING_EQUIPMENT):
        for name, uid in devices:
            if not any(
                _purpose_is(item, purpose) and _is_device(item, name, uid) for item in contributions
            ):
                yield f"ContributingEquipmentSequence does not name {name} as {purpose.meaning}"


def _is_device(item: Dataset, name: str, uid: str) -> bool:
    return (
        text(item, "Manufacturer") == MANUFACTURER
        and text(item, "ManufacturerModelName") == name
        and text(item, "DeviceUID") == uid
        and all(
            text(item, keyword)
            for keyword in ("SoftwareVersions", "ContributionDateTime", "ContributionDescription")
        )
    )


def recorded_problems(
    ds: Dataset, source: Source, provenance: Provenance, recorded: str
) -> Iterator[str]:
    """What is wrong with the provenance that is kept in the object."""
    creator = _private_text(ds, 0x0010)
    stored = _private_text(ds, 0x1000 + PROVENANCE_ELEMENT)
    if creator != PRODUCT or stored != recorded:
        yield "the private block does not hold the provenance"
    if (
        provenance.source_sop_class_uid != text(source.dataset, "SOPClassUID")
        or provenance.source_sop_instance_uid != text(source.dataset, "SOPInstanceUID")
        or not provenance.source_digest
    ):
        yield "the provenance is about another source"


def _private_text(ds: Dataset, element: int) -> str:
    value = getattr(ds.get_item((PRIVATE_GROUP, element)), "value", None)
    joined = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value or "")
    return joined.rstrip(" \0")
