"""An archive that is asked for studies, by whichever protocol it speaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from dicom_node.domain.routes import Destination
from dicom_node.ports.receiving import ReceivedObject

__all__ = ["Archive", "FoundSeries", "FoundStudy", "Retrieved", "StudyQuery"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class StudyQuery:
    """Which studies; what is empty may be anything. It has no ``repr``: it is about a patient."""

    study_uid: str = ""
    patient_id: str = ""
    accession_number: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class FoundStudy:
    """A study of an archive, as far as it tells. It has no ``repr``: it is about a patient."""

    study_uid: str
    patient_id: str
    patient_name: str
    accession_number: str
    date: str
    description: str
    modalities: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSeries:
    """A series of a study, with the number of its instances where the archive tells it."""

    series_uid: str
    modality: str
    description: str
    instances: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieved:
    """How far a series has come: instances that arrived, that failed, that are still to come."""

    completed: int
    failed: int = 0
    remaining: int = 0


class Archive(Protocol):
    """Query and retrieve. Safe to call from many threads."""

    def find_studies(
        self, archive: Destination, query: StudyQuery, *, limit: int
    ) -> tuple[FoundStudy, ...]:
        """Studies that match, as many as asked for.

        Raises:
            PeerError: It did not answer, or with a failure.
            RefusedError: It cannot be asked.
        """
        ...

    def find_series(self, archive: Destination, study_uid: str) -> tuple[FoundSeries, ...]:
        """Every series of a study.

        Raises:
            PeerError: It did not answer, or with a failure.
            RefusedError: It cannot be asked.
        """
        ...

    def retrieve(
        self,
        archive: Destination,
        study_uid: str,
        series_uid: str,
        *,
        on_object: Callable[[ReceivedObject], None],
        on_progress: Callable[[Retrieved], None],
    ) -> Retrieved:
        """Have a series sent here. What comes over this call goes to ``on_object``, whose errors
        count as failures of that instance; with C-MOVE it comes to the node by C-STORE instead.

        Raises:
            PeerError: It broke off, or answered with a failure.
            RefusedError: It cannot send.
        """
        ...
