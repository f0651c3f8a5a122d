"""Presentation state, report and key object selection: clean, complete, and of one voice with the
images they go with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from dicom_node import MANUFACTURER, PRODUCT
from dicom_node.domain.errors import IntegrityError
from dicom_node.domain.writing import Document
from dicom_node.iod.banner import MARK, banner_rows, view_words
from dicom_node.iod.conformance.documents import CLASSES, verify_document
from dicom_node.iod.derived import SeriesIdentity, encode
from dicom_node.iod.documents import BUILDERS
from dicom_node.iod.orientation import side_letters
from dicom_node.iod.referring import Account, Written, stub
from synthesis.types import View
from tests.iod.objects import AT, build, build_all, dciodvfy, radiograph, read
from tests.iod.test_patient import NAMES
from tests.iod.test_validator import ALLOWED_WARNINGS

VIEWS = tuple(View(primary_deg=p) for p in (-90.0, -30.0, 30.0))
SERIES = SeriesIdentity(series_instance_uid="2.25.999", series_number=9005, device_uid="2.25.222")
ALLOWED = (
    *ALLOWED_WARNINGS,
    "Unrecognized defined term <99DICOMNODE>",  # a private scheme, named in the document itself
    "is only permitted to be empty when actually unknown",  # Laterality; absent is an error to it
)
DOCUMENTS = pytest.mark.parametrize("document", list(Document))
WAYS = pytest.mark.parametrize("all_in_one", [False, True], ids=["single", "multiframe"])


@lru_cache
def account(*, all_in_one: bool = False, **attributes: str) -> Account:
    """Three views, in three objects or in one."""
    source = read(**attributes)
    images = []
    if all_in_one:
        made, provenances = build_all(source, VIEWS, banner=False)
        images.append(Written(stub=stub(made), provenances=provenances))
    else:
        for index, view in enumerate(VIEWS):
            made, one = build(source, view, banner=False, index=index)
            made.SOPInstanceUID = f"2.25.{100 + index}"
            scored = replace(one, consistency=0.5, consistency_percentile=97.0, spread=0.01)
            images.append(Written(stub=stub(made), provenances=(scored,)))
    return Account(
        source=source,
        images=tuple(images),
        series=SERIES,
        sop_instance_uid="2.25.998",
        synthesized_at=AT,
    )


@DOCUMENTS
@WAYS
def test_the_validator_finds_nothing_wrong(
    document: Document, all_in_one: bool, tmp_path: Path
) -> None:
    told = account(all_in_one=all_in_one)
    ds = BUILDERS[document](told)
    verify_document(ds, document=document, account=told)
    data = encode(ds)
    lines = dciodvfy(data, tmp_path, iod="")
    assert any(kind in line for line in lines for kind in ("Presentation", "SR", "KeyObject"))
    assert [
        line
        for line in lines
        if line.startswith(("Error", "Warning")) and not any(known in line for known in ALLOWED)
    ] == []
    assert encode(BUILDERS[document](told)) == data  # a second run makes the same file


@DOCUMENTS
def test_a_document_is_in_the_study_of_its_source_to_the_letter(document: Document) -> None:
    for language in ("latin", "russian", "japanese"):
        charset, name, _ = NAMES[language]
        told = account.__wrapped__(SpecificCharacterSet=charset, PatientName=name)
        back = dcmread(BytesIO(encode(BUILDERS[document](told))))
        own = radiograph(SpecificCharacterSet=charset, PatientName=name)
        assert back.PatientName == own.PatientName, language
        assert (back.StudyInstanceUID, back.AccessionNumber) == (own.StudyInstanceUID, "A77")
        assert (back.SOPClassUID, back.Modality) == CLASSES[document]
        assert back.SeriesDescription.startswith("AI SYNTHETIC")
        assert back.file_meta.MediaStorageSOPInstanceUID == "2.25.998"


@WAYS
def test_mark_and_view_stand_beside_every_image_and_never_on_it(all_in_one: bool) -> None:
    told = account(all_in_one=all_in_one)
    ds = BUILDERS[Document.PRESENTATION_STATE](told)
    words, places = [], set()
    for annotation in ds.GraphicAnnotationSequence:
        texts = annotation.TextObjectSequence
        words.append([one.UnformattedTextValue for one in texts])
        for one in texts:
            assert one.BoundingBoxAnnotationUnits == "DISPLAY"
            places.add(round(float(one.BoundingBoxTopLeftHandCorner[1]), 6))
    assert words == [[MARK, view_words(view), *side_letters(view)] for view in VIEWS]
    (area,) = ds.DisplayedAreaSelectionSequence
    strip = banner_rows(64, 64)
    assert list(area.DisplayedAreaTopLeftHandCorner) == [1, 1]
    assert list(area.DisplayedAreaBottomRightHandCorner) == [64, 64 + 2 * strip]
    # All text begins below the last row of the image.
    assert min(places) == pytest.approx(64 / (64 + 2 * strip), abs=1e-6)
    if all_in_one:
        frames = [
            one.ReferencedFrameNumber
            for annotation in ds.GraphicAnnotationSequence
            for one in annotation.ReferencedImageSequence
        ]
        assert frames == [1, 2, 3]


def test_a_presentation_state_shows_a_mirrored_scale_the_right_way() -> None:
    plain = BUILDERS[Document.PRESENTATION_STATE](account())
    mirrored = BUILDERS[Document.PRESENTATION_STATE](
        account(PhotometricInterpretation="MONOCHROME1")
    )
    assert plain.PresentationLUTShape == "IDENTITY"
    assert mirrored.PresentationLUTShape == "INVERSE"


def content(item: Dataset) -> Iterator[tuple[str, str, object]]:
    """Every content item below one: value type, concept and value."""
    for child in item.get("ContentSequence", ()):
        names = child.get("ConceptNameCodeSequence")
        value: object = child.get("TextValue")
        if child.ValueType == "NUM":
            value = float(child.MeasuredValueSequence[0].NumericValue)
        elif child.ValueType == "CODE":
            value = child.ConceptCodeSequence[0].CodeValue
        elif child.ValueType == "IMAGE":
            value = child.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        elif child.ValueType == "UIDREF":
            value = child.UID
        yield child.ValueType, names[0].CodeValue if names else "", value
        yield from content(child)


@WAYS
def test_the_reports_algorithm_is_the_images_contributing_equipment(all_in_one: bool) -> None:
    told = account(all_in_one=all_in_one)
    image = build_all(told.source, VIEWS)[0] if all_in_one else build(told.source, VIEWS[0])[0]
    (model,) = (
        item
        for item in image.ContributingEquipmentSequence
        if item.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
        and item.ManufacturerModelName != PRODUCT
    )
    found = list(content(BUILDERS[Document.REPORT](told)))
    by_concept: dict[str, list[object]] = {}
    for _, concept, value in found:
        by_concept.setdefault(concept, []).append(value)
    version, digest = model.SoftwareVersions
    assert by_concept["111001"] == [model.ManufacturerModelName] * 3
    assert by_concept["111003"] == [version] * 3
    assert by_concept["122405"] == [model.Manufacturer] * 3
    assert by_concept["111002"].count(f"weights sha256 {digest}") == 3
    # The observer (TID 1004) is the node that the image names as its device.
    assert by_concept["121012"] == [image.DeviceUID]
    assert by_concept["121014"] == [MANUFACTURER] == [image.Manufacturer]


def test_a_report_says_what_was_made_from_what_and_how_good_it_is() -> None:
    told = account()
    found = list(content(BUILDERS[Document.REPORT](told)))
    angles = [value for kind, concept, value in found if (kind, concept) == ("NUM", "112011")]
    assert angles == [-90.0, -30.0, 30.0]
    scores = [value for _, concept, value in found if concept == "consistency"]
    assert scores == [0.5] * 3
    assert [value for _, concept, value in found if concept == "percentile"] == [97.0] * 3
    images = [value for kind, _, value in found if kind == "IMAGE"]
    assert images == ["2.25.100", "2.25.101", "2.25.102", told.source.dataset.SOPInstanceUID]
    words = " ".join(str(value) for _, concept, value in found if concept == "121106")
    assert MARK in words and "none of them was exposed" in words


def test_a_selection_lists_the_images_for_research() -> None:
    ds = BUILDERS[Document.KEY_OBJECTS](account())
    assert ds.ConceptNameCodeSequence[0].CodeValue == "113009"
    found = list(content(ds))
    images = [value for kind, _, value in found if kind == "IMAGE"]
    assert images == ["2.25.100", "2.25.101", "2.25.102"]
    assert any(MARK in str(value) for _, concept, value in found if concept == "113012")


def _other_series(ds: Dataset) -> None:
    ds.SeriesDescription = "Chest"


def _other_patient(ds: Dataset) -> None:
    ds.PatientID = "P-124"


def _no_equipment(ds: Dataset) -> None:
    del ds.ContributingEquipmentSequence


def _lost_reference(ds: Dataset) -> None:
    if "ReferencedSeriesSequence" in ds:
        del ds.ReferencedSeriesSequence[0].ReferencedImageSequence[0]
    else:
        series = ds.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
        del series[-1].ReferencedSOPSequence[0]


def _other_time(ds: Dataset) -> None:
    ds.InstanceCreationTime = "000000.000000"


@DOCUMENTS
@pytest.mark.parametrize(
    "change", [_other_series, _other_patient, _no_equipment, _lost_reference, _other_time]
)
def test_a_falsified_document_is_caught(
    document: Document, change: Callable[[Dataset], None]
) -> None:
    told = account()
    ds = BUILDERS[document](told)
    change(ds)
    with pytest.raises(IntegrityError, match=document.value):
        verify_document(ds, document=document, account=told)


def test_a_report_about_another_model_and_a_label_of_another_view_are_caught() -> None:
    told = account()
    report = BUILDERS[Document.REPORT](told)
    for item in report.ContentSequence:
        for group in item.get("ContentSequence", ()):
            for one in group.get("ContentSequence", ()):
                if one.get("TextValue") == "1.2.0":
                    one.TextValue = "1.3.0"
    with pytest.raises(IntegrityError, match="ContributingEquipment"):
        verify_document(report, document=Document.REPORT, account=told)
    state = BUILDERS[Document.PRESENTATION_STATE](told)
    first, second, _ = state.GraphicAnnotationSequence
    first.TextObjectSequence, second.TextObjectSequence = (
        second.TextObjectSequence,
        first.TextObjectSequence,
    )
    with pytest.raises(IntegrityError, match="mark, view and sides"):
        verify_document(state, document=Document.PRESENTATION_STATE, account=told)
