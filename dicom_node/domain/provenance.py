"""Everything needed to explain or repeat a synthesized pixel, as one canonical JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from dicom_node.domain.identifiers import canonical_json
from dicom_node.domain.writing import Matrix

if TYPE_CHECKING:
    from dicom_node.domain.identifiers import JobKey
    from synthesis.types import IntensityScale, ModelIdentity, View

__all__ = ["Provenance"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """How one instance came to be; one per synthesized image, in the ledger and in the object.

    Attributes:
        node_version: Of this software.
        job_key: Of the job that made it.
        route: Name of the deciding route.
        route_digest: Of that route as configured then.
        source_sop_class_uid: Of the radiograph it was made from.
        source_sop_instance_uid: Same.
        source_digest: SHA-256 of the source's file in the spool.
        source_view: Of the source.
        source_spacing_mm: Row and column pitch; None when the source does not state it.
        intensity: The source's scale, which the image's grey levels follow.
        model: The weights.
        view: Of this image.
        index: Position in the view set, from 0.
        sample: Which of the samples of this view was kept, from 0.
        samples: How many were drawn.
        steps: Network evaluations a view.
        seed: Of the noise.
        spacing_nominal: True when lengths are not to be measured.
        exposure: What was subtracted from the view's attenuation, in the source's detector values,
            to expose it as the source was.
        consistency: With the source (epipolar, at most 1); None where it says nothing.
        consistency_percentile: Percent of pairs of views of two patients, at the same turn, that
            agree less.
        spread: Mean of the standard deviation over the samples, in the source's detector values;
            None when one was drawn.
        eligibility: The source's score as an upright frontal chest radiograph, 0 to 1.
        ineligible: Why the source would have been refused, had the route not allowed it.
        matrix: Which pixels it is written in.
        synthesized_at: ISO 8601, with offset.
    """

    node_version: str
    job_key: JobKey
    route: str
    route_digest: str
    source_sop_class_uid: str
    source_sop_instance_uid: str
    source_digest: str
    source_view: View
    source_spacing_mm: tuple[float, float] | None
    intensity: IntensityScale
    model: ModelIdentity
    view: View
    index: int
    sample: int
    samples: int
    steps: int
    seed: int
    spacing_nominal: bool
    synthesized_at: str
    exposure: float = 0.0
    consistency: float | None = None
    consistency_percentile: float | None = None
    spread: float | None = None
    eligibility: float | None = None
    ineligible: str = ""
    matrix: Matrix = Matrix.NATIVE

    def to_json(self) -> str:
        """One text per value."""
        return canonical_json(asdict(self))
