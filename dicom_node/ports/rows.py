"""Values that go into the ledger and come out of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dicom_node.domain.deliveries import Delivery, DerivedInstance
from dicom_node.domain.identifiers import JobKey
from dicom_node.domain.images import ImageState
from dicom_node.domain.jobs import Job, Order
from dicom_node.domain.routes import Term

__all__ = [
    "Chosen",
    "DecidedAs",
    "DecisionRow",
    "Deed",
    "DeliveryRow",
    "ImageRow",
    "JobRow",
    "Kind",
    "NewImage",
    "NewJob",
    "NewVersion",
    "Product",
    "Version",
]


class DecidedAs(StrEnum):
    """Name of a decision in rows and JSON."""

    ACCEPT = "accept"
    IGNORE = "ignore"
    QUARANTINE = "quarantine"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewImage:
    """An image as it was received: identifiers as sent, the file already in the spool."""

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    transfer_syntax_uid: str
    calling_ae_title: str
    digest: str
    size_bytes: int
    accession_number: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRow:
    """A decision as it is stored. ``version`` is the number of the configuration's version whose
    rules decided; None when none was written down.
    """

    decided_as: DecidedAs
    route: str
    route_digest: str
    reason: str
    terms: tuple[Term, ...]
    version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRow:
    """A stored image. ``decision`` is None while it waits to be planned."""

    id: int
    image: NewImage
    received_at: float
    decision: DecisionRow | None
    state: ImageState = ImageState.WAITING


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job to insert unless its key is there already."""

    key: JobKey
    order: Order


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One synthesized instance, spooled, with its provenance as canonical JSON."""

    instance: DerivedInstance
    provenance_json: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRow:
    """A delivery with all its instances, for people to look at."""

    delivery: Delivery
    instances: int
    stored: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """A job with its deliveries, for people to look at."""

    job: Job
    deliveries: tuple[DeliveryRow, ...]
    events: tuple[tuple[float, str, str], ...] = ()
    """(unix seconds, event, detail) in order; filled in by ``job()``, empty in ``jobs()``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVersion:
    """A configuration to write down as the version that is in force from now on.

    Attributes:
        digest: SHA-256 of the text.
        text: The YAML, every byte of it.
        author: Who changed it.
        comment: What for, in words of a person; may be empty.
    """

    digest: str
    text: str
    author: str
    comment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A configuration that was in force from a time on.

    Attributes:
        number: Counts up; the same text may come again under another number.
        version: What was written down.
        at: Unix seconds.
        parent: Number of the version before it; None for the first.
    """

    number: int
    version: NewVersion
    at: float
    parent: int | None


class Kind(StrEnum):
    """What may lie in quarantine."""

    IMAGES = "images"
    JOBS = "jobs"
    DELIVERIES = "deliveries"


class Deed(StrEnum):
    """What a person does about it."""

    RELEASE = "release"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What a person means: the one of this name, or all in quarantine that the rest describes.

    Attributes:
        name: SOP Instance UID of an image, key of a job, number of a delivery; empty for all.
        reason: Words their reason holds; empty for any.
        destination: Of deliveries; empty for any.
    """

    name: str = ""
    reason: str = ""
    destination: str = ""
