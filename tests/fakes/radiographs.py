"""A small chest radiograph, as a modality would send it."""

from __future__ import annotations

from io import BytesIO
from typing import Final

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian

from dicom_node.ports import ReceivedObject

CR: Final = str(ComputedRadiographyImageStorage)
STUDY: Final = "1.2.826.0.1.3680043.8.498.1000"


def radiograph(number: int = 1, **changes: object) -> bytes:
    """A whole file; ``changes`` are attributes by keyword, None removes one."""
    ds = Dataset()
    ds.SOPClassUID = CR
    ds.SOPInstanceUID = f"1.2.826.0.1.3680043.8.498.{number}"
    ds.StudyInstanceUID = STUDY
    ds.SeriesInstanceUID = "1.2.826.0.1.3680043.8.498.1001"
    ds.PatientName = "Test^Patient"
    ds.PatientID = "P1"
    ds.PatientBirthDate = "19500101"
    ds.PatientSex = "O"
    ds.StudyDate, ds.StudyTime = "20240102", "101500"
    ds.StudyID, ds.AccessionNumber, ds.ReferringPhysicianName = "1", "A1", ""
    ds.SeriesNumber, ds.InstanceNumber = "1", "1"
    ds.Modality, ds.Manufacturer = "CR", "Maker"
    ds.BodyPartExamined, ds.ViewPosition = "CHEST", "PA"
    ds.PatientOrientation = ["L", "F"]
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.ImagerPixelSpacing = ["0.5", "0.5"]
    ds.Rows, ds.Columns = 96, 80
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    rng = np.random.default_rng(number)
    rows, columns = np.mgrid[0:96, 0:80]
    body = 3000 - 2000 * np.exp(-(((rows - 48) / 28) ** 2 + ((columns - 40) / 22) ** 2))
    pixels = body + rng.integers(0, 200, body.shape)
    ds.PixelData = pixels.astype("<u2").tobytes()
    ds["PixelData"].VR = "OW"
    for keyword, value in changes.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = CR
    ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.826.0.1.3680043.8.498.{number}"
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = BytesIO()
    dcmwrite(buffer, ds, enforce_file_format=True)
    return buffer.getvalue()


def received(number: int = 1, data: bytes | None = None, **changes: object) -> ReceivedObject:
    """That file with the request that names it."""
    return ReceivedObject(
        data=radiograph(number, **changes) if data is None else data,
        sop_class_uid=CR,
        sop_instance_uid=f"1.2.826.0.1.3680043.8.498.{number}",
        transfer_syntax_uid=str(ExplicitVRLittleEndian),
        calling_ae_title="MODALITY",
    )
