"""Whether view, spacing, compression history and pixels are those of the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dicom_node.domain.writing import Form, Matrix
from dicom_node.iod.anatomy import view_code, view_position
from dicom_node.iod.banner import banner_rows, letter_masks, painted
from dicom_node.iod.conformance.origin import is_code
from dicom_node.iod.conformance.tables import ANGLE_TOLERANCE_DEG
from dicom_node.iod.elements import items, number, numbers, text, texts
from dicom_node.iod.orientation import patient_orientation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

    from dicom_node.domain.provenance import Provenance
    from dicom_node.iod.grey import GreyScale
    from dicom_node.iod.reading import Source
    from synthesis.types import View

__all__ = ["common_problems", "image_problems", "pixel_problems"]

SIDE = (
    ("PositionerPrimaryAngle", "primary_deg"),
    ("PositionerSecondaryAngle", "secondary_deg"),
)


def image_problems(
    ds: Dataset, source: Source, provenance: Provenance, form: Form
) -> Iterator[str]:
    """What is wrong with the image and with what is said of it."""
    yield from _view(ds, provenance.view)
    yield from common_problems(ds, source, source.grey, form, nominal=provenance.spacing_nominal)
    yield from pixel_problems(ds, source, (provenance,))


def common_problems(
    ds: Dataset, source: Source, grey: GreyScale, form: Form, *, nominal: bool
) -> Iterator[str]:
    """What is wrong with what is said of one view or of many alike.

    Args:
        ds: The object.
        source: Of it.
        grey: The scale of its stored values.
        form: Of it.
        nominal: Whether its pixel spacing would be made up.
    """
    yield from _anatomy(ds)
    yield from _spacing(ds, form, nominal=nominal)
    yield from _lossy(ds, source)
    yield from _grey(ds, grey, form)


def _view(ds: Dataset, view: View) -> Iterator[str]:
    for keyword, attribute in SIDE:
        stated = number(ds, keyword)
        if stated is None or abs(stated - getattr(view, attribute)) > ANGLE_TOLERANCE_DEG:
            yield f"{keyword} is not the provenance's"
    if texts(ds, "PatientOrientation") != patient_orientation(view):
        yield "PatientOrientation is not that of the view"
    if text(ds, "ViewPosition") != view_position(view):
        yield "ViewPosition is not that of the view"
    views = items(ds, "ViewCodeSequence")
    if len(views) != 1 or not is_code(views[0], view_code(view)):
        yield "ViewCodeSequence is not that of the view"


def _anatomy(ds: Dataset) -> Iterator[str]:
    if text(ds, "ImageLaterality") not in ("R", "L", "U", "B"):
        yield "ImageLaterality is not R, L, U or B"
    if not items(ds, "AnatomicRegionSequence"):
        yield "AnatomicRegionSequence is missing"


def _spacing(ds: Dataset, form: Form, *, nominal: bool) -> Iterator[str]:
    here, elsewhere = "ImagerPixelSpacing", "PixelSpacing"
    if form is not Form.DX:
        here, elsewhere = elsewhere, here
    stated = numbers(ds, here)
    if nominal and form is not Form.DX:
        if here in ds:
            yield f"{here} must not be there, the source has none"
    elif len(stated) != 2 or not all(value > 0 for value in stated):
        yield f"{here} is not two positive numbers"
    calibrated = form is not Form.DX and not nominal
    if calibrated and text(ds, "PixelSpacingCalibrationType") != "GEOMETRY":
        yield "PixelSpacingCalibrationType is not GEOMETRY"
    if calibrated and not text(ds, "PixelSpacingCalibrationDescription"):
        yield "PixelSpacingCalibrationDescription is missing"
    calibration = ("PixelSpacingCalibrationType", "PixelSpacingCalibrationDescription")
    for keyword in (elsewhere, "NominalScannedPixelSpacing", *(() if calibrated else calibration)):
        if keyword in ds:
            yield f"{keyword} must not be there"


def _lossy(ds: Dataset, source: Source) -> Iterator[str]:
    if text(ds, "LossyImageCompression") != ("01" if source.lossy.happened else "00"):
        yield "LossyImageCompression does not follow the source"
    ratios = numbers(ds, "LossyImageCompressionRatio")
    if len(ratios) != len(source.lossy.ratios) or not np.allclose(ratios, source.lossy.ratios):
        yield "LossyImageCompressionRatio is not the source's"
    if texts(ds, "LossyImageCompressionMethod") != source.lossy.methods:
        yield "LossyImageCompressionMethod is not the source's"


def _grey(ds: Dataset, grey: GreyScale, form: Form) -> Iterator[str]:
    photometric = grey.photometric_interpretation
    inverse = photometric == "MONOCHROME1"
    if text(ds, "PhotometricInterpretation") != photometric:
        yield "PhotometricInterpretation does not follow the source"
    if number(ds, "BitsStored") != grey.bits_stored:
        yield "BitsStored does not follow the source"
    centers, widths = numbers(ds, "WindowCenter"), numbers(ds, "WindowWidth")
    if not centers or len(centers) != len(widths) or not all(width >= 1 for width in widths):
        yield "WindowCenter and WindowWidth are not a window"
    if form is Form.SC:
        return
    expected = {
        "PresentationLUTShape": ("INVERSE" if inverse else "IDENTITY",),
        "RescaleIntercept": ("0",),
        "RescaleSlope": ("1",),
        "RescaleType": ("US",),
    }
    if form is Form.DX:
        expected["PixelIntensityRelationship"] = (grey.relationship,)
        expected["PixelIntensityRelationshipSign"] = ("1" if inverse else "-1",)
    for keyword, values in expected.items():
        if texts(ds, keyword) != values:
            yield f"{keyword} is not {values[0]}"


def pixel_problems(ds: Dataset, source: Source, provenances: Sequence[Provenance]) -> Iterator[str]:
    """What is wrong with the pixels: length, range, letters, matrix, a frame for each view."""
    marked_before = text(source.dataset, "BurnedInAnnotation") == "YES"
    rows, columns = int(number(ds, "Rows") or 0), int(number(ds, "Columns") or 0)
    allocated, stored = int(number(ds, "BitsAllocated") or 0), int(number(ds, "BitsStored") or 0)
    if allocated not in (8, 16) or number(ds, "HighBit") != stored - 1 or stored > allocated:
        yield "BitsAllocated, BitsStored and HighBit do not fit each other"
        return
    data = getattr(ds.get_item("PixelData"), "value", None) or b""
    count = len(provenances)
    wanted = count * rows * columns * allocated // 8
    if min(rows, columns) < 2 or len(data) != wanted + wanted % 2:
        yield "PixelData is not as long as Rows, Columns and BitsAllocated say"
        return
    values = np.frombuffer(data[:wanted], "<u2" if allocated == 16 else np.uint8)
    frames = values.reshape(count, rows, columns)
    if int(values.max()) >= 1 << stored:
        yield "PixelData holds values beyond BitsStored"
    strips = {
        _banner_rows_in(frame, provenance.view)
        for frame, provenance in zip(frames, provenances, strict=True)
    }
    if len(strips) > 1:
        yield "PixelData carries the banner of its view in some frames only"
        return
    (strip,) = strips
    banner = strip > 0
    annotated = text(ds, "BurnedInAnnotation")
    if annotated not in ("YES", "NO"):
        yield "BurnedInAnnotation is neither YES nor NO"
    elif annotated == "YES" and not banner and not marked_before:
        yield "BurnedInAnnotation is YES, but the banner is not in the pixels"
    elif annotated == "NO" and (banner or marked_before):
        yield "BurnedInAnnotation is NO, but there are letters in the pixels"
    inner = frames[:, strip : rows - strip]
    if any(frame.min() == frame.max() for frame in inner):
        yield "PixelData is constant"
    if provenances[0].matrix is Matrix.MATCH_SOURCE:
        yield from _matched(ds, source, provenances[0].view, (rows - 2 * strip, columns))


def _matched(ds: Dataset, source: Source, view: View, shape: tuple[int, int]) -> Iterator[str]:
    if shape != (source.frame.rows, source.frame.columns):
        yield "Rows and Columns are not those of the source"
    at_detector = numbers(ds, "ImagerPixelSpacing")
    if not at_detector:
        at_detector = tuple(each * view.magnification for each in numbers(ds, "PixelSpacing"))
    wanted = source.radiograph.spacing_mm
    if wanted is not None and not np.allclose(at_detector, wanted, rtol=1e-6):
        yield "the pixel spacing is not that of the source"
    if "RESAMPLED" not in text(ds, "DerivationDescription"):
        yield "DerivationDescription does not say that the image was resampled"


def _banner_rows_in(values: NDArray[np.generic], view: View) -> int:
    """Rows of each strip when the image carries exactly the banner of its view, else 0."""
    total, width = values.shape
    for strip in range(1, total // 4):
        height = total - 2 * strip
        if banner_rows(width, height) != strip:
            continue
        bands = (values[:strip].astype(np.int64), values[-strip:].astype(np.int64))
        masks = letter_masks(view, width, height)
        if all(_is_painted(band, mask) for band, mask in zip(bands, masks, strict=True)):
            return strip
    return 0


def _is_painted(band: NDArray[np.int64], mask: NDArray[np.float64]) -> bool:
    black = int(band[mask == 0.0][0])
    if mask.max() == 0.0 or (band == black).all():
        return False
    brightest = mask == mask.max()
    white = black + (float(band[brightest][0]) - black) / float(mask.max())
    # One grey level of rounding in the estimate of white, and one in every pixel.
    return bool(np.abs(band - painted(mask, black=black, white=white)).max() <= 2)
