"""Derived objects: every attribute that the specification of them names, in both forms."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicom_node import MANUFACTURER, PRODUCT, __version__
from dicom_node.domain.writing import Form
from dicom_node.iod.banner import banner_rows
from dicom_node.iod.derivation import derivation_words
from dicom_node.iod.derived import encode
from dicom_node.iod.reading import Source, read_header, read_source
from synthesis.types import Radiograph, View
from tests.iod.objects import (
    AT,
    DX_PRESENTATION,
    DX_PROCESSING,
    INSTANCE_UID,
    MODEL,
    ONE_VIEW,
    REAL,
    SC,
    SERIES_UID,
    SOP_UID,
    STUDY_UID,
    build,
    file_of,
    provenance_of,
    radiograph,
    read,
    real,
    synthesized,
)

FORMS = pytest.mark.parametrize("form", ONE_VIEW)
LAO = View(primary_deg=30)


def written(source: Source, view: View = LAO, **options: object) -> Dataset:
    """A derived object as a reader of the file sees it."""
    ds, _ = build(source, view, **options)  # type: ignore[arg-type]
    return dcmread(BytesIO(encode(ds)))


def concept(item: Dataset) -> tuple[str, str]:
    return item.CodeValue, item.CodingSchemeDesignator


@FORMS
def test_patient_and_study_are_the_sources(form: Form) -> None:
    ds = written(read(IssuerOfPatientID="CLINIC", PatientAge="075Y"), form=form)
    assert (ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex) == (
        "Geheim^Patientin",
        "P-123",
        "19500607",
        "F",
    )
    assert (ds.IssuerOfPatientID, ds.PatientAge) == ("CLINIC", "075Y")
    assert (ds.StudyInstanceUID, ds.StudyDate, ds.StudyTime) == (STUDY_UID, "20260102", "030405")
    assert (ds.AccessionNumber, ds.ReferringPhysicianName, ds.StudyID) == ("A77", "Arzt^Alma", "S1")


@FORMS
def test_identity_is_new_and_as_it_was_ordered(form: Form) -> None:
    ds = written(read(), form=form, index=4)
    assert ds.SOPClassUID == (DX_PRESENTATION if form is Form.DX else SC)
    assert (ds.SOPInstanceUID, ds.SeriesInstanceUID) == (INSTANCE_UID, "2.25.111")
    assert (ds.SeriesNumber, ds.InstanceNumber) == (9001, 5)
    assert ds.file_meta.MediaStorageSOPInstanceUID == INSTANCE_UID
    assert ds.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"


@FORMS
def test_the_object_says_everywhere_that_it_is_synthetic(form: Form) -> None:
    ds = written(read(), form=form)
    assert ds.SyntheticData == "YES"
    assert list(ds.ImageType) == ["DERIVED", "SECONDARY", "", "SYNTHETIC"]
    assert ds.ContentQualification == "RESEARCH"
    assert ds.SeriesDescription == "AI SYNTHETIC vcdit-small views from PA"
    assert ds.ImageComments.startswith("AI SYNTHETIC LAO 30")
    assert ds.BurnedInAnnotation == "YES"
    assert (ds.RecognizableVisualFeatures, ds.QualityControlImage) == ("NO", "NO")


def test_modality_is_dx_or_for_secondary_capture_that_of_the_source() -> None:
    assert written(read(), form=Form.DX).Modality == "DX"
    # No exposure of the source's modality, and a stack to viewers that split CR and DX.
    assert written(read(), form=Form.SC).Modality == "OT"
    assert written(read(), form=Form.SC).ConversionType == "SYN"


def test_series_description_is_the_same_for_every_view_of_a_series() -> None:
    source = read()
    views = (View(primary_deg=30), View(primary_deg=-90), View(primary_deg=0, secondary_deg=20))
    assert len({written(source, view).SeriesDescription for view in views}) == 1


@FORMS
def test_the_derivation_is_told_in_words_in_codes_and_by_reference(form: Form) -> None:
    ds = written(read(), form=form)
    for word in ("LAO 30", "vcdit-small", "1.2.0", "seed 42", "8 steps", "primary 30", "PA"):
        assert word in ds.DerivationDescription
    assert len(ds.DerivationDescription) <= 1024
    assert [concept(item) for item in ds.DerivationCodeSequence] == [("123110", "DCM")]
    (origin,) = ds.SourceImageSequence
    assert origin.ReferencedSOPClassUID == "1.2.840.10008.5.1.4.1.1.1"
    assert origin.ReferencedSOPInstanceUID == SOP_UID
    assert origin.SpatialLocationsPreserved == "NO"
    assert concept(origin.PurposeOfReferenceCodeSequence[0]) == ("121322", "DCM")
    (series,) = ds.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == SERIES_UID
    (instance,) = series.ReferencedInstanceSequence
    assert instance.ReferencedSOPInstanceUID == SOP_UID


@FORMS
def test_equipment_is_the_node_and_every_contributor_is_named(form: Form) -> None:
    ds = written(read(), form=form)
    assert (ds.Manufacturer, ds.ManufacturerModelName) == (MANUFACTURER, PRODUCT)
    assert (ds.SoftwareVersions, ds.DeviceUID) == (__version__, "2.25.222")
    named = {
        (concept(item.PurposeOfReferenceCodeSequence[0])[0], item.ManufacturerModelName): item
        for item in ds.ContributingEquipmentSequence
    }
    assert set(named) == {
        ("109101", "Ray 9"),
        ("109100", PRODUCT),
        ("109102", PRODUCT),
        ("109100", "vcdit-small"),
        ("109102", "vcdit-small"),
    }
    scanner = named.pop(("109101", "Ray 9"))
    assert scanner.Manufacturer == "Scanner Works"
    assert "DeviceSerialNumber" not in scanner
    for (_, name), item in named.items():
        assert item.Manufacturer == MANUFACTURER
        assert item.ContributionDescription
        assert item.ContributionDateTime.startswith("20260304050607")
        assert item.DeviceUID.startswith("2.25.")
        expected = __version__ if name == PRODUCT else [MODEL.version, MODEL.digest]
        assert item.SoftwareVersions == expected
    assert len({item.DeviceUID for item in named.values()}) == 2


def test_a_source_without_a_manufacturer_still_has_a_device() -> None:
    ds = written(read(Manufacturer=None))
    assert ds.ContributingEquipmentSequence[0].Manufacturer == "UNKNOWN"


def test_times_are_those_of_synthesis_in_the_time_zone_of_the_study() -> None:
    plain = written(read())
    assert (plain.ContentDate, plain.ContentTime) == ("20260304", "050607.000890")
    assert (plain.InstanceCreationDate, plain.InstanceCreationTime) == ("20260304", "050607.000890")
    assert plain.TimezoneOffsetFromUTC == "+0000"
    # One offset holds for all times of an object, the study's too; so the study's is kept.
    moved = written(read(TimezoneOffsetFromUTC="-0730"))
    assert moved.TimezoneOffsetFromUTC == "-0730"
    assert (moved.ContentDate, moved.ContentTime) == ("20260303", "213607.000890")
    assert moved.StudyTime == "030405"
    stated = datetime.strptime(
        f"{moved.ContentDate}{moved.ContentTime}{moved.TimezoneOffsetFromUTC}", "%Y%m%d%H%M%S.%f%z"
    )
    assert stated.astimezone(UTC) == AT


@FORMS
@pytest.mark.parametrize(
    ("view", "position", "code", "orientation", "modifier"),
    [
        (View(primary_deg=0), "PA", "272479007", ["L", "F"], None),
        (View(primary_deg=90), "LL", "399173006", ["P", "F"], None),
        (View(primary_deg=-90), "RL", "399198007", ["A", "F"], None),
        (View(primary_deg=-30), "RLO", "399356000", ["LA", "F"], None),
        (View(primary_deg=30, secondary_deg=20), "LLO", "399135007", ["LP", "FAL"], "399196006"),
        (View(primary_deg=0, secondary_deg=-30), "PA", "272479007", ["L", "FP"], "399162004"),
    ],
)
def test_everything_about_the_view_is_computed_from_it(
    form: Form,
    view: View,
    position: str,
    code: str,
    orientation: list[str],
    modifier: str | None,
) -> None:
    ds = written(read(), view, form=form)
    assert ds.ViewPosition == position
    assert concept(ds.ViewCodeSequence[0]) == (code, "SCT")
    assert list(ds.PatientOrientation) == orientation
    assert ds.PositionerType == "CARM"
    assert ds.PositionerPrimaryAngle == view.primary_deg
    assert ds.PositionerSecondaryAngle == view.secondary_deg
    modifiers = ds.ViewCodeSequence[0].get("ViewModifierCodeSequence", [])
    if form is Form.DX:
        assert [m.CodeValue for m in modifiers] == ([modifier] if modifier else [])


def test_a_flipped_source_does_not_flip_what_is_derived_from_it() -> None:
    assert list(written(read(PatientOrientation=["R", "H"])).PatientOrientation) == ["LP", "F"]


def test_the_anatomy_is_a_chest_unless_the_source_says_otherwise() -> None:
    ds = written(read())
    assert concept(ds.AnatomicRegionSequence[0]) == ("816094009", "SCT")
    assert (ds.ImageLaterality, ds.BodyPartExamined) == ("U", "CHEST")
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator = "T-D3300", "SRT"
    item.CodeMeaning = "Mediastinum"
    ds = written(
        read(
            AnatomicRegionSequence=Sequence([item]), ImageLaterality="B", BodyPartExamined="THORAX"
        )
    )
    assert concept(ds.AnatomicRegionSequence[0]) == ("T-D3300", "SRT")
    assert (ds.ImageLaterality, ds.BodyPartExamined) == ("B", "THORAX")
    assert written(read(Laterality="R")).ImageLaterality == "R"
    assert "Laterality" not in written(read(Laterality="R"))


def test_spacing_is_the_images_and_said_to_be_nominal_where_it_is() -> None:
    dx = written(read(), form=Form.DX)
    assert list(dx.ImagerPixelSpacing) == [1.5625, 1.5625]
    assert "PixelSpacing" not in dx
    assert "NOMINAL" not in dx.DerivationDescription
    sc = written(read(), form=Form.SC)
    # Viewers measure plain millimetres in it, so they are those in the patient, half way.
    factor = LAO.source_detector_mm / LAO.source_isocenter_mm
    assert factor > 1.05
    assert list(sc.PixelSpacing) == pytest.approx([1.5625 / factor] * 2)
    assert sc.PixelSpacingCalibrationType == "GEOMETRY"
    assert sc.PixelSpacingCalibrationDescription == f"at the isocentre, magnification {factor:.4g}"
    assert "PixelSpacingCalibrationType" not in dx
    assert "ImagerPixelSpacing" not in sc
    source = read(ImagerPixelSpacing=None)
    dx = written(source, form=Form.DX, nominal=True)
    assert "ImagerPixelSpacing" in dx  # which its class asks for
    sc = written(source, form=Form.SC, nominal=True)
    assert "PixelSpacing" not in sc  # a viewer would measure millimetres by it
    for ds in (dx, sc):
        assert "NOMINAL" in ds.DerivationDescription
        assert ds.ImageComments.endswith("; not to scale")


def test_how_far_a_view_can_be_trusted_is_in_its_description_and_provenance() -> None:
    source = read()
    plain = provenance_of(source, LAO)
    assert "onsistency" not in derivation_words(plain, nominal=False)
    known = replace(plain, consistency=0.8125, consistency_percentile=98.6, spread=12.345)
    words = derivation_words(known, nominal=False)
    assert "consistency with the source 0.812 (above 99 % of pairs of two patients)" in words
    assert "spread over the samples 12.35" in words
    assert len(words) < 1024
    assert '"consistency":0.8125' in known.to_json()
    assert '"consistency_percentile":98.6' in known.to_json()
    assert '"spread":12.345' in known.to_json()
    allowed = replace(known, ineligible="it looks like noise", eligibility=0.01)
    words = derivation_words(allowed, nominal=True)
    assert "NOT ELIGIBLE, it looks like noise, and allowed by the route" in words
    assert "NOMINAL" in words
    assert len(words) < 1024
    assert '"ineligible":"it looks like noise"' in allowed.to_json()


def test_a_long_route_name_leaves_the_warnings_in_the_description() -> None:
    source = read(ImagerPixelSpacing=None)
    provenance = replace(provenance_of(source, LAO, nominal=True), route="r" * 2000)
    words = derivation_words(provenance, nominal=True)
    assert len(words) == 1024
    assert "NOMINAL" in words


def test_dx_modules_have_what_they_ask_for() -> None:
    ds = written(read(), form=Form.DX)
    assert ds.PresentationIntentType == "FOR PRESENTATION"
    assert (ds.PixelIntensityRelationship, ds.PixelIntensityRelationshipSign) == ("LOG", -1)
    assert (ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType) == (0, 1, "US")
    assert ds.PresentationLUTShape == "IDENTITY"
    assert len(ds.AcquisitionContextSequence) == 0
    inverse = written(read(PhotometricInterpretation="MONOCHROME1"), form=Form.DX)
    assert (inverse.PresentationLUTShape, inverse.PixelIntensityRelationshipSign) == ("INVERSE", 1)


@FORMS
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_source_put_through_unchanged_is_shown_as_it_was(form: Form, photometric: str) -> None:
    # The engine's identity: what is derived from the source's own pixels must look like it.
    source = read(PhotometricInterpretation=photometric, WindowCenter="2000", WindowWidth="3000")
    same = Radiograph(
        pixels=source.radiograph.pixels,
        spacing_mm=(0.2, 0.2),
        view=LAO,
        intensity=source.radiograph.intensity,
    )
    ds = written(source, form=form, image=same, banner=False)
    before = radiograph(
        PhotometricInterpretation=photometric, WindowCenter="2000", WindowWidth="3000"
    )
    np.testing.assert_array_equal(ds.pixel_array, before.pixel_array)
    for keyword in ("PhotometricInterpretation", "BitsStored", "WindowCenter", "WindowWidth"):
        assert ds[keyword].value == before[keyword].value
    assert "VOILUTSequence" not in ds


def test_what_the_engine_overshoots_is_clipped() -> None:
    source = read()
    wild = Radiograph(
        pixels=np.linspace(-9000, 9000, 64 * 64).reshape(64, 64).astype(np.float32),
        spacing_mm=(1.0, 1.0),
        view=LAO,
        intensity=source.radiograph.intensity,
    )
    pixels = written(source, image=wild, banner=False).pixel_array
    assert (pixels.min(), pixels.max()) == (0, 4095)
    assert (np.diff(pixels.ravel().astype(int)) >= 0).all()


def test_the_banner_has_rows_of_its_own_and_the_image_stays_whole() -> None:
    source = read()
    bare, marked = (written(source, banner=b) for b in (False, True))
    rows = banner_rows(64, 64)
    assert (bare.Rows, bare.Columns) == (64, 64)
    assert (marked.Rows, marked.Columns) == (64 + 2 * rows, 64)
    np.testing.assert_array_equal(marked.pixel_array[rows:-rows], bare.pixel_array)
    assert (bare.BurnedInAnnotation, marked.BurnedInAnnotation) == ("NO", "YES")


def test_letters_burned_into_the_source_keep_the_flag_when_the_banner_is_off() -> None:
    assert written(read(BurnedInAnnotation="YES"), banner=False).BurnedInAnnotation == "YES"


EXPOSURE = {
    "KVP": "120",
    "Exposure": "2",
    "ExposureTime": "8",
    "XRayTubeCurrent": "200",
    "ImageAndFluoroscopyAreaDoseProduct": "1.2",
    "DetectorID": "D1",
    "DeviceSerialNumber": "SN",
    "StationName": "ROOM",
    "AcquisitionDate": "20260102",
    "AcquisitionTime": "030405",
    "AcquisitionDateTime": "20260102030405",
    "ExposureIndex": "300",
    "Sensitivity": "200",
    "OperatorsName": "Op^Er",
    "ProtocolName": "pa",
    "DistanceSourceToDetector": "1800",
    "PatientPosition": "HFS",
    "FilterType": "NONE",
    "FocalSpots": "1",
    "PixelPaddingValue": 0,
    "IrradiationEventUID": "1.2.3",
    "DateOfLastDetectorCalibration": "20250101",
}


@FORMS
def test_nothing_of_the_exposure_is_left(form: Form) -> None:
    ds = written(read(**EXPOSURE), form=form)
    assert [keyword for keyword in EXPOSURE if keyword in ds] == []


def test_only_known_attributes_are_written() -> None:
    # Whatever else a source holds (private blocks, curves, notes of the modality) stays there.
    source = radiograph(ImageComments="private note", AcquisitionComments="x")
    source.private_block(0x0029, "VENDOR", create=True).add_new(1, "LO", "secret")
    ds = written(read_source(file_of(source)))
    assert ds.ImageComments.startswith("AI SYNTHETIC")
    assert "AcquisitionComments" not in ds
    assert {e.tag.group for e in ds if e.tag.is_private} == {0x0099}


@pytest.mark.parametrize("name", REAL)
def test_the_lossy_history_of_the_source_goes_on(name: str) -> None:
    source = read_source(real(name))
    ds = written(source)
    lossy = name in ("RG1_UNCI", "RG1_J2KI")
    assert ds.LossyImageCompression == ("01" if lossy else "00")
    assert ("LossyImageCompressionRatio" in ds) == lossy
    if lossy:
        assert ds.LossyImageCompressionRatio == 10


@FORMS
def test_the_provenance_is_in_a_private_block_under_the_products_name(form: Form) -> None:
    source = read()
    ds = written(source, form=form)
    block = ds.private_block(0x0099, PRODUCT)
    assert json.loads(block[1].value) == json.loads(provenance_of(source, LAO).to_json())
    assert block[1].VR == "UT"


def test_our_guard_knows_what_we_wrote() -> None:
    ds, _ = build(read(), LAO)
    header = read_header(encode(ds))
    assert header.manufactured_here
    assert header.first("SyntheticData") == "YES"


@FORMS
def test_the_same_object_is_the_same_bytes(form: Form) -> None:
    source = read()
    first, second = (encode(build(source, LAO, form=form)[0]) for _ in range(2))
    assert first == second
    ds, _ = build(source, LAO, form=form)
    assert encode(ds) == encode(ds) == first


def test_building_leaves_the_source_as_it_was() -> None:
    data = file_of(radiograph())
    source = read_source(data)
    before = deepcopy(source.dataset)
    build(source, LAO)
    assert source.dataset == before


def test_a_processing_source_is_written_white_for_dense() -> None:
    source = read(
        SOPClassUID=DX_PROCESSING,
        PresentationIntentType="FOR PROCESSING",
        PixelIntensityRelationship="LIN",
        PixelIntensityRelationshipSign=1,
    )
    image = synthesized(source, LAO)
    ds = written(source, image=image, banner=False)
    assert ds.PhotometricInterpretation == "MONOCHROME2"
    assert ds.PixelIntensityRelationship == "LOG"
    order = np.argsort(image.pixels.ravel())
    assert (np.diff(ds.pixel_array.ravel()[order].astype(int)) >= 0).all()
