"""Those that we call: destinations that store and commit, peers that asked for a report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from dicom_node.domain.commitments import Commitment, Demand, Heard, Report
from dicom_node.domain.deliveries import DerivedInstance, Outcome
from dicom_node.domain.routes import Destination

__all__ = ["CommitmentClient", "ReportClient", "StoreClient"]


class CommitmentClient(Protocol):
    """Storage commitment over associations that we open."""

    def ask(
        self,
        destination: Destination,
        commitment: Commitment,
        on_report: Callable[[Report], Heard],
    ) -> None:
        """N-ACTION; reports that come on the same association, even before the response, go to
        ``on_report``.

        Raises:
            PeerError: It was not taken.
            RefusedError: The destination does not do storage commitment.
        """
        ...


class ReportClient(Protocol):
    """Reports to peers that asked us for storage commitment."""

    def report(self, demand: Demand, report: Report) -> None:
        """N-EVENT-REPORT on the association of the demand while it is open, else on a new one.

        Raises:
            PeerError: It was not taken.
        """
        ...


class StoreClient(Protocol):
    """C-STORE and C-ECHO towards destinations."""

    def send(
        self,
        destination: Destination,
        instances: Sequence[tuple[DerivedInstance, Path]],
        on_outcome: Callable[[DerivedInstance, Outcome, int], None],
    ) -> None:
        """Send in order over one association; report each answer (outcome, DIMSE status) as it
        comes. The association stays open for the next send, until `release`.

        Raises:
            UnreachableError: No association.
            PeerError: It broke; instances not reported were not confirmed.
            RefusedError: The destination does not take the SOP class.
        """
        ...

    def release(self, destination: Destination) -> None:
        """End the association to a destination, if one is open: nothing is to be sent now."""
        ...

    def echo(self, destination: Destination) -> float:
        """Seconds a C-ECHO took.

        Raises:
            PeerError: No answer.
        """
        ...
