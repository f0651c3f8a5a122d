"""A Grayscale Softcopy Presentation State: mark, view and sides as text beside the images.

The displayed area is the image and two strips below it, each as high as one that `banner` would
have burned in; the text stands in the strips, so it covers no anatomy. None is above the image:
its coordinates would be negative, which the Standard allows (PS3.3 C.10.4) and readers get wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from highdicom.content import ModalityLUTTransformation, PresentationLUTTransformation
from highdicom.pr import (
    AnnotationUnitsValues,
    GraphicAnnotation,
    GraphicLayer,
    GrayscaleSoftcopyPresentationState,
    SoftcopyVOILUTTransformation,
    TextObject,
)

from dicom_node.iod.banner import MARK, banner_rows, view_words
from dicom_node.iod.elements import numbers, texts
from dicom_node.iod.orientation import side_letters
from dicom_node.iod.referring import finished

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from dicom_node.iod.referring import Account
    from synthesis.types import View

__all__ = ["LABEL", "build"]

LABEL: Final = "SYNTHETIC"
"""Content Label."""

_SIDE: Final = 0.02
"""Of the width, left free on both sides of the text."""

_LETTERS: Final = 0.12
"""Of the width, up to where the letters of a side reach."""


def build(account: Account) -> Dataset:
    """The presentation state of all images.

    Raises:
        ImageError: The source's patient or study is too broken to be copied.
    """
    first = account.stubs[0]
    rows, columns = int(first.Rows), int(first.Columns)
    strip = banner_rows(columns, rows)
    share = strip / (rows + 2 * strip)
    layer = GraphicLayer(layer_name=LABEL, order=1, description="Mark and view")
    inverse = first.PhotometricInterpretation == "MONOCHROME1"
    document = GrayscaleSoftcopyPresentationState(
        referenced_images=account.stubs,
        device_serial_number="",
        content_label=LABEL,
        content_description="Synthetic - not for diagnosis; the view of each image",
        graphic_layers=[layer],
        graphic_annotations=[
            GraphicAnnotation(
                referenced_images=[image.stub],
                referenced_frame_number=frame,
                graphic_layer=layer,
                text_objects=_texts(provenance.view, share),
            )
            for image in account.images
            for frame, provenance in image.views()
        ],
        modality_lut_transformation=ModalityLUTTransformation(
            rescale_intercept=0.0, rescale_slope=1.0, rescale_type="US"
        ),
        voi_lut_transformations=[_window(first)],
        presentation_lut_transformation=PresentationLUTTransformation(
            presentation_lut_shape="INVERSE" if inverse else "IDENTITY"
        ),
        **account.identity(),
    )
    (area,) = document.DisplayedAreaSelectionSequence
    area.DisplayedAreaBottomRightHandCorner = [columns, rows + 2 * strip]
    document.Laterality = None  # unknown, of an unpaired part
    return finished(document, account, description="mark and view of each image")


def _window(image: Dataset) -> SoftcopyVOILUTTransformation:
    """The windows of the images, which all have the same."""
    explanations = texts(image, "WindowCenterWidthExplanation")
    return SoftcopyVOILUTTransformation(
        window_center=list(numbers(image, "WindowCenter")),
        window_width=list(numbers(image, "WindowWidth")),
        window_explanation=list(explanations) or None,
    )


def _texts(view: View, share: float) -> list[TextObject]:
    """Mark in the upper strip, view between the sides in the lower, each this share of all."""
    left, right = side_letters(view)
    return [
        TextObject(
            text_value=words,
            units=AnnotationUnitsValues.DISPLAY,
            bounding_box=(begin, 1.0 - above * share, end, 1.0 - (above - 1) * share),
        )
        for words, above, begin, end in (
            (MARK, 2, _SIDE, 1.0 - _SIDE),
            (view_words(view), 1, _LETTERS, 1.0 - _LETTERS),
            (left, 1, _SIDE, _LETTERS),
            (right, 1, 1.0 - _LETTERS, 1.0 - _SIDE),
        )
    ]
