"""From a result of the engine to DICOM files: every variant some destination of the job wants."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Final

from dicom_node import __version__
from dicom_node.domain.deliveries import DerivedInstance
from dicom_node.domain.errors import ConsistencyError, IntegrityError
from dicom_node.domain.identifiers import derived_uid
from dicom_node.domain.provenance import Provenance
from dicom_node.domain.writing import Matrix
from dicom_node.iod import derived, multiframe
from dicom_node.iod.conformance import verify
from dicom_node.iod.conformance.documents import verify_document
from dicom_node.iod.derived import SeriesIdentity
from dicom_node.iod.documents import BUILDERS
from dicom_node.iod.matrix import matched
from dicom_node.iod.referring import Account, Written, stub
from dicom_node.ports import Product

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from pydicom.dataset import Dataset

    from dicom_node.domain.jobs import Job
    from dicom_node.domain.writing import Document, Form, Writing
    from dicom_node.iod.reading import Source
    from dicom_node.ports import Spool
    from synthesis.types import Radiograph, SynthesisResult

__all__ = ["check_consistency", "check_result", "products"]

_FIRST_SERIES_NUMBER: Final = 9000
"""Above what modalities count up to, so that a synthetic series sorts after the exposed ones."""


def check_result(job: Job, result: SynthesisResult) -> None:
    """Nothing, when a result is what the job ordered.

    Raises:
        IntegrityError: Other weights, another seed, or other views.
    """
    order, ordered = job.order, f"job {job.key[:12]} ordered"
    if result.model.digest != order.weights_digest:
        raise IntegrityError(
            f"{ordered} weights {order.weights_digest[:12]} and the engine used "
            f"{result.model.digest[:12]}: configure those weights again and release the job"
        )
    if result.seed != order.seed:
        raise IntegrityError(f"{ordered} seed {order.seed} and the engine used {result.seed}")
    if order.steps is not None and result.steps != order.steps:
        raise IntegrityError(f"{ordered} {order.steps} steps and the engine took {result.steps}")
    if tuple(image.view for image in result.images) != order.views.views:
        raise IntegrityError(f"{ordered} {len(order.views)} views and the engine made others")
    if len(result.chosen) != len(result.images) or not all(
        0 <= sample < order.samples for sample in result.chosen
    ):
        raise IntegrityError(f"{ordered} {order.samples} samples and the engine kept others")


def check_consistency(job: Job, result: SynthesisResult) -> None:
    """Nothing, when every view agrees with its source as well as the route asks.

    A view that consistency says nothing about, such as one from the source's own angle, passes.

    Raises:
        ConsistencyError: Some do not; none of the job's views may be sent, as they were made alike.
        IntegrityError: The engine gave no scores.
    """
    least = job.order.min_consistency
    if least is None:
        return
    if len(result.scores) != len(job.order.views):
        raise IntegrityError(f"job {job.key[:12]} asks for consistency and the engine gave none")
    low = [
        f"{view.label} {score:.3f}"
        for view, score in zip(job.order.views, result.scores, strict=True)
        if score is not None and score < least
    ]
    if low:
        raise ConsistencyError(
            f"consistency with the source is below min_consistency {least:g} of route "
            f"{job.order.route} in {len(low)} of {len(job.order.views)} views: {', '.join(low)}; "
            "nothing was sent: cancel the job, or lower the route's min_consistency, or raise its "
            "samples or steps, and send the radiograph again"
        )


def products(
    job: Job, source: Source, result: SynthesisResult, spool: Spool, *, synthesized_at: datetime
) -> Iterator[Product]:
    """Build, verify and spool every instance of every variant, one by one.

    UIDs follow from the job alone, so a second run of the same job names the same objects. Their
    bytes hold the time of synthesis and may differ; only one run comes to be published, by
    `Ledger.finish_job`, and files of any other belong to nobody.

    Raises:
        IntegrityError: An instance is not what it must be; nothing may be sent.
        CapacityError: The spool is full.
    """
    work = _Work(job=job, source=source, result=result, at=synthesized_at)
    ways = job.order.wanted()
    numbers = count(len(ways))
    for position, (writing, documents) in enumerate(ways.items()):
        series = _series_identity(job, writing.name, position)
        written = []
        for index, (dataset, provenances) in enumerate(work.images(writing, series)):
            verify(dataset, source=source, provenances=provenances, form=writing.form)
            written.append(Written(stub=stub(dataset), provenances=provenances))
            yield Product(
                instance=_spooled(spool, dataset, writing, index),
                provenance_json=_json(writing.form, provenances),
            )
        for index, document in enumerate(documents, len(written)):
            account = work.account(writing, document, tuple(written), next(numbers))
            dataset = BUILDERS[document](account)
            verify_document(dataset, document=document, account=account)
            yield Product(
                instance=_spooled(spool, dataset, writing, index, document),
                provenance_json=account.recorded,
            )


def _spooled(
    spool: Spool,
    dataset: Dataset,
    writing: Writing,
    index: int,
    document: Document | None = None,
) -> DerivedInstance:
    """A finished object in the spool.

    Raises:
        CapacityError: The spool is full.
    """
    spooled = spool.put(derived.encode(dataset))
    return DerivedInstance(
        sop_instance_uid=str(dataset.SOPInstanceUID),
        sop_class_uid=str(dataset.SOPClassUID),
        transfer_syntax_uid=str(dataset.file_meta.TransferSyntaxUID),
        series_instance_uid=str(dataset.SeriesInstanceUID),
        form=writing.form,
        banner=writing.banner,
        matrix=writing.matrix,
        document=document,
        index=index,
        digest=spooled.digest,
        size_bytes=spooled.size_bytes,
    )


def _json(form: Form, provenances: Sequence[Provenance]) -> str:
    if form.holds_all_views:
        return multiframe.provenance_json(provenances)
    return provenances[0].to_json()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """One job, its source and what the engine made of it."""

    job: Job
    source: Source
    result: SynthesisResult
    at: datetime

    def images(
        self, writing: Writing, series: SeriesIdentity
    ) -> Iterator[tuple[Dataset, tuple[Provenance, ...]]]:
        """Every image object of one way of writing, with the provenance of each of its views."""
        made = zip(self._written(writing), self.provenances(writing), strict=True)
        if writing.form.holds_all_views:
            images, provenances = zip(*made, strict=True)
            dataset = multiframe.build(
                self.source,
                images,
                banner=writing.banner,
                provenances=provenances,
                series=series,
                sop_instance_uid=derived_uid(self.job.key, writing.name, "instance 0"),
                synthesized_at=self.at,
            )
            yield dataset, provenances
            return
        for index, (image, provenance) in enumerate(made):
            dataset = derived.build(
                self.source,
                image,
                form=writing.form,
                banner=writing.banner,
                provenance=provenance,
                series=series,
                sop_instance_uid=derived_uid(self.job.key, writing.name, f"instance {index}"),
                synthesized_at=self.at,
            )
            yield dataset, (provenance,)

    def account(
        self, writing: Writing, document: Document, images: tuple[Written, ...], position: int
    ) -> Account:
        """What a document about these images is made from."""
        name = f"{writing.name}/{document}"
        return Account(
            source=self.source,
            images=images,
            series=_series_identity(self.job, name, position),
            sop_instance_uid=derived_uid(self.job.key, name, "instance 0"),
            synthesized_at=self.at,
        )

    def provenances(self, writing: Writing) -> tuple[Provenance, ...]:
        """One a view."""
        return tuple(
            _provenance(self.job, self.source, self.result, index, writing.matrix, self.at)
            for index in range(len(self.result.images))
        )

    def _written(self, writing: Writing) -> Iterator[Radiograph]:
        """The views in the matrix that is wanted, one by one, as they may be large."""
        if writing.matrix is Matrix.NATIVE:
            yield from self.result.images
            return
        source = self.source
        for image in self.result.images:
            yield matched(image, source.frame, source.radiograph.spacing_mm)


def _series_identity(job: Job, name: str, position: int) -> SeriesIdentity:
    """Identifiers of one series of a job; the number is the same whenever the job runs."""
    return SeriesIdentity(
        series_instance_uid=derived_uid(job.key, name, "series"),
        # Ten apart: jobs on one study seldom meet, and series of one job never do.
        series_number=_FIRST_SERIES_NUMBER + int(job.key[:8], 16) % 1000 * 10 + position,
        # The device is the model, and the same one for every job it does.
        device_uid=derived_uid(job.order.weights_digest, "model", "device"),
    )


def _provenance(
    job: Job,
    source: Source,
    result: SynthesisResult,
    index: int,
    matrix: Matrix,
    synthesized_at: datetime,
) -> Provenance:
    order = job.order
    return Provenance(
        node_version=__version__,
        job_key=job.key,
        route=order.route,
        route_digest=order.route_digest,
        source_sop_class_uid=job.source_sop_class_uid,
        source_sop_instance_uid=job.source_sop_instance_uid,
        source_digest=job.source_digest,
        source_view=source.radiograph.view,
        source_spacing_mm=source.radiograph.spacing_mm,
        intensity=source.radiograph.intensity,
        model=result.model,
        view=result.images[index].view,
        index=index,
        sample=result.chosen[index],
        exposure=result.exposures[index] if result.exposures else 0.0,
        consistency=result.scores[index] if result.scores else None,
        consistency_percentile=result.percentiles[index] if result.percentiles else None,
        eligibility=result.eligibility,
        ineligible=result.ineligible,
        spread=None if result.uncertainty is None else float(result.uncertainty[index].mean()),
        samples=order.samples,
        steps=result.steps,
        seed=result.seed,
        spacing_nominal=result.spacing_nominal,
        matrix=matrix,
        synthesized_at=synthesized_at.isoformat(),
    )
