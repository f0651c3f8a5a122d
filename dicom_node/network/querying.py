"""Query/Retrieve as SCU, Study Root (PS3.4 C): C-FIND, C-GET, and C-MOVE to ourselves."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, cast

import structlog
from pydicom import Dataset
from pynetdicom import build_context, build_role, evt

from dicom_node.domain.errors import NodeError, PeerError, RefusedError, describe
from dicom_node.domain.webaccess import Retrieve
from dicom_node.network.contexts import STORAGE_CLASSES, readable_transfer_syntaxes
from dicom_node.network.objects import received_object
from dicom_node.ports import FoundSeries, FoundStudy, Retrieved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pynetdicom.association import Association
    from pynetdicom.dimse_primitives import C_STORE
    from pynetdicom.events import Event
    from pynetdicom.presentation import PresentationContext

    from dicom_node.domain.routes import Destination
    from dicom_node.network.scu import PynetStoreClient
    from dicom_node.ports import ReceivedObject, StudyQuery

__all__ = ["FIND_CLASS", "GET_CLASS", "MOVE_CLASS", "DimseArchive"]

FIND_CLASS: Final = "1.2.840.10008.5.1.4.1.2.2.1"
MOVE_CLASS: Final = "1.2.840.10008.5.1.4.1.2.2.2"
GET_CLASS: Final = "1.2.840.10008.5.1.4.1.2.2.3"
"""Study Root Query/Retrieve Information Model: FIND, MOVE, GET."""

_SUCCESS: Final = 0x0000
_PENDING: Final = (0xFF00, 0xFF01)
_CANCELLED: Final = 0xFE00
_SOME_FAILED: Final = (0xB000, 0xA702)
_NOT_STORED: Final = 0xC000

_log = structlog.get_logger(__name__)


class DimseArchive:
    """The `Archive` port by DIMSE. Safe to use from many threads; each call has an association.

    Args:
        client: Opens associations, with our AE title.
        ae_title: Ours, to which a C-MOVE is to send.
    """

    def __init__(self, client: PynetStoreClient, ae_title: str) -> None:
        self._client = client
        self._ae_title = ae_title

    def find_studies(
        self, archive: Destination, query: StudyQuery, *, limit: int
    ) -> tuple[FoundStudy, ...]:
        """See `ports.Archive.find_studies`; when there are more than the limit, it is cancelled."""
        asked = _query(
            "STUDY",
            StudyInstanceUID=query.study_uid,
            PatientID=query.patient_id,
            AccessionNumber=query.accession_number,
        )
        wanted = ("PatientName", "StudyDate", "StudyDescription", "ModalitiesInStudy")
        for keyword in wanted:
            setattr(asked, keyword, None if keyword == "ModalitiesInStudy" else "")
        return tuple(
            FoundStudy(
                study_uid=_text(each, "StudyInstanceUID"),
                patient_id=_text(each, "PatientID"),
                patient_name=_text(each, "PatientName"),
                accession_number=_text(each, "AccessionNumber"),
                date=_text(each, "StudyDate"),
                description=_text(each, "StudyDescription"),
                modalities=tuple(filter(None, _text(each, "ModalitiesInStudy").split("\\"))),
            )
            for each in self._find(archive, asked, limit)
        )

    def find_series(self, archive: Destination, study_uid: str) -> tuple[FoundSeries, ...]:
        """See `ports.Archive.find_series`."""
        asked = _query("SERIES", StudyInstanceUID=study_uid, SeriesInstanceUID="", Modality="")
        asked.SeriesDescription = ""
        asked.NumberOfSeriesRelatedInstances = None
        return tuple(
            FoundSeries(
                series_uid=_text(each, "SeriesInstanceUID"),
                modality=_text(each, "Modality"),
                description=_text(each, "SeriesDescription"),
                instances=_number(_text(each, "NumberOfSeriesRelatedInstances")),
            )
            for each in self._find(archive, asked, None)
        )

    def retrieve(
        self,
        archive: Destination,
        study_uid: str,
        series_uid: str,
        *,
        on_object: Callable[[ReceivedObject], None],
        on_progress: Callable[[Retrieved], None],
    ) -> Retrieved:
        """See `ports.Archive.retrieve`: by C-GET, or by C-MOVE where that is configured."""
        asked = _query("SERIES", StudyInstanceUID=study_uid, SeriesInstanceUID=series_uid)
        if archive.retrieve is Retrieve.MOVE:
            with self._associated(archive, MOVE_CLASS, "C-MOVE") as association:
                answers = association.send_c_move(asked, self._ae_title, MOVE_CLASS)
                return _progress(archive, "C-MOVE", answers, on_progress)
        taking = _Taking(archive.ae_title, on_object)
        contexts = [build_context(uid, _syntaxes()) for uid in STORAGE_CLASSES]
        roles = [build_role(uid, scp_role=True) for uid in STORAGE_CLASSES]
        with self._associated(
            archive,
            GET_CLASS,
            "C-GET",
            more=contexts,
            handlers=[(evt.EVT_C_STORE, taking.on_store)],
            negotiation=roles,
        ) as association:
            answers = association.send_c_get(asked, GET_CLASS)
            ended = _progress(archive, "C-GET", answers, on_progress)
        return Retrieved(completed=taking.taken, failed=max(ended.failed, taking.refused))

    def _find(self, archive: Destination, asked: Dataset, limit: int | None) -> Iterator[Dataset]:
        found: list[Dataset] = []
        with self._associated(archive, FIND_CLASS, "C-FIND") as association:
            for answer, identifier in association.send_c_find(asked, FIND_CLASS, msg_id=1):
                status = _status(answer, archive)
                if status in _PENDING and identifier is not None:
                    if limit is None or len(found) < limit:
                        found.append(identifier)
                    elif len(found) == limit:
                        association.send_c_cancel(1, query_model=FIND_CLASS)
                        limit = -1  # what still comes before the cancel counts is let go
                elif status not in (_SUCCESS, _CANCELLED):
                    raise PeerError(f"{archive.name} answered C-FIND with status 0x{status:04X}")
        return iter(found)

    @contextmanager
    def _associated(
        self,
        archive: Destination,
        model: str,
        service: str,
        *,
        more: Sequence[PresentationContext] = (),
        handlers: Sequence[Any] = (),
        negotiation: Sequence[Any] = (),
    ) -> Iterator[Association]:
        contexts = [build_context(model), *more]
        lacking = RefusedError(
            f"{archive.name} offers this node no {service}: allow it there, or see retrieve in the "
            "configuration"
        )
        try:
            with self._client.associated(
                archive, contexts, handlers=handlers, negotiation=negotiation
            ) as association:
                offered = {str(each.abstract_syntax) for each in association.accepted_contexts}
                if model not in offered:
                    raise lacking
                yield association
        except RefusedError as error:
            raise lacking from error
        except RuntimeError as error:  # "the association must be established"
            raise PeerError(f"{archive.name} ended the association") from error


class _Taking:
    """Takes what a C-GET brings."""

    def __init__(self, ae_title: str, on_object: Callable[[ReceivedObject], None]) -> None:
        self._ae_title = ae_title
        self._on_object = on_object
        self._lock = threading.Lock()
        self.taken = 0
        self.refused = 0

    def on_store(self, event: Event) -> int:
        request, context = cast("C_STORE", event.request), event.context
        try:
            self._on_object(
                received_object(
                    sop_class_uid=str(request.AffectedSOPClassUID),
                    sop_instance_uid=str(request.AffectedSOPInstanceUID),
                    syntax_uid=str(context.transfer_syntax),
                    dataset=event.encoded_dataset(include_meta=False),
                    ae_title=self._ae_title,
                )
            )
        except Exception as error:  # noqa: BLE001  # DIMSE boundary: the archive must get an answer
            _log.warning("a fetched object is not taken", reason=describe(error))
            with self._lock:
                self.refused += 1
            known = error.dimse_status if isinstance(error, NodeError) else None
            return _NOT_STORED if known is None else known
        with self._lock:
            self.taken += 1
        return _SUCCESS


def _progress(
    archive: Destination,
    service: str,
    answers: Iterator[tuple[Dataset, Dataset | None]],
    on_progress: Callable[[Retrieved], None],
) -> Retrieved:
    """Follow a retrieval to its end."""
    last = Retrieved(completed=0)
    for answer, _ in answers:
        status = _status(answer, archive)
        last = Retrieved(
            completed=_count(answer, "NumberOfCompletedSuboperations", last.completed)
            + _count(answer, "NumberOfWarningSuboperations", 0),
            failed=_count(answer, "NumberOfFailedSuboperations", last.failed),
            remaining=_count(answer, "NumberOfRemainingSuboperations", 0),
        )
        on_progress(last)
        if status in _PENDING:
            continue
        if status == 0xA801:
            raise RefusedError(
                f"{archive.name} does not know where this node is: enter its AE title, address "
                "and port there"
            )
        if status not in (_SUCCESS, *_SOME_FAILED):
            raise PeerError(f"{archive.name} answered {service} with status 0x{status:04X}")
    return last


def _query(level: str, **keys: str) -> Dataset:
    asked = Dataset()
    asked.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(asked, keyword, value)
    return asked


def _status(answer: Dataset, archive: Destination) -> int:
    status = answer.get("Status")
    if status is None:
        raise PeerError(f"{archive.name} gave no answer: aborted, disconnected, or too slow")
    return int(status)


def _count(answer: Dataset, keyword: str, otherwise: int) -> int:
    value = answer.get(keyword)
    return otherwise if value is None else int(value)


def _text(found: Dataset, keyword: str) -> str:
    value = found.get(keyword)
    if value is None:
        return ""
    return "\\".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() else None


def _syntaxes() -> list[str]:
    return list(readable_transfer_syntaxes())
