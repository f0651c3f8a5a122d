"""Whether a document says of its images what they say of themselves, and refers to all of them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from dicom_node import MANUFACTURER
from dicom_node.domain.errors import IntegrityError
from dicom_node.domain.writing import Document
from dicom_node.iod.banner import MARK, view_words
from dicom_node.iod.conformance.origin import equipment_problems, recorded_problems, uid_problems
from dicom_node.iod.conformance.patient import patient_problems
from dicom_node.iod.elements import items, text, texts
from dicom_node.iod.equipment import ascii_text
from dicom_node.iod.orientation import side_letters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset

    from dicom_node.domain.provenance import Provenance
    from dicom_node.iod.referring import Account

__all__ = ["CLASSES", "document_problems", "verify_document"]

CLASSES: Final = {
    Document.PRESENTATION_STATE: ("1.2.840.10008.5.1.4.1.1.11.1", "PR"),
    Document.REPORT: ("1.2.840.10008.5.1.4.1.1.88.34", "SR"),
    Document.KEY_OBJECTS: ("1.2.840.10008.5.1.4.1.1.88.59", "KO"),
}
"""SOP Class and Modality of each document."""

_ALGORITHM_NAME: Final = ("111001", "DCM")
_ALGORITHM_VERSION: Final = ("111003", "DCM")
_ALGORITHM_MANUFACTURER: Final = ("122405", "DCM")
_ALGORITHM_PARAMETERS: Final = ("111002", "DCM")


def verify_document(dataset: Dataset, *, document: Document, account: Account) -> None:
    """Check a finished document against what it was made from.

    Raises:
        IntegrityError: With every problem found.
    """
    found = document_problems(dataset, document=document, account=account)
    if found:
        raise IntegrityError(f"the {document} is not fit to be sent: " + "; ".join(found))


def document_problems(dataset: Dataset, *, document: Document, account: Account) -> tuple[str, ...]:
    """Every problem of a finished document; empty when sound."""
    sop_class, modality = CLASSES[document]
    first = account.provenances[0]
    found = [
        *uid_problems(dataset, account.source, sop_class),
        *equipment_problems(dataset, first),
        *recorded_problems(dataset, account.source, first, account.recorded),
        *patient_problems(dataset, account.source),
        *_statements(dataset, modality, first),
        *_references(dataset, document, account),
    ]
    if document is Document.PRESENTATION_STATE:
        found += _annotations(dataset, account)
    elif document is Document.REPORT:
        found += _algorithms(dataset, account)
    return tuple(found)


def _statements(ds: Dataset, modality: str, provenance: Provenance) -> Iterator[str]:
    if text(ds, "Modality") != modality:
        yield f"Modality is not {modality}"
    if not text(ds, "SeriesDescription").startswith("AI SYNTHETIC"):
        yield "SeriesDescription does not begin with AI SYNTHETIC"
    instant = datetime.fromisoformat(provenance.synthesized_at)
    stated = (
        text(ds, "InstanceCreationDate")
        + text(ds, "InstanceCreationTime")
        + text(ds, "TimezoneOffsetFromUTC")
    )
    try:
        same = datetime.strptime(stated, "%Y%m%d%H%M%S.%f%z") == instant
    except ValueError:
        same = False
    if not same:
        yield "InstanceCreationDate and Time are not those of synthesis"


def _references(ds: Dataset, document: Document, account: Account) -> Iterator[str]:
    """Every image by class, instance and series, and in SR and KO nothing that is not there."""
    wanted = {_name_of(stub) for stub in account.stubs}
    if document is Document.PRESENTATION_STATE:
        found = {
            (
                text(series, "SeriesInstanceUID"),
                text(one, "ReferencedSOPClassUID"),
                text(one, "ReferencedSOPInstanceUID"),
            )
            for series in items(ds, "ReferencedSeriesSequence")
            for one in items(series, "ReferencedImageSequence")
        }
    else:
        found = {
            (
                text(series, "SeriesInstanceUID"),
                text(one, "ReferencedSOPClassUID"),
                text(one, "ReferencedSOPInstanceUID"),
            )
            for study in items(ds, "CurrentRequestedProcedureEvidenceSequence")
            for series in items(study, "ReferencedSeriesSequence")
            for one in items(series, "ReferencedSOPSequence")
        }
    if document is Document.REPORT:
        wanted.add(_name_of(account.source.dataset))
    if found != wanted:
        yield "the references are not those of the images"


def _name_of(ds: Dataset) -> tuple[str, str, str]:
    return text(ds, "SeriesInstanceUID"), text(ds, "SOPClassUID"), text(ds, "SOPInstanceUID")


def _annotations(ds: Dataset, account: Account) -> Iterator[str]:
    """Mark, view and sides on every image, and on the right one."""
    told = {}
    for annotation in items(ds, "GraphicAnnotationSequence"):
        words = tuple(
            text(one, "UnformattedTextValue") for one in items(annotation, "TextObjectSequence")
        )
        for one in items(annotation, "ReferencedImageSequence"):
            frame = text(one, "ReferencedFrameNumber")
            told[text(one, "ReferencedSOPInstanceUID"), frame] = words
    wanted = {
        (text(image.stub, "SOPInstanceUID"), "" if frame is None else f"{frame}"): (
            MARK,
            view_words(provenance.view),
            *side_letters(provenance.view),
        )
        for image in account.images
        for frame, provenance in image.views()
    }
    if told != wanted:
        yield "GraphicAnnotationSequence does not tell mark, view and sides of every image"


def _algorithms(ds: Dataset, account: Account) -> Iterator[str]:
    """One algorithm a view, equal to what the images' Contributing Equipment says."""
    groups = list(_groups(ds))
    if len(groups) != len(account.provenances):
        yield "ContentSequence has not one measurement group a view"
        return
    for group, provenance in zip(groups, account.provenances, strict=True):
        model = provenance.model
        told = [
            (_concept(item), text(item, "TextValue"))
            for item in items(group, "ContentSequence")
            if text(item, "ValueType") == "TEXT"
        ]
        for wanted in (
            (_ALGORITHM_NAME, ascii_text(model.name)),
            (_ALGORITHM_VERSION, ascii_text(model.version)),
            (_ALGORITHM_MANUFACTURER, MANUFACTURER),
            (_ALGORITHM_PARAMETERS, f"weights sha256 {ascii_text(model.digest)}"),
        ):
            if wanted not in told:
                yield "the algorithm is not the model in ContributingEquipmentSequence"
                return


def _groups(ds: Dataset) -> Iterator[Dataset]:
    for item in items(ds, "ContentSequence"):
        if _concept(item) == ("126010", "DCM"):
            yield from items(item, "ContentSequence")


def _concept(item: Dataset) -> tuple[str, str]:
    names = items(item, "ConceptNameCodeSequence")
    if not names:
        return "", ""
    return text(names[0], "CodeValue"), texts(names[0], "CodingSchemeDesignator")[0]
