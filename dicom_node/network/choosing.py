"""One client for all destinations: those with a url are spoken to by DICOMweb, others by DIMSE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicom_node.network.querying import DimseArchive
from dicom_node.network.scu import PynetStoreClient
from dicom_node.network.web import DicomWebClient

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from dicom_node.domain.deliveries import DerivedInstance, Outcome
    from dicom_node.domain.routes import Destination
    from dicom_node.ports import (
        Archive,
        FoundSeries,
        FoundStudy,
        ReceivedObject,
        Retrieved,
        StoreClient,
        StudyQuery,
    )

__all__ = ["AnyArchive", "AnyStoreClient", "archive_client", "store_client"]


class AnyStoreClient:
    """A `ports.StoreClient`."""

    def __init__(self, dimse: PynetStoreClient, web: DicomWebClient) -> None:
        self._dimse = dimse
        self._web = web

    def _of(self, destination: Destination) -> StoreClient:
        return self._dimse if destination.web is None else self._web

    def send(
        self,
        destination: Destination,
        instances: Sequence[tuple[DerivedInstance, Path]],
        on_outcome: Callable[[DerivedInstance, Outcome, int], None],
    ) -> None:
        """See `ports.StoreClient.send`."""
        self._of(destination).send(destination, instances, on_outcome)

    def release(self, destination: Destination) -> None:
        """See `ports.StoreClient.release`."""
        self._of(destination).release(destination)

    def echo(self, destination: Destination) -> float:
        """See `ports.StoreClient.echo`."""
        return self._of(destination).echo(destination)

    def close(self) -> None:
        """End what is open; nothing can be sent any more."""
        self._dimse.close()
        self._web.close()


class AnyArchive:
    """A `ports.Archive`."""

    def __init__(self, dimse: Archive, web: Archive) -> None:
        self._dimse = dimse
        self._web = web

    def _of(self, archive: Destination) -> Archive:
        return self._dimse if archive.web is None else self._web

    def find_studies(
        self, archive: Destination, query: StudyQuery, *, limit: int
    ) -> tuple[FoundStudy, ...]:
        """See `ports.Archive.find_studies`."""
        return self._of(archive).find_studies(archive, query, limit=limit)

    def find_series(self, archive: Destination, study_uid: str) -> tuple[FoundSeries, ...]:
        """See `ports.Archive.find_series`."""
        return self._of(archive).find_series(archive, study_uid)

    def retrieve(
        self,
        archive: Destination,
        study_uid: str,
        series_uid: str,
        *,
        on_object: Callable[[ReceivedObject], None],
        on_progress: Callable[[Retrieved], None],
    ) -> Retrieved:
        """See `ports.Archive.retrieve`."""
        return self._of(archive).retrieve(
            archive, study_uid, series_uid, on_object=on_object, on_progress=on_progress
        )


def store_client(ae_title: str) -> AnyStoreClient:
    """A client towards all destinations.

    Args:
        ae_title: Ours.
    """
    return AnyStoreClient(PynetStoreClient(ae_title), DicomWebClient())


def archive_client(ae_title: str, *, max_object_bytes: int) -> AnyArchive:
    """A client towards all archives, with associations of its own.

    Args:
        ae_title: Ours.
        max_object_bytes: Of one object.
    """
    dimse = DimseArchive(PynetStoreClient(ae_title), ae_title)
    return AnyArchive(dimse, DicomWebClient(max_object_bytes=max_object_bytes))
