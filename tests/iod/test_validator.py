"""What the validator of dicom3tools says about derived objects: no error, and no new warning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from dicom_node.domain.writing import Form
from dicom_node.iod.derived import encode
from dicom_node.iod.reading import read_source
from synthesis.types import View
from tests.iod.objects import (
    DX_PRESENTATION,
    DX_PROCESSING,
    ONE_VIEW,
    REAL,
    SC,
    build,
    dciodvfy,
    file_of,
    radiograph,
    read,
    real,
)

FORMS = pytest.mark.parametrize("form", ONE_VIEW)

ALLOWED_WARNINGS = (
    # IHE AI Results asks for Device UID in Contributing Equipment; the validator does not know.
    "(0x0018,0x1002) UI Device UID",
    "this is a Standard Extended SOP Class",
    "(0x0099,0x1001)",
)
OF_THE_SOURCE = (
    "Referring Physician's Name  PN [1] = <ward> - Retired Person Name form",
    "(0x0010,0x1000) LO Other Patient IDs",
    "Dicom dataset contains retired attributes",
)
ONLY_IN_SC = (
    # A Secondary Capture has no module for the view; the angles are told all the same.
    "CS Positioner Type",
    "DS Positioner Primary Angle",
    "DS Positioner Secondary Angle",
    "CS View Position",
)

VIEWS = [
    View(primary_deg=0),
    View(primary_deg=30),
    View(primary_deg=-30),
    View(primary_deg=90),
    View(primary_deg=-90),
    View(primary_deg=47.123456, secondary_deg=-12.5),
    View(primary_deg=180),
    View(primary_deg=-150, secondary_deg=25),
]


@FORMS
@pytest.mark.parametrize("view", VIEWS, ids=lambda v: v.label)
@pytest.mark.parametrize("position", ["PA", "AP"])
def test_the_validator_finds_nothing_wrong(
    form: Form, view: View, position: str, tmp_path: Path
) -> None:
    ds, _ = build(read(ViewPosition=position), view, form=form)
    allowed = ALLOWED_WARNINGS + (ONLY_IN_SC if form is Form.SC else ())
    complaints = [
        line
        for line in dciodvfy(encode(ds), tmp_path)
        if line.startswith(("Error", "Warning")) and not any(known in line for known in allowed)
    ]
    assert complaints == []


@FORMS
@pytest.mark.parametrize("name", REAL)
def test_the_validator_finds_nothing_wrong_with_what_is_made_from_a_real_radiograph(
    form: Form, name: str, tmp_path: Path
) -> None:
    ds, _ = build(read_source(real(name)), View(primary_deg=-60), form=form, nominal=True)
    allowed = ALLOWED_WARNINGS + OF_THE_SOURCE + (ONLY_IN_SC if form is Form.SC else ())
    complaints = [
        line
        for line in dciodvfy(encode(ds), tmp_path)
        if line.startswith(("Error", "Warning")) and not any(known in line for known in allowed)
    ]
    assert complaints == []


BARE = (
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "Manufacturer",
    "ManufacturerModelName",
    "BodyPartExamined",
    "ImagerPixelSpacing",
    "PatientOrientation",
    "Modality",
    "SeriesNumber",
)

SOURCES: dict[str, dict[str, object]] = {
    "rle": {"compress": RLELossless},
    "jpeg-ls": {"compress": JPEGLSLossless},
    "jpeg-2000": {"compress": JPEG2000Lossless},
    "dx presentation": {
        "SOPClassUID": DX_PRESENTATION,
        "Modality": "DX",
        "PresentationIntentType": "FOR PRESENTATION",
        "PixelIntensityRelationship": "LIN",
        "PixelIntensityRelationshipSign": 1,
        "PhotometricInterpretation": "MONOCHROME1",
    },
    "dx processing": {
        "SOPClassUID": DX_PROCESSING,
        "Modality": "DX",
        "PresentationIntentType": "FOR PROCESSING",
        "PixelIntensityRelationship": "LIN",
        "PixelIntensityRelationshipSign": 1,
    },
    "secondary capture": {"SOPClassUID": SC, "Modality": "OT", "ConversionType": "DI"},
    "bare": dict.fromkeys(BARE),
    "two windows": {
        "WindowCenter": ["2000", "1000"],
        "WindowWidth": ["500", "300"],
        "WindowCenterWidthExplanation": ["BONE", "LUNG"],
    },
    "rescaled": {"RescaleSlope": "1.5", "RescaleIntercept": "-1024", "RescaleType": "US"},
    "lossy without ratio": {"LossyImageCompression": "01"},
    "eight bits": {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7},
}


@FORMS
@pytest.mark.parametrize("kind", list(SOURCES))
def test_the_validator_finds_no_error_whatever_the_source_was(
    form: Form, kind: str, tmp_path: Path
) -> None:
    attributes = dict(SOURCES[kind])
    syntax = attributes.pop("compress", None)
    pixels = radiograph().pixel_array.astype(np.int64) >> (4 if kind == "eight bits" else 0)
    ds = radiograph(pixels, **attributes)
    if syntax:
        ds.compress(syntax, generate_instance_uid=False)
    source = read_source(file_of(ds))
    derived, _ = build(source, View(primary_deg=30), form=form)
    errors = [line for line in dciodvfy(encode(derived), tmp_path) if line.startswith("Error")]
    assert errors == []
