"""The last look: a sound object passes, and every single falsification of it is caught."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from io import BytesIO

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicom_node.domain.errors import IntegrityError
from dicom_node.domain.provenance import Provenance
from dicom_node.domain.writing import Form
from dicom_node.iod.banner import banner_rows
from dicom_node.iod.conformance import problems, verify
from dicom_node.iod.conformance.tables import FORBIDDEN
from dicom_node.iod.derived import encode
from dicom_node.iod.reading import Source, read_source
from synthesis.types import View
from tests.iod.objects import (
    ONE_VIEW,
    REAL,
    SERIES_UID,
    SOP_UID,
    build,
    file_of,
    radiograph,
    read,
    real,
)

LAO = View(primary_deg=30, secondary_deg=10)
FORMS = pytest.mark.parametrize("form", ONE_VIEW)


@FORMS
@pytest.mark.parametrize("banner", [True, False])
@pytest.mark.parametrize("view", [LAO, View(primary_deg=-90), View(primary_deg=180)])
def test_a_sound_object_passes_before_and_after_it_is_written(
    form: Form, banner: bool, view: View
) -> None:
    source = read()
    ds, provenance = build(source, view, form=form, banner=banner)
    verify(ds, source=source, provenances=(provenance,), form=form)
    back = dcmread(BytesIO(encode(ds)))
    verify(back, source=source, provenances=(provenance,), form=form)


@pytest.mark.parametrize("name", REAL)
def test_what_is_made_from_a_real_radiograph_passes(name: str) -> None:
    source = read_source(real(name))
    ds, provenance = build(source, LAO, nominal=True)
    verify(ds, source=source, provenances=(provenance,), form=Form.DX)


def put(keyword: str, value: object) -> Callable[[Dataset], None]:
    return lambda ds: setattr(ds, keyword, value)


def drop(keyword: str) -> Callable[[Dataset], None]:
    return lambda ds: delattr(ds, keyword)


def within(keyword: str, change: Callable[[Dataset], None], index: int = 0) -> Callable:
    return lambda ds: change(ds[keyword].value[index])


def fill_pixels(ds: Dataset) -> None:
    values = np.frombuffer(ds.PixelData, "<u2").reshape(ds.Rows, ds.Columns).copy()
    strip = banner_rows(64, 64)
    values[strip:-strip] = 7
    ds.PixelData = values.tobytes()


def all_constant(ds: Dataset) -> None:
    ds.PixelData = bytes(len(ds.PixelData))


def wipe_banner(ds: Dataset) -> None:
    values = np.frombuffer(ds.PixelData, "<u2").reshape(ds.Rows, ds.Columns).copy()
    values[:4] = values[-4:] = values[0, 0]
    values[:12] = values[0, 0]
    ds.PixelData = values.tobytes()


def overflow(ds: Dataset) -> None:
    values = np.frombuffer(ds.PixelData, "<u2").copy()
    values[len(values) // 2] = 5000
    ds.PixelData = values.tobytes()


def change_private(ds: Dataset) -> None:
    ds[0x0099, 0x1001].value = ds[0x0099, 0x1001].value.replace('"seed":42', '"seed":43')


def add_serial(ds: Dataset) -> None:
    ds.ContributingEquipmentSequence[0].DeviceSerialNumber = "SN"


BOTH = {
    "SyntheticData": put("SyntheticData", "MAYBE"),
    "SyntheticData absent": drop("SyntheticData"),
    "ImageType": put("ImageType", ["ORIGINAL", "PRIMARY"]),
    "ImageType order": put("ImageType", ["DERIVED", "SECONDARY", "SYNTHETIC"]),
    "ContentQualification": put("ContentQualification", "PRODUCT"),
    "RecognizableVisualFeatures": put("RecognizableVisualFeatures", "YES"),
    "QualityControlImage": drop("QualityControlImage"),
    "SOPClassUID": put("SOPClassUID", "1.2.840.10008.5.1.4.1.1.1"),
    "SOPInstanceUID": put("SOPInstanceUID", SOP_UID),
    "SOPInstanceUID form": put("SOPInstanceUID", "1.2.3.4"),
    "SeriesInstanceUID": put("SeriesInstanceUID", SERIES_UID),
    "SeriesInstanceUID empty": put("SeriesInstanceUID", ""),
    "DeviceUID": put("DeviceUID", "2.25.333"),
    "StudyInstanceUID": put("StudyInstanceUID", "1.2.3"),
    "MediaStorageSOPInstanceUID": lambda ds: setattr(
        ds.file_meta, "MediaStorageSOPInstanceUID", "1.2.3"
    ),
    "SourceImageSequence": drop("SourceImageSequence"),
    "SourceImageSequence empty": put("SourceImageSequence", Sequence([])),
    "SourceImageSequence instance": within(
        "SourceImageSequence", put("ReferencedSOPInstanceUID", "1.2.3")
    ),
    "SourceImageSequence class": within(
        "SourceImageSequence", put("ReferencedSOPClassUID", "1.2.3")
    ),
    "SourceImageSequence purpose": within(
        "SourceImageSequence", drop("PurposeOfReferenceCodeSequence")
    ),
    "SourceImageSequence locations": within(
        "SourceImageSequence", put("SpatialLocationsPreserved", "YES")
    ),
    "DerivationCodeSequence": drop("DerivationCodeSequence"),
    "DerivationCodeSequence code": within("DerivationCodeSequence", put("CodeValue", "113040")),
    "DerivationDescription": drop("DerivationDescription"),
    "DerivationDescription words": put("DerivationDescription", "improved"),
    "ReferencedSeriesSequence": drop("ReferencedSeriesSequence"),
    "ReferencedSeriesSequence series": within(
        "ReferencedSeriesSequence", put("SeriesInstanceUID", "1.2.3")
    ),
    "ContributingEquipmentSequence": drop("ContributingEquipmentSequence"),
    "ContributingEquipmentSequence source": lambda ds: ds.ContributingEquipmentSequence.pop(0),
    "ContributingEquipmentSequence node": lambda ds: ds.ContributingEquipmentSequence.pop(1),
    "ContributingEquipmentSequence model": lambda ds: ds.ContributingEquipmentSequence.pop(4),
    "ContributingEquipmentSequence uid": within(
        "ContributingEquipmentSequence", put("DeviceUID", "2.25.9"), 2
    ),
    "ContributingEquipmentSequence serial": add_serial,
    "Manufacturer": put("Manufacturer", "Scanner Works"),
    "ManufacturerModelName": put("ManufacturerModelName", "Ray 9"),
    "SoftwareVersions": drop("SoftwareVersions"),
    "private": change_private,
    "private absent": lambda ds: ds.__delitem__((0x0099, 0x1001)),
    "SeriesDescription": put("SeriesDescription", "chest pa"),
    "InstanceNumber": put("InstanceNumber", "2"),
    "SeriesNumber": put("SeriesNumber", None),
    "Modality": put("Modality", ""),
    "ContentDate": put("ContentDate", "20260102"),
    "ContentTime": drop("ContentTime"),
    "InstanceCreationTime": put("InstanceCreationTime", "050607"),
    "TimezoneOffsetFromUTC": put("TimezoneOffsetFromUTC", "+0100"),
    "PositionerPrimaryAngle": put("PositionerPrimaryAngle", "-30"),
    "PositionerSecondaryAngle": drop("PositionerSecondaryAngle"),
    "PositionerType": drop("PositionerType"),
    "PatientOrientation": put("PatientOrientation", ["L", "F"]),
    "ViewPosition": put("ViewPosition", "PA"),
    "ViewCodeSequence": within("ViewCodeSequence", put("CodeValue", "272479007")),
    "ImageLaterality": drop("ImageLaterality"),
    "AnatomicRegionSequence": put("AnatomicRegionSequence", Sequence([])),
    "LossyImageCompression": put("LossyImageCompression", "01"),
    "LossyImageCompressionRatio": put("LossyImageCompressionRatio", "10"),
    "PhotometricInterpretation": put("PhotometricInterpretation", "MONOCHROME1"),
    "BitsStored": put("BitsStored", 16),
    "HighBit": put("HighBit", 15),
    "PixelRepresentation": put("PixelRepresentation", 1),
    "WindowCenter": drop("WindowCenter"),
    "WindowWidth": put("WindowWidth", "0"),
    "Rows": put("Rows", 63),
    "PixelData short": lambda ds: setattr(ds, "PixelData", ds.PixelData[:-2]),
    "PixelData long": lambda ds: setattr(ds, "PixelData", ds.PixelData + b"\0\0"),
    "PixelData gone": drop("PixelData"),
    "PixelData flat": fill_pixels,
    "PixelData constant": all_constant,
    "PixelData overflow": overflow,
    "BurnedInAnnotation": put("BurnedInAnnotation", "NO"),
    "BurnedInAnnotation absent": drop("BurnedInAnnotation"),
    "BurnedInAnnotation without": wipe_banner,
    "PatientName": put("PatientName", "Geheim^Anderer"),
    "PatientID": put("PatientID", "P-124"),
    "PatientID absent": drop("PatientID"),
    "PatientBirthDate": put("PatientBirthDate", ""),
    "PatientSex": drop("PatientSex"),
    "AccessionNumber": put("AccessionNumber", "A78"),
    "StudyDate": put("StudyDate", "20260304"),
    "SpecificCharacterSet": put("SpecificCharacterSet", "ISO_IR 192"),
    "SpecificCharacterSet absent": drop("SpecificCharacterSet"),
    "IssuerOfPatientID": drop("IssuerOfPatientID"),
    "OtherPatientIDsSequence": within("OtherPatientIDsSequence", put("PatientID", "X")),
    "PatientAge": put("PatientAge", "075Y"),
}
ONLY = {
    Form.DX: {
        "Modality CR": put("Modality", "CR"),
        "PresentationIntentType": put("PresentationIntentType", "FOR PROCESSING"),
        "PresentationLUTShape": put("PresentationLUTShape", "INVERSE"),
        "PixelIntensityRelationship": drop("PixelIntensityRelationship"),
        "PixelIntensityRelationshipSign": put("PixelIntensityRelationshipSign", 1),
        "RescaleSlope": put("RescaleSlope", "2"),
        "AcquisitionContextSequence": drop("AcquisitionContextSequence"),
        "ImagerPixelSpacing": drop("ImagerPixelSpacing"),
        "ImagerPixelSpacing zero": put("ImagerPixelSpacing", ["0", "0"]),
        "PixelSpacing": put("PixelSpacing", ["1", "1"]),
        "PixelSpacingCalibrationType": put("PixelSpacingCalibrationType", "GEOMETRY"),
    },
    Form.SC: {
        "Modality DX": put("Modality", "DX"),
        "ConversionType": put("ConversionType", "DI"),
        "PixelSpacing": drop("PixelSpacing"),
        "PixelSpacingCalibrationType": drop("PixelSpacingCalibrationType"),
        "PixelSpacingCalibrationType FIDUCIAL": put("PixelSpacingCalibrationType", "FIDUCIAL"),
        "PixelSpacingCalibrationDescription": drop("PixelSpacingCalibrationDescription"),
        "NominalScannedPixelSpacing": put("NominalScannedPixelSpacing", ["1", "1"]),
    },
}
MUTATIONS = [
    pytest.param(form, name, change, id=f"{form}: {name}")
    for form in ONE_VIEW
    for name, change in (BOTH | ONLY[form]).items()
]


@lru_cache
def written(form: Form) -> tuple[Source, bytes, Provenance]:
    other = Dataset()
    other.PatientID, other.TypeOfPatientID = "O-1", "TEXT"
    source = read(
        SpecificCharacterSet="ISO_IR 100",
        IssuerOfPatientID="CLINIC",
        OtherPatientIDsSequence=Sequence([other]),
    )
    ds, provenance = build(source, LAO, form=form)
    return source, encode(ds), provenance


def sound(form: Form) -> tuple[Source, Dataset, Provenance]:
    """A source, a fresh sound object made from it, and its provenance."""
    source, data, provenance = written(form)
    return source, dcmread(BytesIO(data)), provenance


@pytest.mark.parametrize(("form", "name", "change"), MUTATIONS)
def test_a_falsified_object_is_caught(
    form: Form, name: str, change: Callable[[Dataset], None]
) -> None:
    source, ds, provenance = sound(form)
    assert problems(ds, source=source, provenance=provenance, form=form) == ()
    change(ds)
    found = problems(ds, source=source, provenance=provenance, form=form)
    subject = name.split()[0]
    assert any(subject in problem for problem in found), found


@pytest.mark.parametrize("keyword", FORBIDDEN)
def test_an_attribute_of_the_exposure_is_caught(keyword: str) -> None:
    source, ds, provenance = sound(Form.DX)
    setattr(ds, keyword, None)
    found = problems(ds, source=source, provenance=provenance, form=Form.DX)
    assert found == (f"{keyword} must not be there",)


@pytest.mark.parametrize(
    "change",
    [
        {"view": View(primary_deg=-30, secondary_deg=10)},
        {"source_sop_instance_uid": "1.2.3"},
        {"synthesized_at": "2026-03-04T05:06:08+00:00"},
        {"index": 1},
        {"seed": 43},
        {"spacing_nominal": True},
    ],
)
def test_an_object_that_contradicts_its_provenance_is_caught(change: dict[str, object]) -> None:
    source, ds, provenance = sound(Form.DX)
    assert problems(ds, source=source, provenance=replace(provenance, **change), form=Form.DX)


def test_the_object_of_one_form_is_not_one_of_the_other() -> None:
    source, ds, provenance = sound(Form.DX)
    assert problems(ds, source=source, provenance=provenance, form=Form.SC)


def test_a_banner_of_another_view_is_caught() -> None:
    source, ds, provenance = sound(Form.DX)
    other, _ = build(source, View(primary_deg=-30, secondary_deg=10), form=Form.DX)
    ds.PixelData = other.PixelData
    assert problems(ds, source=source, provenance=provenance, form=Form.DX) == (
        "BurnedInAnnotation is YES, but the banner is not in the pixels",
    )


def test_all_problems_are_told_at_once_and_without_patient_data() -> None:
    source, ds, provenance = sound(Form.DX)
    ds.SyntheticData, ds.PatientName, ds.PatientID = "NO", "Geheim^Anderer", "P-9"
    del ds.SourceImageSequence
    with pytest.raises(IntegrityError) as caught:
        verify(ds, source=source, provenances=(provenance,), form=Form.DX)
    message = str(caught.value)
    for keyword in ("SyntheticData", "PatientName", "PatientID", "SourceImageSequence"):
        assert keyword in message
    for secret in ("Geheim", "Patientin", "P-123", "P-9"):
        assert secret not in message


def test_a_source_marked_as_annotated_needs_no_banner() -> None:
    source = read_source(file_of(radiograph(BurnedInAnnotation="YES")))
    ds, provenance = build(source, LAO, banner=False)
    verify(ds, source=source, provenances=(provenance,), form=Form.DX)
