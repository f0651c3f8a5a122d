"""Which devices had a part in an image (PS3.3 C.12.1, Contributing Equipment Sequence)."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as ItemSequence
from pydicom.tag import Tag

from dicom_node import MANUFACTURER, PRODUCT, __version__
from dicom_node.domain.identifiers import NAMESPACE
from dicom_node.iod.codes import (
    ACQUISITION_EQUIPMENT,
    PROCESSING_EQUIPMENT,
    SYNTHESIZING_EQUIPMENT,
    code_item,
)
from dicom_node.iod.elements import carried, has_value

if TYPE_CHECKING:
    from datetime import datetime

    from pydicom.sr.coding import Code

    from dicom_node.domain.provenance import Provenance

__all__ = ["ascii_text", "model_uid", "put_equipment"]

_SOURCE_DEVICE: Final = {
    "Manufacturer": 0x00080070,
    "InstitutionName": 0x00080080,
    "StationName": 0x00081010,
    "InstitutionalDepartmentName": 0x00081040,
    "ManufacturerModelName": 0x00081090,
    "SoftwareVersions": 0x00181020,
}
"""What is told of the source's device; its serial number and identifiers stay with the source."""


def model_uid(digest: str) -> str:
    """A Device UID that follows from the weights (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid5(NAMESPACE, f'model/{digest}').int}"


def put_equipment(
    source: Dataset,
    target: Dataset,
    *,
    provenance: Provenance,
    device_uid: str,
    at: datetime,
) -> None:
    """General Equipment is this node; the source's device, node and model have contributed.

    Node and model are listed twice, under Synthesizing Equipment (what they did) and under
    Processing Equipment (where IHE AI Results looks for them).

    Args:
        source: Of the radiograph.
        target: The new object.
        provenance: Names the model.
        device_uid: Of this node.
        at: When the image was synthesized, in the time zone of the object.
    """
    target.Manufacturer = MANUFACTURER
    target.ManufacturerModelName = PRODUCT
    target.SoftwareVersions = __version__
    target.DeviceUID = device_uid
    model = provenance.model
    contributions = [_acquisition(source)]
    for purpose in (SYNTHESIZING_EQUIPMENT, PROCESSING_EQUIPMENT):
        contributions.append(
            _device(
                purpose,
                name=PRODUCT,
                versions=[__version__],
                uid=device_uid,
                at=at,
                description="Prepared the source, ran the model and wrote this image",
            )
        )
        contributions.append(
            _device(
                purpose,
                name=ascii_text(model.name),
                versions=[ascii_text(model.version), ascii_text(model.digest)],
                uid=model_uid(model.digest),
                at=at,
                description=f"Model ({ascii_text(model.family)}) that synthesized the pixels",
            )
        )
    target.ContributingEquipmentSequence = ItemSequence(contributions)


def ascii_text(value: str, limit: int = 64) -> str:
    """Text that is the same in every Specific Character Set, fit for an LO."""
    plain = value.encode("ascii", "replace").decode("ascii").replace("\\", "/")
    return "".join(c if c.isprintable() else " " for c in plain)[:limit].strip()


def _acquisition(source: Dataset) -> Dataset:
    item = Dataset()
    for keyword, number in _SOURCE_DEVICE.items():
        if has_value(source, keyword):
            item[Tag(number)] = carried(source, Tag(number))
    if "Manufacturer" not in item:
        item.Manufacturer = "UNKNOWN"
    item.ContributionDescription = "Exposed the source radiograph"
    item.PurposeOfReferenceCodeSequence = ItemSequence([code_item(ACQUISITION_EQUIPMENT)])
    return item


def _device(
    purpose: Code, *, name: str, versions: list[str], uid: str, at: datetime, description: str
) -> Dataset:
    item = Dataset()
    item.Manufacturer = MANUFACTURER
    item.ManufacturerModelName = name
    item.SoftwareVersions = versions if len(versions) > 1 else versions[0]
    item.DeviceUID = uid
    item.ContributionDateTime = at.strftime("%Y%m%d%H%M%S.%f%z")
    item.ContributionDescription = description
    item.PurposeOfReferenceCodeSequence = ItemSequence([code_item(purpose)])
    return item
