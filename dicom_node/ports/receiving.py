"""What comes in from peers, and who takes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from dicom_node.domain.commitments import Reference

__all__ = ["DemandReceiver", "Receipt", "ReceivedObject", "Receiver"]


class Receipt(StrEnum):
    """What became of a received image."""

    NEW = "new"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ReceivedObject:
    """One object as a peer sent it. It has no ``repr``: the bytes are about a patient.

    Attributes:
        data: A whole DICOM file: file meta information written by this node from the request, then
            the data set's bytes exactly as they came.
        sop_class_uid: As the request said (Affected SOP Class UID).
        sop_instance_uid: As the request said (Affected SOP Instance UID).
        transfer_syntax_uid: Of the accepted presentation context.
        calling_ae_title: Who sent it.
    """

    data: bytes
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    calling_ae_title: str


class Receiver(Protocol):
    """Takes received objects into safety. Safe to call from many threads at a time."""

    def receive(self, received: ReceivedObject) -> Receipt:
        """Store it durably; on return it survives a power cut.

        Raises:
            NodeError: It is refused; the class says with which status.
        """
        ...


class DemandReceiver(Protocol):
    """Takes demands of peers into safety. Safe to call from many threads at a time."""

    def take(
        self,
        transaction_uid: str,
        references: Sequence[Reference],
        *,
        calling_ae_title: str,
        address: str,
    ) -> bool:
        """Whether it was written down; False when the UID stands for another demand of this peer.

        Raises:
            NodeError: It is refused.
        """
        ...
