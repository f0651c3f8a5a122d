"""A Structured Report: what was made from what, by which model, and how good it is.

Comprehensive 3D SR by TID 1500, one measurement group a view: the algorithm (TID 4019) with the
name, version and digest that the images' Contributing Equipment has, the positioner angles, and
what is known of how far the view can be trusted. The observer is this node (TID 1004).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import (
    AlgorithmIdentification,
    Comprehensive3DSR,
    DeviceObserverIdentifyingAttributes,
    ImageContentItem,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from dicom_node import MANUFACTURER, PRODUCT, __version__
from dicom_node.domain.identifiers import derived_uid
from dicom_node.iod.banner import MARK
from dicom_node.iod.codes import ARTIFICIAL_INTELLIGENCE, SOURCE_IMAGE
from dicom_node.iod.derivation import matrix_words, scale_words
from dicom_node.iod.equipment import ascii_text
from dicom_node.iod.referring import finished, stub

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset

    from dicom_node.domain.provenance import Provenance
    from dicom_node.iod.referring import Account, Written

__all__ = [
    "CONSISTENCY",
    "ELIGIBILITY",
    "PERCENTILE",
    "SCHEME",
    "SPREAD",
    "algorithm",
    "build",
    "observer",
]

SCHEME: Final = "99DICOMNODE"
"""Coding scheme of the concepts for which the Standard has no code. Values have at most 16
characters: longer ones stand in another attribute, which many readers do not know."""

CONSISTENCY: Final = Code("consistency", SCHEME, "Epipolar consistency with the source")
PERCENTILE: Final = Code("percentile", SCHEME, "Pairs of two patients that agree less")
SPREAD: Final = Code("spread", SCHEME, "Mean standard deviation over the samples")
ELIGIBILITY: Final = Code("eligibility", SCHEME, "Eligibility score of the source")
SYNTHESIZED: Final = Code("synthesized-view", SCHEME, "Synthesized radiographic view")

_PRIMARY: Final = Code("112011", "DCM", "Positioner Primary Angle")
_SECONDARY: Final = Code("112012", "DCM", "Positioner Secondary Angle")
_PROCEDURE: Final = Code("399208008", "SCT", "Plain chest X-ray")
_COMMENT: Final = Code("121106", "DCM", "Comment")


def build(account: Account) -> Dataset:
    """The report about all images.

    Raises:
        ImageError: The source's patient or study is too broken to be copied.
    """
    source = stub(account.source.dataset)
    content = MeasurementReport(
        observation_context=ObservationContext(observer_device_context=observer(account)),
        procedure_reported=_PROCEDURE,
        imaging_measurements=[
            _group(image, frame, provenance)
            for image in account.images
            for frame, provenance in image.views()
        ],
    )
    root = content[0].ContentSequence
    root.append(
        ImageContentItem(
            name=SOURCE_IMAGE,
            referenced_sop_class_uid=source.SOPClassUID,
            referenced_sop_instance_uid=source.SOPInstanceUID,
            relationship_type=RelationshipTypeValues.CONTAINS,
        )
    )
    for words in _sentences(account):
        root.append(
            TextContentItem(
                name=_COMMENT, value=words, relationship_type=RelationshipTypeValues.CONTAINS
            )
        )
    document = Comprehensive3DSR(
        evidence=[source, *account.stubs],
        content=content[0],
        is_complete=True,
        coding_schemes=[
            CodingSchemeIdentificationItem(
                designator=SCHEME,
                name=f"Concepts of {PRODUCT}",
                version=__version__,
                responsible_organization=MANUFACTURER,
            )
        ],
        **account.identity(),
    )
    return finished(document, account, description="report: sources, model and quality")


def observer(account: Account) -> ObserverContext:
    """This node (TID 1004)."""
    return ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=account.series.device_uid,
            name=PRODUCT,
            manufacturer_name=MANUFACTURER,
            model_name=PRODUCT,
        ),
    )


def algorithm(provenance: Provenance) -> AlgorithmIdentification:
    """The model as Contributing Equipment names it, and what it was run with (TID 4019)."""
    model = provenance.model
    return AlgorithmIdentification(
        name=ascii_text(model.name),
        version=ascii_text(model.version),
        manufacturer=MANUFACTURER,
        family=ARTIFICIAL_INTELLIGENCE,
        parameters=[
            f"weights sha256 {ascii_text(model.digest)}",
            f"family {ascii_text(model.family)}",
            f"steps {provenance.steps}",
            f"seed {provenance.seed}",
            f"sample {provenance.sample + 1} of {provenance.samples}",
        ],
    )


def _group(
    image: Written, frame: int | None, provenance: Provenance
) -> MeasurementsAndQualitativeEvaluations:
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=derived_uid(provenance.job_key, "view", f"tracking {provenance.index}"),
            identifier=f"view {provenance.index + 1}: {provenance.view.label}",
        ),
        finding_type=SYNTHESIZED,
        algorithm_id=algorithm(provenance),
        source_images=[
            SourceImageForMeasurementGroup(
                referenced_sop_class_uid=image.stub.SOPClassUID,
                referenced_sop_instance_uid=image.stub.SOPInstanceUID,
                referenced_frame_numbers=None if frame is None else [frame],
            )
        ],
        measurements=list(_measurements(provenance)),
    )


def _measurements(provenance: Provenance) -> Iterator[Measurement]:
    view, degrees, none = provenance.view, codes.UCUM.Degree, codes.UCUM.NoUnits
    yield Measurement(name=_PRIMARY, value=view.primary_deg, unit=degrees)
    yield Measurement(name=_SECONDARY, value=view.secondary_deg, unit=degrees)
    for name, value, unit in (
        (CONSISTENCY, provenance.consistency, none),
        (PERCENTILE, provenance.consistency_percentile, codes.UCUM.Percent),
        (SPREAD, provenance.spread, none),
        (ELIGIBILITY, provenance.eligibility, none),
    ):
        if value is not None:
            yield Measurement(name=name, value=round(float(value), 6), unit=unit)


def _sentences(account: Account) -> Iterator[str]:
    first = account.provenances[0]
    yield (
        f"{MARK}. {len(account.provenances)} views were synthesized by artificial intelligence "
        f"from the {first.source_view.label} radiograph that is referenced here; none of them was "
        f"exposed. Research software, route {ascii_text(first.route)}."
    )
    yield f"{matrix_words(first)}{scale_words(nominal=first.spacing_nominal)}"
    if first.ineligible:
        yield ascii_text(
            f"The source was NOT ELIGIBLE, {first.ineligible}, and allowed by the route.", 1024
        )
