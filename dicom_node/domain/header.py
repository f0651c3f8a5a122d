"""The attributes of an image that may decide its route."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

__all__ = ["ROUTING_KEYWORDS", "Header"]

ROUTING_KEYWORDS: Final = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "ImageType",
    "Modality",
    "PresentationIntentType",
    "Manufacturer",
    "ManufacturerModelName",
    "InstitutionName",
    "StationName",
    "StudyDescription",
    "SeriesDescription",
    "ProtocolName",
    "RequestedProcedureDescription",
    "PerformedProcedureStepDescription",
    "BodyPartExamined",
    "AnatomicRegionMeaning",
    "ViewPosition",
    "PatientOrientation",
    "ImageLaterality",
    "PatientAge",
    "PatientSex",
    "SyntheticData",
    "QualityControlImage",
    "BurnedInAnnotation",
    "PhotometricInterpretation",
    "BitsStored",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "TransferSyntaxUID",
    "CallingAETitle",
)
"""What rules may ask about: DICOM keywords, and three that are not attributes of the data set:
``AnatomicRegionMeaning`` (Code Meaning of the first Anatomic Region Sequence item),
``TransferSyntaxUID`` (file meta) and ``CallingAETitle`` (of the association)."""


@dataclass(frozen=True, slots=True)
class Header:
    """Routing attributes of one stored image.

    Attributes:
        values: Keyword of `ROUTING_KEYWORDS` -> its values as text, in order. An attribute that is
            absent or empty is not in the mapping.
        manufactured_here: True when Contributing Equipment or General Equipment names this product.
        accession_number: What people look for images by; no rule may ask about it.
    """

    values: Mapping[str, tuple[str, ...]]
    manufactured_here: bool = False
    accession_number: str = ""

    def __post_init__(self) -> None:
        unknown = sorted(set(self.values) - set(ROUTING_KEYWORDS))
        if unknown:
            raise ValueError(f"not routing attributes: {', '.join(unknown)}")
        frozen = {k: tuple(v) for k, v in self.values.items() if any(text for text in v)}
        object.__setattr__(self, "values", MappingProxyType(frozen))

    def get(self, keyword: str) -> tuple[str, ...]:
        """All values of a keyword; empty when absent."""
        return self.values.get(keyword, ())

    def first(self, keyword: str) -> str:
        """The first value of a keyword; empty text when absent."""
        values = self.get(keyword)
        return values[0] if values else ""
