"""Trying a destination: whether it answers, and whether it takes an object that is only a test."""

from __future__ import annotations

import tempfile
import time
import uuid
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from dicom_node import MANUFACTURER, PRODUCT, __version__
from dicom_node.domain.deliveries import DerivedInstance, Outcome
from dicom_node.domain.errors import NodeError
from dicom_node.domain.routes import Form
from dicom_node.network.choosing import store_client
from dicom_node.network.statuses import meaning_of

if TYPE_CHECKING:
    from dicom_node.domain.routes import Destination

__all__ = ["Probed", "echo", "test_object", "test_store"]

TEST_PATIENT: Final = "DICOM-NODE-TEST"
"""Patient ID and the like of a test object: nobody is called so."""

SIDE: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What a destination did.

    Attributes:
        good: Whether it is well.
        words: What it answered, or why it did not.
        seconds: It took.
    """

    good: bool
    words: str
    seconds: float


def echo(ae_title: str, destination: Destination) -> Probed:
    """Ask a destination whether it answers (C-ECHO).

    Args:
        ae_title: Ours.
        destination: To ask.
    """
    client, began = store_client(ae_title), time.monotonic()
    try:
        seconds = client.echo(destination)
    except NodeError as error:
        return Probed(good=False, words=str(error), seconds=time.monotonic() - began)
    finally:
        client.close()
    return Probed(good=True, words=f"answered in {seconds * 1000:.0f} ms", seconds=seconds)


def test_store(ae_title: str, destination: Destination) -> Probed:
    """Store a test object in a destination (C-STORE). It stays there until somebody deletes it.

    Args:
        ae_title: Ours.
        destination: To store in.
    """
    ds = test_object()
    out = BytesIO()
    ds.save_as(out, enforce_file_format=True)
    data = out.getvalue()
    instance = DerivedInstance(
        sop_instance_uid=str(ds.SOPInstanceUID),
        sop_class_uid=str(ds.SOPClassUID),
        transfer_syntax_uid=str(ds.file_meta.TransferSyntaxUID),
        series_instance_uid=str(ds.SeriesInstanceUID),
        form=Form.SC,
        index=0,
        digest="0" * 64,
        size_bytes=len(data),
    )
    answers: list[tuple[Outcome, int]] = []
    client, began = store_client(ae_title), time.monotonic()
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "test.dcm"
            path.write_bytes(data)
            client.send(
                destination,
                [(instance, path)],
                lambda each, outcome, status: answers.append((outcome, status)),
            )
    except NodeError as error:
        return Probed(good=False, words=str(error), seconds=time.monotonic() - began)
    finally:
        client.release(destination)
        client.close()
    seconds = time.monotonic() - began
    if not answers:
        return Probed(good=False, words="did not answer", seconds=seconds)
    outcome, status = answers[0]
    if outcome is not Outcome.STORED:
        return Probed(good=False, words=f"answered {meaning_of(status)}", seconds=seconds)
    return Probed(
        good=True,
        words=f"stored the test object in {seconds * 1000:.0f} ms ({meaning_of(status)}); it is in "
        f"study {ds.StudyInstanceUID} of patient {TEST_PATIENT}, and may be deleted there",
        seconds=seconds,
    )


test_store.__test__ = False  # type: ignore[attr-defined]  # no test of pytest


def test_object() -> FileDataset:
    """A Secondary Capture image that says in every way it has that it is a test and nobody's."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    ds = FileDataset("", Dataset(), file_meta=meta, preamble=b"\0" * 128)
    now = time.localtime()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.ImageType = ["DERIVED", "SECONDARY"]
    ds.SOPClassUID = SecondaryCaptureImageStorage
    ds.SOPInstanceUID = _uid()
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.StudyInstanceUID, ds.SeriesInstanceUID = _uid(), _uid()
    ds.StudyDate = ds.SeriesDate = ds.ContentDate = time.strftime("%Y%m%d", now)
    ds.StudyTime = ds.SeriesTime = ds.ContentTime = time.strftime("%H%M%S", now)
    ds.Modality, ds.ConversionType = "OT", "SYN"
    ds.Manufacturer, ds.ManufacturerModelName = MANUFACTURER, PRODUCT
    ds.SoftwareVersions = __version__
    ds.PatientName, ds.PatientID = "Test^Object^Of^dicom-node", TEST_PATIENT
    ds.PatientBirthDate = ds.PatientSex = ds.ReferringPhysicianName = ""
    ds.StudyID, ds.AccessionNumber, ds.SeriesNumber, ds.InstanceNumber = "TEST", "", 1, 1
    ds.StudyDescription = ds.SeriesDescription = "TEST OBJECT of dicom-node - delete"
    ds.SyntheticData = "YES"
    ds.BurnedInAnnotation = "YES"
    ds.PatientOrientation = ""
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows = ds.Columns = SIDE
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.PixelRepresentation = 7, 0
    ds.PixelData = _pixels().tobytes()
    return ds


test_object.__test__ = False  # type: ignore[attr-defined]  # no test of pytest


def _pixels() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """A ramp of greys under words, so that a person sees what it is and how it is shown."""
    ramp = np.tile(np.linspace(0, 255, SIDE).astype(np.uint8), (SIDE, 1))
    picture = Image.fromarray(ramp)
    pen = ImageDraw.Draw(picture)
    pen.rectangle((0, 84, SIDE, 172), fill=0)
    for line, (words, size) in enumerate((("TEST OBJECT", 30), ("of dicom-node - no patient", 16))):
        font = ImageFont.load_default(size)
        pen.text((SIDE / 2, 112 + line * 34), words, font=font, fill=255, anchor="mm")
    return np.asarray(picture, dtype=np.uint8)


def _uid() -> str:
    return f"2.25.{uuid.uuid4().int}"
