"""What a derived image was made from and how: in words, in codes, by reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as ItemSequence

from dicom_node import PRODUCT, __version__
from dicom_node.domain.writing import Matrix
from dicom_node.iod.banner import view_words
from dicom_node.iod.codes import ARTIFICIAL_INTELLIGENCE, SOURCE_IMAGE, code_item
from dicom_node.iod.elements import text
from dicom_node.iod.equipment import ascii_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dicom_node.domain.provenance import Provenance

__all__ = [
    "DESCRIPTION_LIMIT",
    "derivation_words",
    "matrix_words",
    "put_derivation",
    "scale_words",
    "series_words",
]

DESCRIPTION_LIMIT: Final = 1024
"""Longest Derivation Description (ST, PS3.5 6.2)."""


def put_derivation(ds: Dataset, source: Dataset, words: str) -> None:
    """Derivation Description and Code, Source Image Sequence, Common Instance Reference.

    Args:
        ds: The new object.
        source: The data set of the radiograph it was made from.
        words: How it was made.
    """
    ds.DerivationDescription = words
    ds.DerivationCodeSequence = ItemSequence([code_item(ARTIFICIAL_INTELLIGENCE)])
    item = Dataset()
    item.ReferencedSOPClassUID = text(source, "SOPClassUID")
    item.ReferencedSOPInstanceUID = text(source, "SOPInstanceUID")
    item.SpatialLocationsPreserved = "NO"
    item.PurposeOfReferenceCodeSequence = ItemSequence([code_item(SOURCE_IMAGE)])
    ds.SourceImageSequence = ItemSequence([item])
    instance = Dataset()
    instance.ReferencedSOPClassUID = item.ReferencedSOPClassUID
    instance.ReferencedSOPInstanceUID = item.ReferencedSOPInstanceUID
    group = Dataset()
    group.SeriesInstanceUID = text(source, "SeriesInstanceUID")
    group.ReferencedInstanceSequence = ItemSequence([instance])
    ds.ReferencedSeriesSequence = ItemSequence([group])


def derivation_words(provenance: Provenance, *, nominal: bool) -> str:
    """Model, view, seed and steps for people to read, in at most `DESCRIPTION_LIMIT` characters."""
    model = provenance.model
    scale = scale_words(nominal=nominal)
    exposure = (
        f", exposed like its source by {provenance.exposure:g}" if provenance.exposure else ""
    )
    words = (
        f"Synthesized by artificial intelligence; this view was never exposed. "
        f"View {view_words(provenance.view)}, positioner primary "
        f"{provenance.view.primary_deg:g} and secondary {provenance.view.secondary_deg:g} deg, "
        f"made from the {provenance.source_view.label} radiograph in Source Image Sequence. "
        f"Model {model.name} {model.version} ({model.family}, sha256 {model.digest[:16]}), "
        f"{provenance.steps} steps, seed {provenance.seed}, sample {provenance.sample + 1} of "
        f"{provenance.samples}{exposure}. {matrix_words(provenance)}{scale} "
        f"{_trust_words(provenance)}"
        f"{PRODUCT} {__version__}, route {provenance.route}."
    )
    return ascii_text(words, DESCRIPTION_LIMIT)


def series_words(provenances: Sequence[Provenance], *, nominal: bool) -> str:
    """The same for all views of a job in one object."""
    one = provenances[0]
    model = one.model
    labels = ", ".join(provenance.view.label for provenance in provenances)
    words = (
        f"Synthesized by artificial intelligence; these views were never exposed. "
        f"{len(provenances)} views made from the {one.source_view.label} radiograph in Source "
        f"Image Sequence; positioner angles in the frame vectors. "
        f"Model {model.name} {model.version} ({model.family}, sha256 {model.digest[:16]}), "
        f"{one.steps} steps, seed {one.seed}, {one.samples} samples. "
        f"{matrix_words(one)}{scale_words(nominal=nominal)} {_eligibility_words(one)}"
        f"{PRODUCT} {__version__}, route {one.route}. Frames: {labels}."
    )
    return ascii_text(words, DESCRIPTION_LIMIT)


def scale_words(*, nominal: bool) -> str:
    """What may be measured."""
    if nominal:
        return "Lengths are NOMINAL: the source states no pixel spacing, do not measure."
    return "Pixel spacing is that at a virtual detector; lengths are magnified."


def matrix_words(provenance: Provenance) -> str:
    """How the pixels were brought to the source's; empty when they were not."""
    if provenance.matrix is Matrix.NATIVE:
        return ""
    side = provenance.model.resolution
    return (
        f"RESAMPLED by bicubic interpolation from the model's {side} x {side} pixels to matrix and "
        "pixel spacing of the source; this adds no detail. "
    )


def _eligibility_words(provenance: Provenance) -> str:
    if not provenance.ineligible:
        return ""
    return f"The source was NOT ELIGIBLE, {provenance.ineligible}, and allowed by the route. "


def _trust_words(provenance: Provenance) -> str:
    """What is known of how far the view can be trusted; empty when nothing is."""
    words = _eligibility_words(provenance)
    if provenance.consistency is not None:
        words += f"Epipolar consistency with the source {provenance.consistency:.3f}"
        if provenance.consistency_percentile is not None:
            words += f" (above {provenance.consistency_percentile:.0f} % of pairs of two patients)"
        words += ". "
    if provenance.spread is not None:
        words += f"Mean spread over the samples {provenance.spread:.4g}. "
    return words
