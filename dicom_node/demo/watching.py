"""Waiting for the node to do its work, as its ledger and the archive tell."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dicom_node.domain.deliveries import DeliveryState
from dicom_node.domain.errors import EngineError, ImageError, PeerError
from dicom_node.domain.jobs import JobState
from dicom_node.ports import DecidedAs

if TYPE_CHECKING:
    from dicom_node.demo.display import Step
    from dicom_node.demo.processes import Child
    from dicom_node.ports import ImageRow, JobRow, Ledger

__all__ = ["StoredFile", "Watch"]

DEADLINE_S: Final = 900.0
"""How long everything may take."""

POLL_S: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file of the archive, and when (unix seconds) it was written."""

    file: str
    at: float


class Watch:
    """Looks at the ledger and the archive until something happened.

    Every method raises ConfigurationError when node or archive end meanwhile.
    """

    def __init__(self, node: Child, archive: Child, ledger: Ledger) -> None:
        self._node = node
        self._archive = archive
        self._ledger = ledger
        self._deadline = time.monotonic() + DEADLINE_S

    def decided(self) -> ImageRow:
        """The image with its decision.

        Raises:
            ImageError: The route does not take it.
        """
        while True:
            for image in self._ledger.images():
                if image.decision is None:
                    continue
                if image.decision.decided_as is DecidedAs.ACCEPT:
                    return image
                raise ImageError(
                    f"the radiograph's decision is {image.decision.decided_as.value}: "
                    f"{image.decision.reason}"
                )
            self._wait("a decision")

    def synthesized(self) -> JobRow:
        """The job when it is done.

        Raises:
            EngineError: It failed for good.
        """
        while True:
            for row in self._ledger.jobs():
                if row.job.state is JobState.DONE:
                    return row
                if row.job.state is JobState.QUARANTINED:
                    raise EngineError(f"the synthesis failed: {row.job.last_error}")
            self._wait("the synthesis")

    def stored(self, wanted: int, step: Step) -> list[StoredFile]:
        """What the archive said of each view, when it has all of them and the node knows.

        Raises:
            PeerError: The delivery failed for good.
        """
        while True:
            lines = [
                StoredFile(file=str(line["file"]), at=float(line["at"]))
                for line in self._archive.said("stored")
            ]
            step.reached(len(lines))
            deliveries = [each.delivery for row in self._ledger.jobs() for each in row.deliveries]
            for delivery in deliveries:
                if delivery.state is DeliveryState.QUARANTINED:
                    raise PeerError(f"the delivery failed: {delivery.last_error}")
            closed = all([each.state is DeliveryState.CLOSED for each in deliveries])
            if closed and len(lines) >= wanted:
                return lines
            self._wait("the delivery")

    def _wait(self, what: str) -> None:
        self._node.check()
        self._archive.check()
        if time.monotonic() > self._deadline:
            raise EngineError(f"{what} took more than {DEADLINE_S:g} s; see node.log")
        time.sleep(POLL_S)
