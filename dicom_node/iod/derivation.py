"""What a derived image was made from and how: in words, in codes, by reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as ItemSequence

from dicom_node import PRODUCT, __version__
from dicom_node.iod.banner import view_words
from dicom_node.iod.codes import ARTIFICIAL_INTELLIGENCE, SOURCE_IMAGE, code_item
from dicom_node.iod.elements import text
from dicom_node.iod.equipment import ascii_text

if TYPE_CHECKING:
    from dicom_node.domain.provenance import Provenance

__all__ = ["DESCRIPTION_LIMIT", "derivation_words", "put_derivation"]

DESCRIPTION_LIMIT: Final = 1024
"""Longest Derivation Description (ST, PS3.5 6.2)."""


def put_derivation(ds: Dataset, source: Dataset, provenance: Provenance, *, nominal: bool) -> None:
    """Derivation Description and Code, Source Image Sequence, Common Instance Reference.

    Args:
        ds: The new object.
        source: The data set of the radiograph it was made from.
        provenance: How it was made.
        nominal: Whether lengths are not to be measured.
    """
    ds.DerivationDescription = derivation_words(provenance, nominal=nominal)
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
    scale = (
        "Lengths are NOMINAL: the source states no pixel spacing, do not measure."
        if nominal
        else "Pixel spacing is that at a virtual detector; lengths are magnified."
    )
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
        f"{provenance.samples}{exposure}. {scale} {_trust_words(provenance)}"
        f"{PRODUCT} {__version__}, route {provenance.route}."
    )
    return ascii_text(words, DESCRIPTION_LIMIT)


def _trust_words(provenance: Provenance) -> str:
    """What is known of how far the view can be trusted; empty when nothing is."""
    words = ""
    if provenance.ineligible:
        words += f"The source was NOT ELIGIBLE, {provenance.ineligible}, and allowed by the route. "
    if provenance.consistency is not None:
        words += f"Epipolar consistency with the source {provenance.consistency:.3f}"
        if provenance.consistency_percentile is not None:
            words += f" (above {provenance.consistency_percentile:.0f} % of pairs of two patients)"
        words += ". "
    if provenance.spread is not None:
        words += f"Mean spread over the samples {provenance.spread:.4g}. "
    return words
