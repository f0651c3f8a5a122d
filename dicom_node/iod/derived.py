"""Synthesized images as DICOM objects, in three forms.

``dx`` is Digital X-Ray Image Storage - For Presentation, ``sc`` Secondary Capture with Conversion
Type SYN; each object is one view. ``multiframe`` (`multiframe`) holds all of them. Patient and
study are the source's, equipment and times are this node's, everything that says from where the
image looks is computed from its own view, and nothing that speaks of an exposure is written: this
view was never exposed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from io import BytesIO
from typing import TYPE_CHECKING, Final

import numpy as np
from pydicom import dcmwrite
from pydicom.charset import convert_encodings, default_encoding
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as ItemSequence
from pydicom.uid import UID, ExplicitVRLittleEndian

from dicom_node import PRODUCT, __version__
from dicom_node.domain.writing import Form
from dicom_node.iod.anatomy import decimal, put_anatomy, put_view
from dicom_node.iod.banner import add_banner, view_words
from dicom_node.iod.derivation import derivation_words, put_derivation
from dicom_node.iod.elements import text
from dicom_node.iod.equipment import ascii_text, put_equipment
from dicom_node.iod.patient import copy_patient_and_study
from synthesis.types import FIELD_MM

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dicom_node.domain.provenance import Provenance
    from dicom_node.iod.grey import GreyScale
    from dicom_node.iod.lossy import LossyHistory
    from dicom_node.iod.reading import Source
    from synthesis.types import Radiograph

__all__ = [
    "CAPTURED",
    "IMPLEMENTATION_UID",
    "PRIVATE_GROUP",
    "PROVENANCE_ELEMENT",
    "SOP_CLASS",
    "SeriesIdentity",
    "build",
    "comments",
    "complete",
    "encode",
    "in_zone_of",
    "painted_values",
    "put_lossy",
    "put_marks",
    "put_pixels",
    "put_series",
    "put_spacing",
]

SOP_CLASS: Final = {
    Form.DX: "1.2.840.10008.5.1.4.1.1.1.1",
    Form.SC: "1.2.840.10008.5.1.4.1.1.7",
    Form.MULTIFRAME: "1.2.840.10008.5.1.4.1.1.7.3",
}
"""SOP Class of each form."""

CAPTURED: Final = "OT"
"""Modality of Secondary Captures: the series is no exposure of the source's modality, is not
counted as one, and is a stack to viewers, which take each image of CR and DX by itself."""

PRIVATE_GROUP: Final = 0x0099
"""Group of the private block that holds the provenance."""

PROVENANCE_ELEMENT: Final = 0x01
"""Element of the provenance (UT, canonical JSON) in the private block."""

IMPLEMENTATION_UID: Final = UID("2.25.157227821483126095057375779078179253488")
"""Implementation Class UID of the files this product writes (PS3.7 D.3.3.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesIdentity:
    """The series that an image goes into.

    Attributes:
        series_instance_uid: Derived from the job and the form.
        series_number: As shown in viewers.
        device_uid: Of this node.
    """

    series_instance_uid: str
    series_number: int
    device_uid: str


def build(
    source: Source,
    image: Radiograph,
    *,
    form: Form,
    banner: bool,
    provenance: Provenance,
    series: SeriesIdentity,
    sop_instance_uid: str,
    synthesized_at: datetime,
) -> Dataset:
    """The whole object for one synthesized image, of a form that holds one.

    Args:
        source: The radiograph it was made from.
        image: The synthesized one, in the source's detector values, seen from ``provenance.view``.
        form: dx or sc.
        banner: Whether the mark is burned in above and below the image.
        provenance: How it came to be.
        series: Where it goes.
        sop_instance_uid: Its own.
        synthesized_at: With a time zone. Times are written in the time zone that the source
            states, since one Timezone Offset holds for the study's times as well.

    Returns:
        A data set that `encode` writes and `conformance.verify` checks.

    Raises:
        ImageError: The source's patient or study is too broken to be copied.
    """
    at = in_zone_of(source.dataset, synthesized_at)
    ds = Dataset()
    copy_patient_and_study(source.dataset, ds)
    put_series(ds, form=form, provenance=provenance, series=series, at=at)
    ds.SOPInstanceUID = sop_instance_uid
    ds.InstanceNumber = str(provenance.index + 1)
    put_equipment(source.dataset, ds, provenance=provenance, device_uid=series.device_uid, at=at)
    put_marks(ds, source, banner=banner)
    nominal = provenance.spacing_nominal or image.spacing_mm is None
    ds.ImageComments = comments(view_words(provenance.view), nominal=nominal)
    put_derivation(ds, source.dataset, derivation_words(provenance, nominal=nominal))
    put_anatomy(source.dataset, ds)
    put_view(ds, image.view, form)
    put_spacing(ds, image, form, nominal=nominal)
    put_lossy(ds, source.lossy)
    grey = source.grey
    stored = painted_values(image, grey, banner=banner)
    put_pixels(ds, stored, grey, wide=grey.bits_stored > 8)
    if form is Form.DX:
        _put_dx(ds, source.grey)
    else:
        ds.Modality = CAPTURED
        ds.ConversionType = "SYN"
    return complete(ds, provenance.to_json())


def complete(ds: Dataset, provenance_json: str) -> Dataset:
    """The object with its provenance in the private block and its file meta."""
    block = ds.private_block(PRIVATE_GROUP, PRODUCT, create=True)
    block.add_new(PROVENANCE_ELEMENT, "UT", provenance_json)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION_UID
    meta.ImplementationVersionName = f"DICOMNODE_{__version__}"[:16]
    ds.file_meta = meta
    return ds


def encode(dataset: Dataset) -> bytes:
    """The whole file (preamble, meta, Explicit VR Little Endian); one content, one byte string."""
    _keep_bytes(dataset)
    buffer = BytesIO()
    dcmwrite(
        buffer,
        dataset,
        implicit_vr=False,
        little_endian=True,
        enforce_file_format=True,
    )
    return buffer.getvalue()


def _keep_bytes(dataset: Dataset) -> None:
    """Let pydicom write raw elements as they are instead of decoding and encoding their text."""
    stated = dataset.get("SpecificCharacterSet")
    encodings = convert_encodings(stated) if stated else default_encoding
    dataset.set_original_encoding(False, True, encodings)
    for tag in list(dataset.keys()):
        element = dataset.get_item(tag)
        if element.VR == "SQ" and not element.is_raw:
            for item in element.value:
                _keep_bytes(item)


def in_zone_of(source: Dataset, at: datetime) -> datetime:
    """The instant in the time zone that the source states, if any."""
    stated = text(source, "TimezoneOffsetFromUTC")
    if len(stated) == 5 and stated[0] in "+-" and stated[1:].isdigit():
        minutes = int(stated[1:3]) * 60 + int(stated[3:])
        if minutes <= 14 * 60:
            offset = timedelta(minutes=minutes if stated[0] == "+" else -minutes)
            return at.astimezone(timezone(offset))
    return at


def put_series(
    ds: Dataset,
    *,
    form: Form,
    provenance: Provenance,
    series: SeriesIdentity,
    at: datetime,
) -> None:
    """The class, the series and the times of an image."""
    ds.SOPClassUID = SOP_CLASS[form]
    ds.SeriesInstanceUID = series.series_instance_uid
    ds.SeriesNumber = str(series.series_number)
    # The same in every image of the series, so it names the source's view; each image's own view
    # is in its Image Comments, Derivation Description and banner.
    ds.SeriesDescription = ascii_text(
        f"AI SYNTHETIC {provenance.model.name} views from {provenance.source_view.label}"
    )
    ds.InstanceCreationDate = ds.ContentDate = at.strftime("%Y%m%d")
    ds.InstanceCreationTime = ds.ContentTime = at.strftime("%H%M%S.%f")
    ds.TimezoneOffsetFromUTC = at.strftime("%z")[:5]


def put_marks(ds: Dataset, source: Source, *, banner: bool) -> None:
    """That the image is synthetic, for whom it is, and whether letters stand in it."""
    # Letters burned into the source may show through in a view close to it, so its YES stays.
    ds.ImageType = ["DERIVED", "SECONDARY", "", "SYNTHETIC"]
    ds.SyntheticData = "YES"
    ds.ContentQualification = "RESEARCH"
    marked_before = text(source.dataset, "BurnedInAnnotation") == "YES"
    ds.BurnedInAnnotation = "YES" if banner or marked_before else "NO"
    ds.RecognizableVisualFeatures = "NO"
    ds.QualityControlImage = "NO"


def comments(words: str, *, nominal: bool) -> str:
    """Image Comments: what is seen, and when nothing in it may be measured, that."""
    return f"AI SYNTHETIC {words}" + ("; not to scale" if nominal else "")


def put_spacing(ds: Dataset, image: Radiograph, form: Form, *, nominal: bool) -> None:
    """The pitch of the pixels, under the name that its form has for it.

    In a DX image it is that at the detector, and viewers call lengths those of a projection. A
    Secondary Capture has no name for that one: what it states is a distance in the patient
    (PS3.3 10.7), by which viewers measure plain millimetres. So it is brought to the depth of the
    isocentre, and says so.

    A nominal one is made up, and a viewer would measure millimetres by it: a Secondary Capture
    goes without, so that lengths are in pixels. A DX image must have one.
    """
    if nominal and form is not Form.DX:
        return
    rows, columns = image.pixels.shape
    spacing = image.spacing_mm or (FIELD_MM / rows, FIELD_MM / columns)
    if form is Form.DX:
        ds.ImagerPixelSpacing = [decimal(each) for each in spacing]
        return
    # Nominal Scanned Pixel Spacing is reserved for digitized film (PS3.3 C.8.6.2).
    factor = image.view.magnification
    ds.PixelSpacing = [decimal(each / factor) for each in spacing]
    ds.PixelSpacingCalibrationType = "GEOMETRY"
    ds.PixelSpacingCalibrationDescription = f"at the isocentre, magnification {factor:.4g}"


def put_lossy(ds: Dataset, lossy: LossyHistory) -> None:
    """What lossy compression the source went through."""
    ds.LossyImageCompression = "01" if lossy.happened else "00"
    if lossy.ratios:
        ds.LossyImageCompressionRatio = [decimal(ratio) for ratio in lossy.ratios]
    if lossy.methods:
        ds.LossyImageCompressionMethod = list(lossy.methods)


def painted_values(image: Radiograph, grey: GreyScale, *, banner: bool) -> NDArray[np.uint16]:
    """Stored values of an image, shape (rows, columns), with the mark above and below if wanted."""
    stored = grey.to_stored(image.pixels)
    if not banner:
        return stored
    ends = [float(stored.min()), float(stored.max())]
    ends += [min(max(e, 0.0), grey.maximum) for w in grey.windows for e in (w.low, w.high)]
    black, white = (min(ends), max(ends)) if grey.gain > 0 else (max(ends), min(ends))
    return add_banner(stored, image.view, black=round(black), white=round(white))


def put_pixels(ds: Dataset, stored: NDArray[np.uint16], grey: GreyScale, *, wide: bool) -> None:
    """Pixel Data and what describes it, windows included.

    Args:
        ds: The object.
        stored: Values, shape (..., rows, columns).
        grey: Their scale.
        wide: Whether a pixel takes two bytes.
    """
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = grey.photometric_interpretation
    ds.Rows, ds.Columns = stored.shape[-2:]
    ds.BitsAllocated = 16 if wide else 8
    ds.BitsStored = grey.bits_stored
    ds.HighBit = grey.bits_stored - 1
    ds.PixelRepresentation = 0
    data = stored.astype("<u2" if wide else np.uint8).tobytes()
    ds.add_new("PixelData", "OW" if wide else "OB", data + b"\0" * (len(data) % 2))
    ds.WindowCenter = [decimal(window.center) for window in grey.windows]
    ds.WindowWidth = [decimal(window.width) for window in grey.windows]
    if any(window.explanation for window in grey.windows):
        ds.WindowCenterWidthExplanation = [w.explanation or "WINDOW" for w in grey.windows]


def _put_dx(ds: Dataset, grey: GreyScale) -> None:
    """What the DX modules ask for beyond the common ones (PS3.3 C.8.11)."""
    ds.Modality = "DX"
    ds.PresentationIntentType = "FOR PRESENTATION"
    ds.DetectorType = None
    ds.PixelIntensityRelationship = grey.relationship
    # Sign 1: lower values are less beam intensity, as where dense matter is stored low.
    ds.PixelIntensityRelationshipSign = -1 if grey.gain > 0 else 1
    ds.RescaleIntercept = "0"
    ds.RescaleSlope = "1"
    ds.RescaleType = "US"
    ds.PresentationLUTShape = "IDENTITY" if grey.gain > 0 else "INVERSE"
    ds.AcquisitionContextSequence = ItemSequence([])
