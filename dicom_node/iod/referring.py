"""What the documents beside the images have in common: whom they are about and what they refer to.

highdicom builds them from data sets of the images. It is given stubs without the patient, since it
would read and encode the patient's text anew; patient and study are then copied from the source
byte for byte, as into the images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydicom.dataset import Dataset
from pydicom.tag import Tag

from dicom_node import MANUFACTURER, PRODUCT, __version__
from dicom_node.iod.derived import complete, in_zone_of
from dicom_node.iod.elements import numbers, texts
from dicom_node.iod.equipment import ascii_text, put_equipment
from dicom_node.iod.multiframe import provenance_json
from dicom_node.iod.patient import REQUIRED_EMPTY, copy_patient_and_study

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from pydicom.tag import BaseTag

    from dicom_node.domain.provenance import Provenance
    from dicom_node.iod.derived import SeriesIdentity
    from dicom_node.iod.reading import Source

__all__ = ["Account", "Written", "finished", "stub"]

_DESCRIBING: Final = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "Modality",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "WindowCenter",
    "WindowWidth",
    "WindowCenterWidthExplanation",
)

_FROM_STUB: Final = frozenset({Tag(0x00080020), Tag(0x00080030), Tag(0x00080050), Tag(0x00200010)})
"""Study Date and Time, Accession Number, Study ID: empty in a stub."""


_DROPPED: Final = frozenset({Tag(0x00080005), Tag(0x00080090), Tag(0x00181000)})
"""Specific Character Set and Referring Physician of a stub, and the device's serial number."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Written:
    """One image object, as documents refer to it.

    Attributes:
        stub: What `stub` leaves of it.
        provenances: Of its views, a frame each; one when it is no multi-frame object.
    """

    stub: Dataset
    provenances: tuple[Provenance, ...]

    def views(self) -> Iterator[tuple[int | None, Provenance]]:
        """Each view with its frame number, None where the object is one view."""
        for number, provenance in enumerate(self.provenances, 1):
            yield (number if "NumberOfFrames" in self.stub else None), provenance


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Account:
    """Everything a document is made from.

    Attributes:
        source: The radiograph.
        images: That the document goes with, in order.
        series: The document's own.
        sop_instance_uid: The document's own.
        synthesized_at: With a time zone.
    """

    source: Source
    images: tuple[Written, ...]
    series: SeriesIdentity
    sop_instance_uid: str
    synthesized_at: datetime

    @property
    def provenances(self) -> tuple[Provenance, ...]:
        """Of all views, in order."""
        return tuple(one for image in self.images for one in image.provenances)

    @property
    def recorded(self) -> str:
        """The provenances as the document's private block holds them."""
        return provenance_json(self.provenances)

    @property
    def stubs(self) -> list[Dataset]:
        """Of the images."""
        return [image.stub for image in self.images]

    def identity(self) -> dict[str, Any]:
        """Arguments that every class of highdicom takes."""
        return {
            "series_instance_uid": self.series.series_instance_uid,
            "series_number": self.series.series_number,
            "sop_instance_uid": self.sop_instance_uid,
            "instance_number": 1,
            "manufacturer": MANUFACTURER,
            "manufacturer_model_name": PRODUCT,
            "software_versions": __version__,
        }


def stub(dataset: Dataset) -> Dataset:
    """An image without pixels and without a patient."""
    found = Dataset()
    for keyword in _DESCRIBING:
        values = texts(dataset, keyword)
        if not values:
            continue
        value: Any = list(values) if len(values) > 1 else values[0]
        if keyword in ("SamplesPerPixel", "Rows", "Columns"):
            value = int(numbers(dataset, keyword)[0])
        setattr(found, keyword, value)
    for keyword in REQUIRED_EMPTY:
        setattr(found, keyword, None)
    return found


def finished(document: Dataset, account: Account, *, description: str) -> Dataset:
    """The document with patient and study of the source, the devices, times and provenance.

    Args:
        document: As highdicom built it.
        account: What it was built from.
        description: Of its series, after the words AI SYNTHETIC.

    Raises:
        ImageError: The source's patient or study is too broken to be copied.
    """
    source, at = account.source.dataset, in_zone_of(account.source.dataset, account.synthesized_at)
    ds = Dataset()
    ours = {tag for tag in document.keys() if not _of_patient(Tag(tag))}  # noqa: SIM118
    for tag in sorted(ours):
        ds[tag] = document[tag]
    copy_patient_and_study(source, ds)
    put_equipment(
        source,
        ds,
        provenance=account.provenances[0],
        device_uid=account.series.device_uid,
        at=at,
    )
    ds.SeriesDescription = ascii_text(f"AI SYNTHETIC {description}")
    for name in ("InstanceCreation", "Content", "PresentationCreation"):
        if f"{name}Date" in document:
            setattr(ds, f"{name}Date", at.strftime("%Y%m%d"))
            setattr(ds, f"{name}Time", at.strftime("%H%M%S.%f"))
    ds.TimezoneOffsetFromUTC = at.strftime("%z")[:5]
    return complete(ds, account.recorded)


def _of_patient(tag: BaseTag) -> bool:
    """What comes from the source instead, or, a serial number, from nowhere."""
    return tag.group in (0x0010, 0x0012) or tag in _FROM_STUB or tag in _DROPPED
