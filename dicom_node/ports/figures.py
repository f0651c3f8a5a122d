"""How much waits, for those who watch the node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from dicom_node.domain.deliveries import DeliveryState
from dicom_node.domain.jobs import JobState

__all__ = ["FigureLedger", "Queues"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Queues:
    """What is open in the ledger, of one moment. What is closed is not counted: it only grows.

    Attributes:
        images_waiting: Without a decision.
        oldest_image_at: When the first of them was received, in Unix seconds; None without any.
        images_quarantined: That wait for a person.
        jobs: Those that are queued, run or are in quarantine.
        oldest_job_at: When the first queued job was made; None without any.
        deliveries: By destination and state: what is to be sent, sent or committed, or is in
            quarantine.
        oldest_delivery_at: When the first delivery that is to be sent was made, by destination.
    """

    images_waiting: int
    oldest_image_at: float | None
    images_quarantined: int
    jobs: Mapping[JobState, int]
    oldest_job_at: float | None
    deliveries: Mapping[tuple[str, DeliveryState], int]
    oldest_delivery_at: Mapping[str, float]


class FigureLedger(Protocol):
    """The rows, counted. Every method is one transaction."""

    def queues(self) -> Queues:
        """What is open; its cost grows with that and not with what was ever done."""
        ...

    def try_write(self) -> None:
        """Write a row as it stands, to see that rows can be written.

        Raises:
            CapacityError: They cannot.
        """
        ...
