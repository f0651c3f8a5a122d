"""Small DICOM files to send about, and peers to send them to."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from dicom_node.domain.deliveries import DerivedInstance
from dicom_node.domain.routes import Destination
from dicom_node.domain.writing import Form

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMPUTED_RADIOGRAPHY = "1.2.840.10008.5.1.4.1.1.1"
DIGITAL_X_RAY = "1.2.840.10008.5.1.4.1.1.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"


def write_object(
    path: Path,
    *,
    sop_class: str = DIGITAL_X_RAY,
    uid: str = "2.25.1",
    syntax: str = ExplicitVRLittleEndian,
) -> Path:
    """A small object: enough of one for every storage SCP, not a conforming image."""
    dataset = Dataset()
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = uid
    dataset.StudyInstanceUID = "2.25.7"
    dataset.SeriesInstanceUID = "2.25.8"
    dataset.PatientID = "TEST"
    dataset.PatientName = "Secret^Patient"
    dataset.Modality = "DX"
    dataset.Rows = dataset.Columns = 64
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 0
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    pixels = np.random.default_rng(5).integers(0, 4096, (64, 64), dtype=np.uint16)
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = sop_class
    dataset.file_meta.MediaStorageSOPInstanceUID = uid
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path, enforce_file_format=True)
    return path


def data_set_bytes(file: bytes) -> bytes:
    """What follows the file meta information, found by its group length (PS3.10 7.1)."""
    assert file[128:132] == b"DICM"
    assert file[132:140] == b"\x02\x00\x00\x00UL\x04\x00"
    return file[144 + int.from_bytes(file[140:144], "little") :]


def derived(path: Path, *, sop_class: str = DIGITAL_X_RAY, uid: str, index: int) -> DerivedInstance:
    return DerivedInstance(
        sop_instance_uid=uid,
        sop_class_uid=sop_class,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        series_instance_uid="2.25.8",
        form=Form.DX,
        index=index,
        digest="0" * 64,
        size_bytes=path.stat().st_size,
    )


def write_instances(folder: Path, count: int) -> list[tuple[DerivedInstance, Path]]:
    made = []
    for index in range(count):
        uid = f"2.25.{1000 + index}"
        path = write_object(folder / f"{index}.dcm", uid=uid)
        made.append((derived(path, uid=uid, index=index), path))
    return made


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def destination(port: int, ae_title: str = "ARCHIVE", host: str = "127.0.0.1") -> Destination:
    return Destination(name="archive", ae_title=ae_title, host=host, port=port)


def tool(name: str) -> str:
    """A DCMTK program. pynetdicom installs programs of the same names, so those are passed over."""
    for folder in ("/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"):
        found = shutil.which(name, path=folder)
        if found:
            return found
    raise FileNotFoundError(f"{name} of DCMTK is not installed")


@contextmanager
def dcmtk_archive(folder: Path, *options: str) -> Iterator[int]:
    """DCMTK's storescp on a free port, writing into a folder."""
    port = free_port()
    process = subprocess.Popen(
        [tool("storescp"), "-aet", "ARCHIVE", "-od", str(folder), *options, str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        yield port
    finally:
        process.kill()
        process.wait()
