"""What a person does about work, audited: the same for pages and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dicom_node.audit.events import quarantine_settled
from dicom_node.console.failures import ConflictError, NotFoundError
from dicom_node.console.filters import counted
from dicom_node.domain.deliveries import DeliveryState
from dicom_node.domain.jobs import JobState
from dicom_node.ports import Chosen, Deed, Kind

if TYPE_CHECKING:
    from dicom_node.console.parts import Parts
    from dicom_node.domain.accounts import Identity
    from dicom_node.ports.console import JobRecord

__all__ = [
    "WORDS",
    "again",
    "audit",
    "hurry_destination",
    "retry",
    "send",
    "settle_all",
    "settle_image",
    "settle_job",
]

WORDS: Final = {Deed.RELEASE: "released", Deed.CANCEL: "cancelled"}


def settle_job(parts: Parts, who: Identity, record: JobRecord, deed: Deed) -> str:
    """Release or cancel a job, or when it is done, its deliveries in quarantine; what was done.

    Raises:
        IntegrityError: It is in no state for it.
    """
    job = record.row.job
    stuck = [
        each.delivery.id
        for each in record.row.deliveries
        if each.delivery.state is DeliveryState.QUARANTINED
    ]
    now = parts.clock()
    if job.state is JobState.DONE and stuck:
        count = sum(
            parts.ledger.settle(Kind.DELIVERIES, deed, Chosen(name=str(number)), now)
            for number in stuck
        )
        words = f"{counted(count, 'deliveries')} of the job {WORDS[deed]}"
    else:
        parts.ledger.settle(Kind.JOBS, deed, Chosen(name=job.key), now)
        words = f"Job {WORDS[deed]}"
    audit(parts, who, f"job {job.key}", words)
    return f"{words}."


def settle_image(parts: Parts, who: Identity, uid: str, deed: Deed) -> str:
    """Release or cancel an image; what was done.

    Raises:
        ConflictError: It is not in quarantine.
    """
    if not parts.ledger.settle(Kind.IMAGES, deed, Chosen(name=uid), parts.clock()):
        raise ConflictError("The image is not in quarantine any more.")
    audit(parts, who, f"image {uid}", f"Image {WORDS[deed]}")
    return f"Image {WORDS[deed]}."


def settle_all(
    parts: Parts, who: Identity, kind: Kind, deed: Deed, *, reason: str, destination: str
) -> int:
    """Release or cancel all of a kind that are in quarantine for a reason; how many."""
    chosen = Chosen(reason=reason, destination=destination)
    count = parts.ledger.settle(kind, deed, chosen, parts.clock())
    if count:
        audit(parts, who, f"{kind}: {reason or 'all'}", f"{counted(count, kind)} {WORDS[deed]}")
    return count


def retry(parts: Parts, who: Identity, record: JobRecord) -> str:
    """Have what waits for a later time done now; what was done.

    Raises:
        ConflictError: Nothing of it waits.
    """
    key, now = record.row.job.key, parts.clock()
    count = parts.found.hurry(Kind.JOBS, key, now)
    for each in record.row.deliveries:
        count += parts.found.hurry(Kind.DELIVERIES, str(each.delivery.id), now)
        parts.call_again(each.delivery.destination)
    if not count:
        raise ConflictError("Nothing of this job waits for a later time.")
    audit(parts, who, f"job {key}", "Tried again now")
    return "It is tried again now."


def hurry_destination(parts: Parts, who: Identity, name: str) -> int:
    """Have what waits for a destination sent now; how many deliveries.

    Raises:
        NotFoundError: There is no such destination.
    """
    if name not in {each.name for each in parts.facts.destinations}:
        raise NotFoundError("There is no such destination.")
    count = parts.found.hurry(Kind.DELIVERIES, name, parts.clock())
    parts.call_again(name)
    audit(parts, who, f"destination {name}", f"{counted(count, 'deliveries')} tried again now")
    return count


def send(parts: Parts, who: Identity, record: JobRecord, destination: str) -> str:
    """Send to one more destination; what was done.

    Raises:
        IntegrityError: It cannot be done.
    """
    parts.orders.send_to(record, destination)
    audit(parts, who, f"job {record.row.job.key}", f"Sent to {destination} too")
    return f"The views are on their way to {destination}."


def again(parts: Parts, who: Identity, record: JobRecord, view_set: str) -> str:
    """Synthesize with other views; the key of the new job.

    Raises:
        IntegrityError: It cannot be done.
    """
    key = parts.orders.synthesize_again(record, view_set, who.name)
    audit(parts, who, f"job {record.row.job.key}", f"Synthesized again with {view_set}")
    return key


def audit(parts: Parts, who: Identity, what: str, words: str) -> None:
    """Leave in the trail what somebody did, and wake those who have work now."""
    parts.record(quarantine_settled(parts.facts.ae_title, who.name, what, words))
    parts.wake()
