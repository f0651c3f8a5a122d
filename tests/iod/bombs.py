"""Small files that want to become large, by name.

`MAIN` is a program that reads them with little memory left and tells what they were refused for.
"""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from tests.iod.objects import chest, file_of, radiograph

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydicom import Dataset

MIB = 1 << 20
GIB = 1 << 30
UNDEFINED = b"\xff\xff\xff\xff"

AT_RECEIPT = (
    "deflated header",
    "items without end",
    "items in bytes",
    "elements without end",
)
"""Those that are refused when they come; the others are kept and put into quarantine."""

MAIN = """
import json, resource, sys
from pathlib import Path
from dicom_node.domain.errors import InputError, NodeError
from dicom_node.iod.reading import read_header, read_source
from tests.iod.objects import file_of, radiograph, chest
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

for syntax in (RLELossless, JPEGLSLossless, JPEG2000Lossless):  # everything there is to load
    ds = radiograph(chest())
    ds.compress(syntax, generate_instance_uid=False)
    read_source(file_of(ds))
with open("/proc/self/status") as status:
    (vm,) = [int(line.split()[1]) * 1024 for line in status if line.startswith("VmSize")]
left = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_AS, (vm + left, vm + left))
told = {}
for path in map(Path, sys.argv[2:]):
    data = path.read_bytes()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        read_header(data)
        try:
            read_source(data)
            found = ["taken", ""]
        except NodeError as error:
            found = ["quarantined", str(error)]
    except InputError as error:
        found = ["refused", str(error)]
    except MemoryError:
        found = ["out of memory", ""]
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    told[path.stem] = [*found, grown * 1024]
    del data
print(json.dumps(told))
"""


def _inserted(before: bytes, what: bytes, ds: Dataset | None = None) -> bytes:
    data = file_of(ds or radiograph())
    at = data.index(before)
    return data[:at] + what + data[at:]


def _zeros_deflated(count: int) -> bytes:
    """Zeros that were deflated on their own, to be put in between; made in a moment."""
    deflating = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    deflating.compress(bytes(MIB))
    deflating.flush(zlib.Z_FULL_FLUSH)
    block = deflating.compress(bytes(MIB)) + deflating.flush(zlib.Z_FULL_FLUSH)
    return block * (count // MIB)


def _deflated(before: bytes, head: bytes, zeros: int) -> bytes:
    """A deflated file with an element of zeros before another one."""
    ds = radiograph()
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    packed = file_of(ds)
    at = 144 + int.from_bytes(packed[140:144], "little")
    body = zlib.decompress(packed[at:], -zlib.MAX_WBITS)
    cut = body.index(before)
    deflating = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    first = deflating.compress(body[:cut] + head) + deflating.flush(zlib.Z_FULL_FLUSH)
    rest = deflating.compress(body[cut:]) + deflating.flush()
    return packed[:at] + first + _zeros_deflated(zeros) + rest


def deflated_header() -> bytes:
    """4 GiB before Modality (0008,0060)."""
    head = b"\x08\x00\x5f\x00UN\0\0" + struct.pack("<I", 4 * GIB - 2 * MIB)
    return _deflated(b"\x08\x00\x60\x00CS", head, 4 * GIB - 2 * MIB)


def deflated_pixels() -> bytes:
    """2 GiB after an honest header."""
    head = b"\x30\x00\x10\x10UN\0\0" + struct.pack("<I", 2 * GIB)
    return _deflated(b"\xe0\x7f\x10\x00OW", b"\xe0\x7f\x01\x00" + head[4:], 2 * GIB)


def _encoded(syntax: str, change: Callable[[bytearray], None], *, bits: int = 12) -> bytes:
    values = chest() >> (12 - bits)
    ds = radiograph(values, BitsAllocated=16 if bits > 8 else 8, BitsStored=bits, HighBit=bits - 1)
    ds.compress(syntax, generate_instance_uid=False)
    data = bytearray(ds.PixelData)
    change(data)
    ds.PixelData = bytes(data)
    return file_of(ds)


def jpeg_2000_size() -> bytes:
    """65 000 x 65 000 pixels in a few kilobytes."""

    def change(data: bytearray) -> None:
        at = data.index(b"\xff\x4f\xff\x51") + 8
        data[at : at + 8] = struct.pack(">II", 65_000, 65_000)
        data[at + 16 : at + 24] = struct.pack(">II", 65_000, 65_000)

    return _encoded(JPEG2000Lossless, change)


def jpeg_2000_tiles() -> bytes:
    """A tile for every pixel."""

    def change(data: bytearray) -> None:
        at = data.index(b"\xff\x4f\xff\x51") + 24
        data[at : at + 8] = struct.pack(">II", 1, 1)

    return _encoded(JPEG2000Lossless, change)


def jpeg_ls_size() -> bytes:
    """65 000 x 65 000 pixels."""

    def change(data: bytearray) -> None:
        at = data.index(b"\xff\xf7") + 5
        data[at : at + 4] = struct.pack(">HH", 65_000, 65_000)

    return _encoded(JPEGLSLossless, change)


def jpeg_size() -> bytes:
    """65 000 x 65 000 pixels of three samples."""
    from PIL import Image

    buffer = BytesIO()
    Image.fromarray((chest() >> 4).astype(np.uint8)).save(buffer, "JPEG")
    data = bytearray(buffer.getvalue())
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", 65_000, 65_000)
    ds = radiograph(chest() >> 4, BitsAllocated=8, BitsStored=8, HighBit=7)
    ds.PixelData = encapsulate([bytes(data)])
    ds["PixelData"].VR = "OB"
    ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    return file_of(ds)


def runs() -> bytes:
    """Runs of RLE that unfold to 1 GiB."""
    ds = radiograph()
    half = b"\x81\x00" * (4 * MIB)
    head = struct.pack("<16I", 2, 64, 64 + len(half), *[0] * 13)
    ds.PixelData = encapsulate([head + half + half])
    ds["PixelData"].VR = "OB"
    ds.file_meta.TransferSyntaxUID = RLELossless
    return file_of(ds)


def encapsulated_rows() -> bytes:
    """A data set and its frame that agree on 65 000 x 65 000."""
    ds = radiograph()
    ds.compress(JPEG2000Lossless, generate_instance_uid=False)
    data = bytearray(ds.PixelData)
    at = data.index(b"\xff\x4f\xff\x51") + 8
    data[at : at + 8] = data[at + 16 : at + 24] = struct.pack(">II", 65_000, 65_000)
    ds.PixelData = bytes(data)
    ds.Rows = ds.Columns = 65_000
    return file_of(ds)


def items_without_end() -> bytes:
    """Two million empty items in a sequence of undefined length."""
    many = b"\xfe\xff\x00\xe0\0\0\0\0" * (2 * MIB) + b"\xfe\xff\xdd\xe0\0\0\0\0"
    return _inserted(b"\x08\x00\x60\x00CS", b"\x08\x00\x5f\x00SQ\0\0" + UNDEFINED + many)


def items_in_bytes() -> bytes:
    """Two million empty items in a sequence that the rules look into."""
    many = b"\xfe\xff\x00\xe0\0\0\0\0" * (2 * MIB)
    head = b"\x08\x00\x18\x22SQ\0\0" + struct.pack("<I", len(many))
    return _inserted(b"\x10\x00\x10\x00PN", head + many)


def elements_without_end() -> bytes:
    """A million private elements without a value."""
    many = b"".join(
        struct.pack("<HH2sH", 0x0101 + 2 * (number >> 16), number & 0xFFFF, b"LO", 0)
        for number in range(MIB)
    )
    return _inserted(b"\x10\x00\x10\x00PN", many)


def values_without_end() -> bytes:
    """32 million values of an attribute the rules ask about."""
    ds = radiograph(BodyPartExamined=None)
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    many = struct.pack("<HHI", 0x0018, 0x0015, 32 * MIB) + b"\\" * (32 * MIB)
    return _inserted(b"\x18\x00\x60\x00", many, ds)


def length_of_nothing() -> bytes:
    """An element that announces 4 GiB and has ten bytes."""
    data = file_of(radiograph())
    at = data.index(b"\xe0\x7f\x10\x00OW")
    return data[: at + 8] + struct.pack("<I", 0xFFFFFFF0) + bytes(10)


def _with(**attributes: object) -> Callable[[], bytes]:
    return lambda: file_of(radiograph(**attributes))


BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "deflated header": (deflated_header, "unfolds to more than .* before its Pixel Data"),
    "deflated pixels": (deflated_pixels, "unfolds to more than"),
    "JPEG 2000 size": (jpeg_2000_size, "announces 65000 x 65000"),
    "JPEG 2000 tiles": (jpeg_2000_tiles, "7680 tiles"),
    "JPEG-LS size": (jpeg_ls_size, "announces 65000 x 65000"),
    "JPEG size": (jpeg_size, "announces 65000 x 65000"),
    "runs": (runs, "unfolds to more than its 7680 pixels"),
    "Rows and their frame": (encapsulated_rows, "more than"),
    "Rows": (_with(Rows=65_000, Columns=65_000), "more than"),
    "NumberOfFrames": (_with(NumberOfFrames="2147483647"), "frames"),
    "Samples": (_with(SamplesPerPixel=65_535), "65535 samples"),
    "items without end": (items_without_end, "more than 50000 elements and items"),
    "items in bytes": (items_in_bytes, "more than 50000 elements and items"),
    "elements without end": (elements_without_end, "more than 50000 elements and items"),
    "length of nothing": (length_of_nothing, "cannot be decoded"),
}
"""What makes each, and what it is refused for."""
