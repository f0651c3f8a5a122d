"""Coded concepts as sequence items (PS3.3 8.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from highdicom.sr import CodedConcept
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

if TYPE_CHECKING:
    from pydicom.sr.coding import Code

__all__ = [
    "ACQUISITION_EQUIPMENT",
    "ARTIFICIAL_INTELLIGENCE",
    "PROCESSING_EQUIPMENT",
    "SOURCE_IMAGE",
    "SYNTHESIZING_EQUIPMENT",
    "code_item",
]

ARTIFICIAL_INTELLIGENCE: Final = codes.DCM.ArtificialIntelligence
"""(123110, DCM): how the pixels were derived."""
SOURCE_IMAGE: Final = codes.DCM.SourceImageForImageProcessingOperation
"""(121322, DCM): why the source is referenced."""
ACQUISITION_EQUIPMENT: Final = codes.DCM.AcquisitionEquipment
"""(109101, DCM): the source's device."""
SYNTHESIZING_EQUIPMENT: Final = codes.DCM.SynthesizingEquipment
"""(109100, DCM): node and model."""
PROCESSING_EQUIPMENT: Final = codes.DCM.ProcessingEquipment
"""(109102, DCM): node and model, as IHE AI Results asks for them."""


def code_item(code: Code) -> Dataset:
    """A plain item with value, scheme and meaning."""
    item = Dataset()
    for element in CodedConcept.from_code(code):
        item.add(element)
    return item
