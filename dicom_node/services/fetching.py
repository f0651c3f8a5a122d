"""Fetching a study from an archive, to have views made of it as if it had been sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from dicom_node.domain.errors import InputError
from dicom_node.domain.identifiers import is_uid
from dicom_node.ports import Retrieved

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dicom_node.domain.routes import Destination
    from dicom_node.ports import (
        Archive,
        FoundSeries,
        FoundStudy,
        ReceivedObject,
        Receiver,
        StudyQuery,
    )

__all__ = ["Fetched", "Fetching", "is_wanted"]

FOUND_AT_MOST: Final = 100
"""Studies of one search."""

_RADIOGRAPHY: Final = frozenset({"", "CR", "DX", "RG", "OT", "SC"})
"""Modalities of series that may hold a radiograph; an archive may tell none."""

_OWN: Final = "AI SYNTHETIC"
"""Beginning of the description of the series that this product makes."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What came of fetching a study.

    Attributes:
        series: That were asked for.
        passed_over: That cannot hold a radiograph, or are of this product's making.
        completed: Instances that arrived.
        failed: Instances that did not.
    """

    series: int
    passed_over: int
    completed: int
    failed: int


def is_wanted(series: FoundSeries) -> bool:
    """Whether a series may hold a radiograph that was exposed."""
    return series.modality.upper() in _RADIOGRAPHY and not series.description.startswith(_OWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetching:
    """Asks archives. What comes is taken as if the archive had sent it: the same checks, the same
    spool and ledger, the same routes.

    Attributes:
        archive: Speaks to them.
        receiver: Takes what comes.
        on_fetched: Called with the archive, the study, and the SOP classes and instances that came
            over this call, when it ends in whatever way.
    """

    archive: Archive
    receiver: Receiver
    on_fetched: Callable[[Destination, str, Sequence[tuple[str, str]]], None] = (
        lambda source, study_uid, instances: None
    )

    def find(self, source: Destination, query: StudyQuery) -> tuple[FoundStudy, ...]:
        """Studies that match, `FOUND_AT_MOST` at most.

        Raises:
            InputError: The query asks for everything, or its UID is none.
            PeerError: The archive did not answer.
            RefusedError: It cannot be asked.
        """
        if not (query.study_uid or query.patient_id or query.accession_number):
            raise InputError("give a patient ID, an accession number or a study")
        if query.study_uid and not is_uid(query.study_uid):
            raise InputError("a Study Instance UID has digits and dots, at most 64")
        if any(sign in query.patient_id + query.accession_number for sign in "*?\\"):
            raise InputError("*, ? and \\ stand for anything in a query: give the whole identifier")
        return self.archive.find_studies(source, query, limit=FOUND_AT_MOST)

    def fetch(
        self,
        source: Destination,
        study_uid: str,
        on_progress: Callable[[Retrieved], None] = lambda progress: None,
    ) -> Fetched:
        """Have all series of a study sent here that may hold a radiograph.

        Args:
            source: The archive.
            study_uid: Study Instance UID.
            on_progress: Called with the sums over the study as instances come.

        Raises:
            InputError: That is no UID, or the archive has no such study.
            PeerError: The archive did not answer, or broke off.
            RefusedError: It does not let us.
        """
        if not is_uid(study_uid):
            raise InputError("a Study Instance UID has digits and dots, at most 64")
        found = self.archive.find_series(source, study_uid)
        if not found:
            raise InputError(f"{source.name} has no such study")
        wanted = [each for each in found if is_wanted(each)]
        completed = failed = 0
        came: list[tuple[str, str]] = []

        def take(received: ReceivedObject) -> None:
            self.receiver.receive(received)
            came.append((received.sop_class_uid, received.sop_instance_uid))

        try:
            for series in wanted:

                def told(now: Retrieved, before: tuple[int, int] = (completed, failed)) -> None:
                    on_progress(
                        Retrieved(
                            completed=before[0] + now.completed,
                            failed=before[1] + now.failed,
                            remaining=now.remaining,
                        )
                    )

                ended = self.archive.retrieve(
                    source,
                    study_uid,
                    series.series_uid,
                    on_object=take,
                    on_progress=told,
                )
                completed, failed = completed + ended.completed, failed + ended.failed
        finally:
            if came:
                self.on_fetched(source, study_uid, came)
        _log.info(
            "a study was fetched", source=source.name, series=len(wanted), instances=completed
        )
        return Fetched(
            series=len(wanted),
            passed_over=len(found) - len(wanted),
            completed=completed,
            failed=failed,
        )
