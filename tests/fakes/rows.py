"""Rows for tests of the ledger: small, complete, told apart by a number."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from dicom_node.domain.deliveries import DerivedInstance
from dicom_node.domain.identifiers import JobKey, derived_uid
from dicom_node.domain.jobs import Order, Target
from dicom_node.domain.routes import Term
from dicom_node.domain.writing import Form
from dicom_node.ports import DecidedAs, DecisionRow, NewImage, NewJob, Product
from synthesis.types import View, ViewSet

if TYPE_CHECKING:
    from dicom_node.domain.jobs import Job
    from dicom_node.ports import Ledger

PACS = Target(destination="pacs", form=Form.DX)
TERM = Term(route="chest", path="when", text="Modality equals CR", actual="CR", holds=True)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def image(number: int, *, content: str = "") -> NewImage:
    return NewImage(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.1",
        sop_instance_uid=f"1.2.3.{number}",
        study_instance_uid="1.2.3",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        calling_ae_title="MODALITY",
        digest=digest(f"image {number} {content}"),
        size_bytes=100 + number,
    )


def order(
    *, priority: int = 5, targets: tuple[Target, ...] = (PACS,), views: int = 2, seed: int = 7
) -> Order:
    return Order(
        route="chest",
        route_digest=digest("route"),
        model="chest",
        weights_digest=digest("weights"),
        views=ViewSet(
            name="sweep", views=tuple(View(primary_deg=30.0 * (i + 1)) for i in range(views))
        ),
        samples=1,
        steps=None,
        seed=seed,
        targets=targets,
        priority=priority,
    )


def job_of(number: int, **kwargs: object) -> NewJob:
    return NewJob(key=JobKey(digest(f"job {number}")), order=order(**kwargs))  # type: ignore[arg-type]


def decision(kind: DecidedAs = DecidedAs.ACCEPT, reason: str = "route chest holds") -> DecisionRow:
    accepted = kind is DecidedAs.ACCEPT
    return DecisionRow(
        decided_as=kind,
        route="chest" if accepted else "",
        route_digest=digest("route") if accepted else "",
        reason=reason,
        terms=(TERM,),
    )


def products(job: Job, content: str = "") -> tuple[Product, ...]:
    made = []
    for writing, documents in job.order.wanted().items():
        name, images = writing.name, writing.images(len(job.order.views))
        for index, document in enumerate((*[None] * images, *documents)):
            instance = DerivedInstance(
                sop_instance_uid=derived_uid(job.key, name, f"instance {index}"),
                sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
                transfer_syntax_uid="1.2.840.10008.1.2.1",
                series_instance_uid=derived_uid(job.key, name, "series"),
                form=writing.form,
                banner=writing.banner,
                matrix=writing.matrix,
                document=document,
                index=index,
                digest=digest(f"{job.key} {name} {index} {content}"),
                size_bytes=1000 + index,
            )
            made.append(Product(instance=instance, provenance_json=f'{{"index":{index}}}'))
    return tuple(made)


def queue(ledger: Ledger, number: int, now: float, **kwargs: object) -> NewJob:
    """Receive image ``number`` and queue its job."""
    ledger.record_image(image(number), now)
    row = next(r for r in ledger.unplanned(1000) if r.image == image(number))
    new = job_of(number, **kwargs)
    ledger.record_decision(row.id, decision(), [new], now)
    return new


def finish(ledger: Ledger, now: float) -> Job:
    """Lease the job that is due and finish it."""
    job = ledger.lease_job(now, 60.0)
    assert job is not None
    ledger.finish_job(job, products(job), now)
    return job
