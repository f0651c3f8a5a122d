"""A stored object to a `Header` for the rules, and to a `Source` that views are made from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from dicom_node import MANUFACTURER, PRODUCT
from dicom_node.domain.errors import ImageError, InputError
from dicom_node.domain.header import ROUTING_KEYWORDS, Header
from dicom_node.domain.identifiers import resembles_uid
from dicom_node.iod.decoding import stored_values
from dicom_node.iod.elements import items, text, texts
from dicom_node.iod.foreign import FOREIGN_ERRORS
from dicom_node.iod.grey import Grey, GreyScale, read_grey
from dicom_node.iod.intensity import intensity_scale, with_windows
from dicom_node.iod.lossy import LossyHistory, lossy_history
from dicom_node.iod.matrix import Frame
from dicom_node.iod.orientation import Hanging, hanging
from dicom_node.iod.parsing import parsed
from dicom_node.iod.shutter import stated_field
from dicom_node.iod.spacing import detector_spacing_mm, pixel_aspect, squared
from synthesis.cleaning import cleaned
from synthesis.errors import SynthesisError
from synthesis.types import IntensityScale, Radiograph, View

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from pydicom.dataset import FileDataset

    from synthesis.exposure import Field

__all__ = ["Source", "read_header", "read_source", "source_view"]

_NOT_ATTRIBUTES: Final = ("AnatomicRegionMeaning", "TransferSyntaxUID", "CallingAETitle")

FRONTAL_DEG: Final = {"PA": 0.0, "AP": 180.0}
"""Positioner Primary Angle of the two views that are taken as sources."""

_FRONTAL_CODES: Final = {
    ("272479007", "SCT"): "PA",
    ("R-10214", "SRT"): "PA",
    ("R-10214", "SNM3"): "PA",
    ("399348003", "SCT"): "AP",
    ("R-10206", "SRT"): "AP",
    ("R-10206", "SNM3"): "AP",
}
"""Codes of CID 4010 for these two, in the coding schemes the Standard has used for it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Source:
    """A radiograph that views are made from.

    Attributes:
        dataset: As received, without Pixel Data; not to be changed.
        radiograph: The exposed field as hung (patient's left on the right of the screen, head up),
            in attenuation, without letters and text.
        grey: The way from attenuation to the stored values of a derived image.
        lossy: What lossy compression it went through.
        frame: Its whole matrix, of which the radiograph is the exposed field.
    """

    dataset: FileDataset
    radiograph: Radiograph
    grey: GreyScale
    lossy: LossyHistory
    frame: Frame


def _read(data: bytes | Path, *, pixels: bool) -> FileDataset:
    ds = parsed(data if isinstance(data, bytes) else data.read_bytes(), pixels=pixels)
    try:
        known = text(ds, "SOPClassUID") and text(ds, "SOPInstanceUID")
    except FOREIGN_ERRORS as error:
        raise InputError(f"the data set cannot be parsed ({type(error).__name__})") from None
    if not known:
        raise InputError("the data set names no SOP Class and Instance UID: it is not an object")
    return ds


def read_header(data: bytes | Path, *, calling_ae_title: str = "") -> Header:
    """The routing attributes of a DICOM file; Pixel Data is not read.

    Values come as they are, also those that break their VR. View Position, when empty, is taken
    from a View Code Sequence that says PA or AP, as many DX units fill in only that.

    Args:
        data: The whole file (as `event.encoded_dataset()` writes it), or where it lies.
        calling_ae_title: Of the association it came by.

    Raises:
        InputError: It is not DICOM.
    """
    ds = _read(data, pixels=False)
    values = {
        keyword: texts(ds, keyword)
        for keyword in ROUTING_KEYWORDS
        if keyword not in _NOT_ATTRIBUTES
    }
    if not values["ViewPosition"]:
        values["ViewPosition"] = _coded_view(ds)
    regions = items(ds, "AnatomicRegionSequence")
    if regions:
        values["AnatomicRegionMeaning"] = texts(regions[0], "CodeMeaning", parent=ds)
    values["TransferSyntaxUID"] = texts(ds.file_meta, "TransferSyntaxUID")
    values["CallingAETitle"] = (calling_ae_title.strip(),)
    found = {keyword: value for keyword, value in values.items() if value}
    return Header(
        found,
        manufactured_here=_manufactured_here(ds),
        accession_number=text(ds, "AccessionNumber"),
    )


def _coded_view(ds: FileDataset) -> tuple[str, ...]:
    for item in items(ds, "ViewCodeSequence"):
        code = (text(item, "CodeValue"), text(item, "CodingSchemeDesignator"))
        if code in _FRONTAL_CODES:
            return (_FRONTAL_CODES[code],)
    return ()


def _manufactured_here(ds: FileDataset) -> bool:
    devices = (ds, *items(ds, "ContributingEquipmentSequence"))
    return any(
        text(device, "Manufacturer", parent=ds) == MANUFACTURER
        and text(device, "ManufacturerModelName", parent=ds) == PRODUCT
        for device in devices
    )


def source_view(header: Header) -> View:
    """The view a radiograph was taken from; its distances are those of the training geometry.

    Raises:
        ImageError: It is neither PA nor AP.
    """
    position = header.first("ViewPosition").upper()
    if position not in FRONTAL_DEG:
        raise ImageError("View Position is neither PA nor AP: views are made from these two")
    return View(primary_deg=FRONTAL_DEG[position])


def read_source(data: bytes) -> Source:
    """Decode a radiograph; bring its exposed field to attenuation and the hanging convention.

    Args:
        data: The whole file.

    Raises:
        InputError: It is not DICOM.
        ImageError: It is not one grey PA or AP image, cannot be decoded, or shows nothing.
    """
    view = source_view(read_header(data))
    ds = _read(data, pixels=True)
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID"):
        if not resembles_uid(text(ds, keyword)):
            raise ImageError(f"{keyword} is absent or no UID: derived images would belong nowhere")
    turn = hanging(texts(ds, "PatientOrientation"))
    stored = stored_values(ds)
    lossy = lossy_history(ds, pixels=stored.size)
    grey = read_grey(ds, stored)
    shape = grey.valid.shape
    grey, pixels, intensity, field = _seen(ds, grey)
    spacing_mm = detector_spacing_mm(ds, view)
    if spacing_mm is None:
        pixels = squared(pixels, pixel_aspect(ds))
    try:
        radiograph = Radiograph(
            pixels=turn.apply(pixels).astype(np.float32, copy=False),
            spacing_mm=turn.spacing(spacing_mm),
            view=view,
            intensity=intensity,
        )
    except SynthesisError as error:
        raise ImageError(f"{error}") from error
    del ds.PixelData
    return Source(
        dataset=ds,
        radiograph=radiograph,
        grey=with_windows(grey, intensity),
        lossy=lossy,
        frame=_frame(shape, field, turn, radiograph.pixels.shape),
    )


def _frame(shape: tuple[int, ...], field: Field, turn: Hanging, hung: tuple[int, ...]) -> Frame:
    """Where the field lies in the whole matrix, both turned as they are hung.

    Args:
        shape: Of the matrix as stored.
        field: In it.
        turn: To the hung image.
        hung: Shape of the field as hung, with square pixels where no spacing is stated.
    """
    spans = [(*field.rows, shape[0]), (*field.columns, shape[1])]
    if turn.transpose:
        spans.reverse()
    if turn.flip_rows:
        first, past, whole = spans[0]
        spans[0] = (whole - past, whole - first, whole)
    if turn.flip_columns:
        first, past, whole = spans[1]
        spans[1] = (whole - past, whole - first, whole)
    (top, bottom, rows), (left, right, columns) = spans
    tall, wide = hung[0] / (bottom - top), hung[1] / (right - left)
    return Frame(
        rows=round(rows * tall),
        columns=round(columns * wide),
        top=round(top * tall),
        left=round(left * wide),
        height=hung[0],
        width=hung[1],
    )


def _seen(ds: FileDataset, grey: Grey) -> tuple[Grey, NDArray[np.float32], IntensityScale, Field]:
    """What a model may see: the exposed field alone, its own grey levels, without marks.

    The field is what padding, shutters and collimators that are stated leave, and then what the
    image itself shows of such (`synthesis.cleaning`).
    """
    valid = grey.valid & stated_field(ds, grey.valid.shape)
    clean = cleaned(grey.attenuation, valid)
    intensity = intensity_scale(replace(grey, valid=clean.body), seen=clean.image)
    return replace(grey, valid=clean.field.mask), clean.image, intensity, clean.field
