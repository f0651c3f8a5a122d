"""What an image shows and from where: region, laterality, view (PS3.3 C.8.11.2, C.8.11.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as ItemSequence
from pydicom.sr.codedict import codes
from pydicom.tag import Tag

from dicom_node.domain.writing import Form
from dicom_node.iod.codes import code_item
from dicom_node.iod.elements import carried, has_value, items, text
from dicom_node.iod.orientation import patient_orientation

if TYPE_CHECKING:
    from pydicom.sr.coding import Code

    from synthesis.types import View

__all__ = ["decimal", "put_anatomy", "put_view", "view_code", "view_position"]

CHEST: Final = codes.SCT.Chest
"""(816094009, SCT): CID 4009, the region this product is made for."""

ALIGNED_DEG: Final = 0.5
"""A view this close to a principal one goes by its name."""

_ANATOMIC_REGION: Final = Tag(0x00082218)


def put_anatomy(source: Dataset, target: Dataset) -> None:
    """Region, laterality and body part as the source states them; an unpaired chest if it is mute.

    Laterality of the series is left out, as it must not stand beside Image Laterality.
    """
    if items(source, "AnatomicRegionSequence"):
        target[_ANATOMIC_REGION] = carried(source, _ANATOMIC_REGION)
    else:
        target.AnatomicRegionSequence = ItemSequence([code_item(CHEST)])
    stated = text(source, "ImageLaterality") or text(source, "Laterality")
    target.ImageLaterality = stated if stated in ("R", "L", "U", "B") else "U"
    tag = Tag(0x00180015)
    if has_value(source, "BodyPartExamined"):
        target[tag] = carried(source, tag)
    else:
        target.BodyPartExamined = "CHEST"


def _near(angle_deg: float, wanted_deg: float) -> bool:
    return abs((angle_deg - wanted_deg + 180.0) % 360.0 - 180.0) <= ALIGNED_DEG


def view_position(view: View) -> str:
    """View Position: AP, PA, LL, RL, else LLO or RLO by the side of the detector."""
    for position, primary in (("PA", 0.0), ("AP", 180.0), ("LL", 90.0), ("RL", -90.0)):
        if _near(view.primary_deg, primary):
            return position
    return "LLO" if view.primary_deg > 0 else "RLO"


def view_code(view: View) -> Code:
    """The view in CID 4010: the part of the patient that is nearest to the detector names it."""
    primary = view.primary_deg
    principal: tuple[tuple[float, Code], ...] = (
        (0.0, codes.SCT.PosteroAnterior),
        (180.0, codes.SCT.AnteroPosterior),
        (90.0, codes.SCT.LeftLateral),
        (-90.0, codes.SCT.RightLateral),
    )
    for angle, code in principal:
        if _near(primary, angle):
            return code
    oblique: Code
    if primary > 0:
        oblique = codes.SCT.LeftAnteriorOblique if primary < 90 else codes.SCT.LeftPosteriorOblique
    else:
        oblique = (
            codes.SCT.RightAnteriorOblique if primary > -90 else codes.SCT.RightPosteriorOblique
        )
    return oblique


def put_view(target: Dataset, view: View, form: Form) -> None:
    """Everything that says from where the image looks, computed from the view alone.

    The two angles have the meaning of `synthesis.types` because Positioner Type is CARM. A
    Secondary Capture has no View Modifier Code Sequence of the DX kind, so there the angles say it.
    """
    target.ViewPosition = view_position(view)
    item = code_item(view_code(view))
    modifiers = []
    if view.secondary_deg > ALIGNED_DEG:
        # The detector is cranial, so the beam runs towards the head.
        modifiers.append(code_item(codes.cid4011.Cephalad))
    elif view.secondary_deg < -ALIGNED_DEG:
        modifiers.append(code_item(codes.cid4011.Caudad))
    if modifiers and form is Form.DX:
        item.ViewModifierCodeSequence = ItemSequence(modifiers)
    target.ViewCodeSequence = ItemSequence([item])
    target.PatientOrientation = list(patient_orientation(view))
    target.PositionerType = "CARM"
    target.PositionerPrimaryAngle = decimal(view.primary_deg)
    target.PositionerSecondaryAngle = decimal(view.secondary_deg)


def decimal(value: float) -> str:
    """A Decimal String of at most 16 characters (PS3.5 6.2)."""
    for digits in range(10, 4, -1):
        shown = f"{value + 0.0:.{digits}g}"
        if len(shown) <= 16:
            return shown
    return f"{value:.4g}"
