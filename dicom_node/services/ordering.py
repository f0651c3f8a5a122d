"""Work that a person orders beside the rules: other views of an image, one more destination."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dicom_node.domain.errors import IntegrityError
from dicom_node.domain.identifiers import job_key
from dicom_node.domain.jobs import Target
from dicom_node.iod.reading import read_header, source_view
from dicom_node.ports import NewJob
from dicom_node.services.planning import SEED_POLICY, seed_of

if TYPE_CHECKING:
    from dicom_node.domain.identifiers import JobKey
    from dicom_node.domain.routes import Destination, ViewPlan
    from dicom_node.ports import Clock, ConsoleLedger, Spool
    from dicom_node.ports.console import JobRecord

__all__ = ["Ordering"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordering:
    """A `ports.console.Orders`.

    Attributes:
        ledger: Rows in and out.
        spool: Where the source lies.
        clock: Stamps.
        view_sets: By name, as configured now.
        destinations: By name, as configured now.
        wake: Called after something was ordered.
    """

    ledger: ConsoleLedger
    spool: Spool
    clock: Clock
    view_sets: Callable[[], Mapping[str, ViewPlan]]
    destinations: Callable[[], Mapping[str, Destination]]
    wake: Callable[[], None]

    def send_to(self, record: JobRecord, destination: str) -> int:
        """See `ports.console.Orders.send_to`."""
        to = self.destinations().get(destination)
        if to is None:
            raise IntegrityError(f"destination {destination} is not configured")
        target = Target(
            destination=to.name,
            form=to.form,
            banner=to.banner,
            matrix=to.matrix,
            documents=to.documents,
        )
        number = self.ledger.send_also(record.row.job.key, target, self.clock())
        self.wake()
        return number

    def synthesize_again(self, record: JobRecord, view_set: str, who: str) -> JobKey:
        """See `ports.console.Orders.synthesize_again`."""
        plan = self.view_sets().get(view_set)
        if plan is None:
            raise IntegrityError(f"view set {view_set} is not configured")
        job = record.row.job
        data = self.spool.read(job.source_digest)
        header = read_header(data, calling_ae_title=job.calling_ae_title)
        views = plan.resolve(source_view(header))
        content = {
            "route_digest": job.order.route_digest,
            "views_digest": views.digest,
            "weights_digest": job.order.weights_digest,
        }
        key = job_key(source_digests=[job.source_digest], seed_policy=SEED_POLICY, **content)
        order = replace(
            job.order, views=views, seed=seed_of(source_digest=job.source_digest, **content)
        )
        detail = f"ordered by {who} with the views {view_set}"
        new = NewJob(key=key, order=order)
        if not self.ledger.add_job(record.image.id, new, detail, self.clock()):
            raise IntegrityError(f"there is a job with these views already: {key[:12]}")
        self.wake()
        return key
