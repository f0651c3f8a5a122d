"""Bytes to a data set, within limits: a small file must not take much memory, whatever it says.

A deflated data set may unfold a thousandfold, and eight bytes may stand for a sequence item that
takes a thousand in memory. Both are counted while they are read, by the reader itself, so that no
other way of reading the same bytes gets past the count.
"""

from __future__ import annotations

import zlib
from io import BytesIO
from typing import TYPE_CHECKING, Final

from pydicom import dcmread
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_dataset, read_preamble, read_sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian

from dicom_node.domain.errors import InputError
from dicom_node.iod.foreign import FOREIGN_ERRORS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataelem import RawDataElement
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence as ItemSequence

__all__ = [
    "ELEMENTS_AT_MOST",
    "HEADER_BYTES",
    "INFLATED_BYTES",
    "parsed",
    "parsed_meta",
    "parsed_sequence",
]

ELEMENTS_AT_MOST: Final = 50_000
"""Elements and items of a data set, those in sequences included. Radiographs have hundreds."""

INFLATED_BYTES: Final = 1 << 28
"""Most that a deflated data set may unfold to: what may come uncompressed as well."""

HEADER_BYTES: Final = 1 << 24
"""Most that a deflated data set may unfold to before its Pixel Data."""

_FIRST_BYTES: Final = 1 << 18
_CHUNK_BYTES: Final = 1 << 16
_PIXEL_GROUP: Final = 0x7FE0
_READS: Final = 2 * ELEMENTS_AT_MOST
"""Reads of a few bytes: an element takes one for its tag, and often one for length or value."""

_FEW_BYTES: Final = 16


class _TooManyError(InputError):
    def __init__(self) -> None:
        super().__init__(
            f"the data set has more than {ELEMENTS_AT_MOST} elements and items: "
            "no image of this kind has"
        )


class _Counted(BytesIO):
    """Bytes that are read a limited number of times."""

    reads = 0
    spent = False

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and 0 <= size <= _FEW_BYTES:
            self.reads += 1
            if self.reads > _READS:
                self.spent = True
                raise _TooManyError
        return super().read(size)


def parsed(data: bytes, *, pixels: bool) -> FileDataset:
    """The data set of a DICOM file.

    Args:
        data: The whole file.
        pixels: Whether to read Pixel Data and what follows it.

    Raises:
        InputError: It is no DICOM, cannot be parsed, or would take more memory than it should.
    """
    file = _Counted(data)
    try:
        meta = _meta(file)
        if str(meta.get("TransferSyntaxUID", "")) == DeflatedExplicitVRLittleEndian:
            return _deflated(memoryview(data)[file.tell() :], meta, pixels=pixels)
        file.seek(0)
        return dcmread(file, stop_before_pixels=not pixels)
    except InputError:
        raise
    except InvalidDicomError:
        raise InputError("not a DICOM file: the DICM prefix or the file meta is missing") from None
    except FOREIGN_ERRORS as error:
        if file.spent:  # pydicom made another error of it on the way
            raise _TooManyError from None
        raise InputError(f"the data set cannot be parsed ({type(error).__name__})") from None


def parsed_meta(data: bytes) -> tuple[FileMetaDataset, int]:
    """The file meta information of a DICOM file, and where its data set begins.

    Raises:
        InputError: It is no DICOM, or this part of it cannot be parsed.
    """
    file = _Counted(data)
    try:
        return _meta(file), file.tell()
    except InvalidDicomError:
        raise InputError("not a DICOM file: the DICM prefix is missing") from None
    except FOREIGN_ERRORS as error:
        raise InputError(
            f"the file meta information cannot be read ({type(error).__name__})"
        ) from None


def parsed_sequence(element: RawDataElement, encoding: str | list[str]) -> ItemSequence:
    """The items of a sequence that was kept as bytes.

    Raises:
        InputError: They are too many.
        Exception: One of `FOREIGN_ERRORS`: they are no items.
    """
    data = element.value or b""
    file = _Counted(data)
    try:
        return read_sequence(
            file, element.is_implicit_VR, element.is_little_endian, len(data), encoding
        )
    except FOREIGN_ERRORS:
        if file.spent:
            raise _TooManyError from None
        raise


def _meta(file: BytesIO) -> FileMetaDataset:
    """The file meta; the file is then at its end (PS3.10 7.1)."""
    read_preamble(file, force=False)
    return FileMetaDataset(
        read_dataset(
            file,
            is_implicit_VR=False,
            is_little_endian=True,
            stop_when=lambda tag, _vr, _length: tag >> 16 != 0x0002,
        )
    )


def _deflated(data: memoryview, meta: FileMetaDataset, *, pixels: bool) -> FileDataset:
    """A deflated data set (PS3.5 A.5), unfolded as far as it is wanted."""
    if pixels and sum(map(len, _unfolding(data, INFLATED_BYTES))) > INFLATED_BYTES:
        raise InputError(f"the deflated data set unfolds to more than {INFLATED_BYTES} bytes")
    for most in (INFLATED_BYTES,) if pixels else (_FIRST_BYTES, HEADER_BYTES):
        file, at_pixels = _Counted(b"".join(_unfolding(data, most))), _Stop()
        whole = len(file.getbuffer()) <= most
        try:
            body = read_dataset(file, False, True, stop_when=None if pixels else at_pixels)
        except FOREIGN_ERRORS:
            if file.spent:
                raise _TooManyError from None
            if whole:
                raise
            continue  # perhaps only because it was cut off
        if whole or at_pixels.reached:
            return _as_file(body, meta)
    raise InputError(
        f"the deflated data set unfolds to more than {HEADER_BYTES} bytes before its Pixel Data"
    )


def _unfolding(data: memoryview, most: int) -> Iterator[bytes]:
    """What it unfolds to, piece by piece, until it ends or that is more than so many bytes."""
    inflating = zlib.decompressobj(-zlib.MAX_WBITS)
    left: bytes | memoryview = data
    count = 0
    while left and not inflating.eof and count <= most:
        piece = inflating.decompress(left, _CHUNK_BYTES)
        left = inflating.unconsumed_tail
        count += len(piece)
        yield piece


class _Stop:
    """Where a header ends: at Pixel Data of any kind, or its offset tables."""

    reached = False

    def __call__(self, tag: int, _vr: str | None, _length: int) -> bool:
        self.reached = self.reached or tag >> 16 == _PIXEL_GROUP
        return self.reached


def _as_file(body: Dataset, meta: FileMetaDataset) -> FileDataset:
    ds = FileDataset("", body, preamble=b"\0" * 128, file_meta=meta)
    ds.set_original_encoding(False, True, body.original_character_set)
    return ds
