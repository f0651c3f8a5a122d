"""Radiographs with a known answer, and what is made from them, for the tests of this folder."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import numpy as np
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from dicom_node import __version__
from dicom_node.domain.identifiers import JobKey
from dicom_node.domain.provenance import Provenance
from dicom_node.domain.writing import Form
from dicom_node.iod import derived, multiframe
from dicom_node.iod.derived import SeriesIdentity
from dicom_node.iod.elements import text
from dicom_node.iod.reading import Source, read_source
from synthesis.types import ModelIdentity, Radiograph, View

CR = "1.2.840.10008.5.1.4.1.1.1"
DX_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.1"
DX_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1.1"
SC = "1.2.840.10008.5.1.4.1.1.7"

STUDY_UID = "1.2.826.0.1.3680043.8.498.1"
SERIES_UID = "1.2.826.0.1.3680043.8.498.2"
SOP_UID = "1.2.826.0.1.3680043.8.498.3"

AT = datetime(2026, 3, 4, 5, 6, 7, 890, tzinfo=UTC)
MODEL = ModelIdentity(
    name="vcdit-small",
    version="1.2.0",
    family="vcdit",
    digest="ab" * 32,
    resolution=64,
    default_steps=8,
)
IDENTITY = SeriesIdentity(series_instance_uid="2.25.111", series_number=9001, device_uid="2.25.222")
INSTANCE_UID = "2.25.333"

ONE_VIEW = (Form.DX, Form.SC)
"""Forms of which each object is one view."""

REAL = ("RG1_UNCR", "RG1_UNCI", "RG1_J2KR", "RG1_J2KI")


def real(name: str) -> bytes:
    """A real radiograph of the package pydicom-data."""
    spec = importlib.util.find_spec("data_store")
    assert spec is not None and spec.submodule_search_locations
    return (Path(next(iter(spec.submodule_search_locations))) / "data" / f"{name}.dcm").read_bytes()


def chest(rows: int = 96, columns: int = 80, *, top: int = 4000, seed: int = 1) -> np.ndarray:
    """Stored values 100..top, no two quadrants alike, dense (large) in the middle."""
    y, x = np.mgrid[0:rows, 0:columns]
    y, x = y / rows, x / columns
    bump = np.exp(-((x - 0.55) ** 2 + (y - 0.4) ** 2) * 6) + 0.2 * x + 0.1 * y
    noise = np.random.default_rng(seed).normal(0, 0.01, bump.shape)
    unit = bump + noise
    unit = (unit - unit.min()) / (unit.max() - unit.min())
    return np.rint(100 + unit * (top - 100)).astype(np.int64)


def radiograph(pixels: np.ndarray | None = None, **attributes: object) -> Dataset:
    """A CR PA chest of 12 bits MONOCHROME2; attributes overwrite, None removes."""
    values = chest() if pixels is None else pixels
    ds = Dataset()
    ds.SOPClassUID = CR
    ds.SOPInstanceUID = SOP_UID
    ds.StudyInstanceUID = STUDY_UID
    ds.SeriesInstanceUID = SERIES_UID
    ds.StudyDate, ds.StudyTime, ds.AccessionNumber = "20260102", "030405", "A77"
    ds.Modality = "CR"
    ds.Manufacturer, ds.ManufacturerModelName = "Scanner Works", "Ray 9"
    ds.DeviceSerialNumber, ds.StationName = "SN-4711", "ROOM3"
    ds.PatientName, ds.PatientID = "Geheim^Patientin", "P-123"
    ds.PatientBirthDate, ds.PatientSex = "19500607", "F"
    ds.ReferringPhysicianName, ds.StudyID = "Arzt^Alma", "S1"
    ds.SeriesNumber, ds.InstanceNumber = "1", "1"
    ds.BodyPartExamined, ds.ViewPosition = "CHEST", "PA"
    ds.KVP, ds.Exposure, ds.AcquisitionDate, ds.AcquisitionTime = "120", "2", "20260102", "030400"
    ds.DetectorID = "DET-1"
    ds.ImagerPixelSpacing = ["0.2", "0.2"]
    ds.PatientOrientation = ["L", "F"]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = values.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    for keyword, value in attributes.items():
        if value is None:
            if keyword in ds:
                delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    wide = ds.BitsAllocated == 16
    ds.add_new("PixelData", "OW", values.astype("<i8").astype("<u2" if wide else "u1").tobytes())
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    return ds


def file_of(ds: Dataset) -> bytes:
    """The data set as a whole file in the transfer syntax of its file meta."""
    buffer = BytesIO()
    dcmwrite(buffer, ds, enforce_file_format=True)
    return buffer.getvalue()


def read(pixels: np.ndarray | None = None, **attributes: object) -> Source:
    """`radiograph`, written and read as a source."""
    return read_source(file_of(radiograph(pixels, **attributes)))


def synthesized(source: Source, view: View, *, side: int = 64) -> Radiograph:
    """Something that looks like an answer of the engine: the source's grey levels, square."""
    scale = source.radiograph.intensity
    unit = chest(side, side, top=500, seed=7) / 1000.0
    return Radiograph(
        pixels=(scale.low + unit * (scale.high - scale.low)).astype(np.float32),
        spacing_mm=(1.5625, 1.5625),
        view=view,
        intensity=scale,
    )


def provenance_of(
    source: Source, view: View, *, index: int = 0, nominal: bool = False
) -> Provenance:
    """What the services would record."""
    return Provenance(
        node_version=__version__,
        job_key=JobKey("cd" * 32),
        route="frontal-chest",
        route_digest="ef" * 32,
        source_sop_class_uid=text(source.dataset, "SOPClassUID"),
        source_sop_instance_uid=text(source.dataset, "SOPInstanceUID"),
        source_digest="01" * 32,
        source_view=source.radiograph.view,
        source_spacing_mm=source.radiograph.spacing_mm,
        intensity=source.radiograph.intensity,
        model=MODEL,
        view=view,
        index=index,
        sample=0,
        samples=1,
        steps=8,
        seed=42,
        spacing_nominal=nominal,
        synthesized_at=AT.isoformat(),
    )


def build(
    source: Source,
    view: View,
    *,
    form: Form = Form.DX,
    banner: bool = True,
    index: int = 0,
    nominal: bool = False,
    image: Radiograph | None = None,
) -> tuple[Dataset, Provenance]:
    """A derived object and its provenance."""
    provenance = provenance_of(source, view, index=index, nominal=nominal)
    ds = derived.build(
        source,
        image or synthesized(source, view),
        form=form,
        banner=banner,
        provenance=provenance,
        series=IDENTITY,
        sop_instance_uid=INSTANCE_UID,
        synthesized_at=AT,
    )
    return ds, provenance


def build_all(
    source: Source,
    views: Sequence[View],
    *,
    banner: bool = True,
    nominal: bool = False,
    images: Sequence[Radiograph] | None = None,
) -> tuple[Dataset, tuple[Provenance, ...]]:
    """A derived object that holds several views, and the provenance of each."""
    provenances = tuple(
        provenance_of(source, view, index=index, nominal=nominal)
        for index, view in enumerate(views)
    )
    ds = multiframe.build(
        source,
        images or [synthesized(source, view) for view in views],
        banner=banner,
        provenances=provenances,
        series=IDENTITY,
        sop_instance_uid=INSTANCE_UID,
        synthesized_at=AT,
    )
    return ds, provenances


def dciodvfy(data: bytes, folder: Path, *, iod: str = "Image") -> list[str]:
    """Lines of the validator for a file, one with the IOD; errors begin with ``Error``."""
    path = folder / "object.dcm"
    path.write_bytes(data)
    program = Path(sys.executable).parent / "dciodvfy"
    done = subprocess.run([program, path], capture_output=True, check=False)
    lines = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
    assert any(iod in line for line in lines), f"dciodvfy did not recognise the IOD: {lines}"
    return lines
