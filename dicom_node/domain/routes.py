"""Who sends to us, to whom we send, and what a route asks for."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from dicom_node.domain.retry import RetryPolicy
from dicom_node.domain.webaccess import Retrieve, WebAccess
from dicom_node.domain.writing import Document, Form, Matrix
from synthesis.types import View, ViewSet, azimuth_sweep

if TYPE_CHECKING:
    from collections.abc import Callable

    from dicom_node.domain.rules import Predicate
    from dicom_node.domain.security import DestinationTls

__all__ = [
    "Accept",
    "Commitment",
    "Decision",
    "Destination",
    "Form",
    "Ignore",
    "Peer",
    "Quarantine",
    "Route",
    "Sweep",
    "Term",
    "ViewPlan",
]


class Commitment(StrEnum):
    """Whether a destination is asked to commit what it stored (PS3.4 J)."""

    NONE = "none"
    IF_SUPPORTED = "if_supported"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One that may call us.

    Attributes:
        ae_title: It calls with.
        host: Address, host name or network (CIDR) it must call from; None for anywhere.
        require_tls: Whether it must call over TLS.
        subject: Attributes that the subject of its certificate must have, with their values.
        may_send: Whether it may store here.
        may_commit: Whether it may ask for storage commitment.
        max_associations: Open at one time; None for no limit of its own.
        associations_per_minute: Begun in a minute; None for no limit.
        images_per_minute: Stored in a minute; None for no limit.
        token: Gives the secret by which it is known when it stores over HTTP, read when it is
            needed, as it may be renewed meanwhile; None when it may not.
    """

    name: str
    ae_title: str
    host: str | None = None
    require_tls: bool = False
    subject: tuple[tuple[str, str], ...] = ()
    may_send: bool = True
    may_commit: bool = True
    max_associations: int | None = None
    associations_per_minute: int | None = None
    images_per_minute: int | None = None
    token: Callable[[], str] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """One that we send to, and may fetch from.

    Attributes:
        form: How views are written for it.
        banner: Whether the visible mark is burned into the pixels.
        matrix: Which pixels views are written in.
        documents: What it gets with the images, in order.
        web: It is spoken to by DICOMweb; None: by DIMSE.
        retrieve: How studies are fetched from it by DIMSE.
    """

    name: str
    ae_title: str
    host: str
    port: int
    form: Form = Form.DX
    commitment: Commitment = Commitment.NONE
    commitment_timeout_s: float = 3600.0
    banner: bool = True
    matrix: Matrix = Matrix.NATIVE
    documents: tuple[Document, ...] = ()
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    tls: DestinationTls | None = None
    web: WebAccess | None = None
    retrieve: Retrieve = Retrieve.GET


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Azimuths relative to the source's view; degrees."""

    from_deg: float
    to_deg: float
    step_deg: float
    skip_source: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewPlan:
    """A named set of views: a sweep about the source, or absolute views. Exactly one is given."""

    name: str
    sweep: Sweep | None = None
    views: tuple[View, ...] = ()

    def __post_init__(self) -> None:
        if (self.sweep is None) == (not self.views):
            raise ValueError(f"view set {self.name!r}: give either a sweep or views")

    def resolve(self, source: View) -> ViewSet:
        """The views for one source, in ascending order of offset (sweep) or as listed."""
        if self.sweep is None:
            return ViewSet(name=self.name, views=self.views)
        return azimuth_sweep(
            source=source,
            from_deg=self.sweep.from_deg,
            to_deg=self.sweep.to_deg,
            step_deg=self.sweep.step_deg,
            skip_source=self.sweep.skip_source,
            name=self.name,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """First match decides: which images, which views, by which model, to whom.

    Attributes:
        digest: SHA-256 of the route as configured (canonical JSON of its settings, view set and
            model included), recorded with every decision.
        min_consistency: Least consistency of a view with its source; below it nothing is sent.
        allow_ineligible: Synthesize also from what does not look like an upright frontal chest.
    """

    name: str
    when: Predicate
    views: ViewPlan
    model: str
    samples: int
    steps: int | None
    send_to: tuple[str, ...]
    priority: int
    digest: str
    enabled: bool = True
    min_consistency: float | None = None
    allow_ineligible: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One leaf of a predicate as it was judged, for people to read.

    Attributes:
        route: Name of the route it belongs to; ``guard`` for the fixed guards.
        path: Where in the predicate, e.g. ``when.all[1].any[0]``.
        text: The term in words, e.g. ``Modality one_of [CR, DX]``.
        actual: The attribute's values as joined text; empty when absent.
        holds: How it came out.
    """

    route: str
    path: str
    text: str
    actual: str
    holds: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Accept:
    """The image goes down this route."""

    route: Route
    reason: str
    terms: tuple[Term, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignore:
    """Nothing is made from the image, and why."""

    reason: str
    terms: tuple[Term, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantine:
    """The image waits for a person, and why."""

    reason: str
    terms: tuple[Term, ...] = ()


Decision = Accept | Ignore | Quarantine
