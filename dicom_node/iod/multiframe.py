"""All views of a job in one object, which viewers play as a cine loop.

Multi-frame Grayscale Word Secondary Capture (PS3.3 A.8.4). The frames stand in the order of the
views; the angles, names and time of each are in vectors that Frame Increment Pointer points to
(C.8.6.4). What the single-frame forms say of one view (View Position, Patient Orientation,
positioner angles) cannot be said of all of them and is left to the vectors.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from dicom_node.domain.errors import IntegrityError
from dicom_node.domain.writing import Form
from dicom_node.iod.anatomy import decimal, put_anatomy
from dicom_node.iod.derivation import put_derivation, series_words
from dicom_node.iod.derived import (
    CAPTURED,
    comments,
    complete,
    in_zone_of,
    painted_values,
    put_lossy,
    put_marks,
    put_pixels,
    put_series,
    put_spacing,
)
from dicom_node.iod.equipment import put_equipment
from dicom_node.iod.grey import Window
from dicom_node.iod.patient import copy_patient_and_study

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from dicom_node.domain.provenance import Provenance
    from dicom_node.iod.derived import SeriesIdentity
    from dicom_node.iod.grey import GreyScale
    from dicom_node.iod.reading import Source
    from synthesis.types import Radiograph

__all__ = ["FRAME_TIME_MS", "POINTERS", "build", "provenance_json", "upright"]

FRAME_TIME_MS: Final = 200
"""Of a frame: a turn of 180 degrees in steps of 15 takes two and a half seconds."""

SWEEPING: Final = 1
"""Preferred Playback Sequencing: to and fro, as a patient is turned in fluoroscopy."""

MIN_BITS: Final = 9
"""Fewest Bits Stored of this class (PS3.3 A.8.4.4)."""

POINTERS: Final = (
    "FrameTime",
    "FrameLabelVector",
    "FramePrimaryAngleVector",
    "FrameSecondaryAngleVector",
)
"""What Frame Increment Pointer points to."""

_TAGS: Final = {
    "FrameTime": Tag(0x00181063),
    "FrameLabelVector": Tag(0x00182002),
    "FramePrimaryAngleVector": Tag(0x00182003),
    "FrameSecondaryAngleVector": Tag(0x00182004),
}


def build(
    source: Source,
    images: Sequence[Radiograph],
    *,
    banner: bool,
    provenances: Sequence[Provenance],
    series: SeriesIdentity,
    sop_instance_uid: str,
    synthesized_at: datetime,
) -> Dataset:
    """The whole object for all synthesized images of a job.

    Args:
        source: The radiograph they were made from.
        images: In the source's detector values, all of one shape.
        banner: Whether the mark is burned in above and below each.
        provenances: How each came to be.
        series: Where the object goes.
        sop_instance_uid: Its own.
        synthesized_at: With a time zone; see `derived.build`.

    Raises:
        ImageError: The source's patient or study is too broken to be copied.
        IntegrityError: The images are of several shapes or spacings.
    """
    if len({(image.pixels.shape, image.spacing_mm) for image in images}) != 1:
        raise IntegrityError("the views of one job are of several shapes or spacings")
    first = provenances[0]
    at = in_zone_of(source.dataset, synthesized_at)
    ds = Dataset()
    copy_patient_and_study(source.dataset, ds)
    put_series(ds, form=Form.MULTIFRAME, provenance=first, series=series, at=at)
    ds.SOPInstanceUID = sop_instance_uid
    ds.InstanceNumber = "1"
    labels = [image.view.label for image in images]
    put_equipment(source.dataset, ds, provenance=first, device_uid=series.device_uid, at=at)
    put_marks(ds, source, banner=banner)
    nominal = first.spacing_nominal or images[0].spacing_mm is None
    ds.ImageComments = comments(
        f"{len(images)} views, {labels[0]} to {labels[-1]}", nominal=nominal
    )
    put_derivation(ds, source.dataset, series_words(provenances, nominal=nominal))
    put_anatomy(source.dataset, ds)
    ds.PatientOrientation = None
    put_spacing(ds, images[0], Form.MULTIFRAME, nominal=nominal)
    put_lossy(ds, source.lossy)
    grey = upright(source.grey)
    frames = np.stack([painted_values(image, grey, banner=banner) for image in images])
    put_pixels(ds, frames, grey, wide=True)
    ds.Modality = CAPTURED
    ds.ConversionType = "SYN"
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "US"
    ds.PresentationLUTShape = "IDENTITY"
    _put_frames(ds, images)
    return complete(ds, provenance_json(provenances))


def provenance_json(provenances: Sequence[Provenance]) -> str:
    """How each frame came to be, one text: a JSON list in the order of the frames."""
    return f"[{','.join(provenance.to_json() for provenance in provenances)}]"


def upright(grey: GreyScale) -> GreyScale:
    """The source's scale as this class takes it: larger is brighter, in at least `MIN_BITS` bits.

    The units stay, so the windows do; in a scale that runs the other way they are mirrored.
    """
    bits = max(grey.bits_stored, MIN_BITS)
    if grey.gain > 0:
        return replace(grey, bits_stored=bits)
    top = float(grey.maximum)
    return replace(
        grey,
        gain=-grey.gain,
        bias=top - grey.bias,
        bits_stored=bits,
        windows=tuple(
            Window(low=top - each.high, high=top - each.low, explanation=each.explanation)
            for each in grey.windows
        ),
    )


def _put_frames(ds: Dataset, images: Sequence[Radiograph]) -> None:
    """How many there are, what each is, and how they are played."""
    ds.NumberOfFrames = str(len(images))
    ds.FrameIncrementPointer = [_TAGS[keyword] for keyword in POINTERS]
    ds.FrameTime = str(FRAME_TIME_MS)
    ds.RecommendedDisplayFrameRate = str(1000 // FRAME_TIME_MS)
    ds.CineRate = str(1000 // FRAME_TIME_MS)
    ds.PreferredPlaybackSequencing = SWEEPING
    ds.FrameLabelVector = [image.view.label for image in images]
    ds.FramePrimaryAngleVector = [decimal(image.view.primary_deg) for image in images]
    ds.FrameSecondaryAngleVector = [decimal(image.view.secondary_deg) for image in images]
