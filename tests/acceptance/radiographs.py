"""The real radiograph RG1, in every transfer syntax the node takes, each under a UID of its own."""

from __future__ import annotations

import subprocess
import uuid
from typing import TYPE_CHECKING

from pydicom import Dataset, dcmread
from pydicom.uid import UID

from tests.acceptance.harness import radiograph
from tests.network.objects import tool

if TYPE_CHECKING:
    from pathlib import Path

AS_PUBLISHED = {
    "RG1_UNCR as published": ("1.2.840.10008.1.2.1", "RG1_UNCR.dcm"),
    "RG1_J2KR as published": ("1.2.840.10008.1.2.4.90", "RG1_J2KR.dcm"),
    "RG1_J2KI as published": ("1.2.840.10008.1.2.4.91", "RG1_J2KI.dcm"),
}

BY_PYDICOM = {
    "RLE": "1.2.840.10008.1.2.5",
    "JPEG 2000 lossless": "1.2.840.10008.1.2.4.90",
    "JPEG-LS lossless": "1.2.840.10008.1.2.4.80",
}

BY_DCMTK = {
    "implicit": ("1.2.840.10008.1.2", ["dcmconv", "+ti"]),
    "explicit": ("1.2.840.10008.1.2.1", ["dcmconv", "+te"]),
    "big endian": ("1.2.840.10008.1.2.2", ["dcmconv", "+tb"]),
    "deflated": ("1.2.840.10008.1.2.1.99", ["dcmconv", "+td"]),
    "JPEG lossless first-order": ("1.2.840.10008.1.2.4.70", ["dcmcjpeg", "+e1", "+un"]),
    "JPEG lossless": ("1.2.840.10008.1.2.4.57", ["dcmcjpeg", "+el", "+un"]),
    "JPEG baseline": ("1.2.840.10008.1.2.4.50", ["dcmcjpeg", "+eb", "+un"]),
    "JPEG extended": ("1.2.840.10008.1.2.4.51", ["dcmcjpeg", "+ee", "+un"]),
    "JPEG-LS near-lossless": ("1.2.840.10008.1.2.4.81", ["dcmcjpls", "+en", "+un"]),
}

SYNTAXES = {
    **{kind: syntax for kind, (syntax, _) in AS_PUBLISHED.items()},
    **BY_PYDICOM,
    **{kind: syntax for kind, (syntax, _) in BY_DCMTK.items()},
}
"""Transfer syntax by kind of radiograph."""


def new_uid() -> str:
    return f"2.25.{uuid.uuid4().int}"


def copy_of(name: str, *, every: int = 1) -> Dataset:
    """A radiograph under a new SOP Instance UID, uncompressed; every n-th pixel of it."""
    dataset = dcmread(radiograph(name))
    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        dataset.decompress()
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = new_uid()
    if every > 1:
        pixels = dataset.pixel_array[::every, ::every]
        dataset.Rows, dataset.Columns = pixels.shape
        dataset.PixelData = pixels.tobytes()
    return dataset


def write_radiograph(kind: str, folder: Path) -> Path:
    """One of `SYNTAXES` as a file."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{kind.replace(' ', '-')}.dcm"
    if kind in AS_PUBLISHED:
        dataset = dcmread(radiograph(AS_PUBLISHED[kind][1]))
        # Two of the published files share one SOP Instance UID though their pixels differ.
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = new_uid()
        dataset.save_as(path)
        return path
    dataset = copy_of("RG1_UNCR.dcm")
    if kind in BY_PYDICOM:
        dataset.compress(UID(BY_PYDICOM[kind]), generate_instance_uid=False)
        dataset.save_as(path)
    else:
        plain = folder / "plain.dcm"
        dataset.save_as(plain)
        program, *options = BY_DCMTK[kind][1]
        subprocess.run(
            [tool(program), *options, str(plain), str(path)], check=True, capture_output=True
        )
    return path


def write_copies(folder: Path, count: int) -> dict[str, Path]:
    """Distinct copies of RG1, by SOP Instance UID."""
    copies = {}
    for number in range(count):
        dataset = copy_of("RG1_UNCR.dcm", every=4)
        pixels = dataset.pixel_array.copy()
        pixels[0, 0] = number
        dataset.PixelData = pixels.tobytes()
        dataset.save_as(path := folder / f"{number}.dcm")
        copies[str(dataset.SOPInstanceUID)] = path
    return copies
