"""DICOMweb towards destinations and archives: STOW-RS, QIDO-RS and WADO-RS (PS3.18)."""

from __future__ import annotations

import ssl
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import structlog

from dicom_node.domain.errors import (
    BusyError,
    ConfigurationError,
    IntegrityError,
    NodeError,
    PeerError,
    RefusedError,
    UnreachableError,
)
from dicom_node.network.multipart import boundary_of, new_boundary, part_head, parts_of
from dicom_node.network.objects import object_of_file
from dicom_node.network.stow import answers_of
from dicom_node.network.tls import Credentials
from dicom_node.ports import FoundSeries, FoundStudy, Retrieved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import httpx

    from dicom_node.domain.deliveries import DerivedInstance, Outcome
    from dicom_node.domain.routes import Destination
    from dicom_node.domain.security import DestinationTls
    from dicom_node.ports import ReceivedObject, StudyQuery

__all__ = ["DicomWebClient", "refusal"]

BATCH_INSTANCES: Final = 16
"""Instances of one request: every request's answer renews the lease of the delivery."""

_CONNECT_S: Final = 10.0
_SILENCE_S: Final = 90.0
_CHUNK_BYTES: Final = 1 << 18
_ANSWER_BYTES: Final = 16 << 20
_JSON: Final = "application/dicom+json"
_ANYWHERE_ELSE: Final = "2.25.0"
"""A UID that no study has: asking for it costs an archive nothing."""

_log = structlog.get_logger(__name__)


class DicomWebClient:
    """The `StoreClient` and `Archive` ports by DICOMweb. Safe to use from many threads.

    Redirects are not followed: the Authorization header is for the configured address alone.

    Args:
        max_object_bytes: Of one object that is retrieved.
    """

    def __init__(self, *, max_object_bytes: int = 268_435_456) -> None:
        self._max_object_bytes = max_object_bytes
        self._clients: dict[DestinationTls | None, tuple[ssl.SSLContext, httpx.Client]] = {}
        self._credentials: dict[DestinationTls, Credentials] = {}
        self._closed = False
        self._lock = threading.Lock()

    def send(
        self,
        destination: Destination,
        instances: Sequence[tuple[DerivedInstance, Path]],
        on_outcome: Callable[[DerivedInstance, Outcome, int], None],
    ) -> None:
        """See `ports.StoreClient.send`; several instances go in one request."""
        for start in range(0, len(instances), BATCH_INSTANCES):
            batch = instances[start : start + BATCH_INSTANCES]
            for instance, path in batch:
                if not path.is_file():
                    raise IntegrityError(f"instance {instance.index} is not in the spool any more")
            self._store(destination, batch, on_outcome)

    def _store(
        self,
        destination: Destination,
        batch: Sequence[tuple[DerivedInstance, Path]],
        on_outcome: Callable[[DerivedInstance, Outcome, int], None],
    ) -> None:
        boundary = new_boundary()
        headers = {
            "Accept": _JSON,
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
        }
        content = _body(boundary, [path for _, path in batch])
        with self._asked(
            destination, "POST", "/studies", headers=headers, content=content
        ) as answer:
            if answer.status_code not in (200, 202, 409):
                raise refusal(destination, answer.status_code)
            said = _json_of(answer)
        asked = [instance.sop_instance_uid for instance, _ in batch]
        answers = answers_of(said, asked, all_stored=answer.status_code == 200)
        if answer.status_code == 409 and not answers:
            raise RefusedError(f"{destination.name} stored nothing of the request and says not why")
        for instance, _ in batch:
            found = answers.get(instance.sop_instance_uid)
            if found is not None:
                on_outcome(instance, found.outcome, found.status)

    def release(self, destination: Destination) -> None:
        """See `ports.StoreClient.release`: idle connections end by themselves."""

    def echo(self, destination: Destination) -> float:
        """Seconds a query for a study that is nowhere took.

        Raises:
            PeerError: No answer, or one that says that nothing can be stored.
        """
        began = time.monotonic()
        path = f"/studies?StudyInstanceUID={_ANYWHERE_ELSE}&limit=1"
        try:
            with self._asked(destination, "GET", path, headers={"Accept": _JSON}) as answer:
                # One that only stores does not answer queries, which is no trouble.
                if answer.status_code not in (200, 204, 404, 405, 406, 501):
                    raise refusal(destination, answer.status_code)
        except RefusedError as error:
            raise PeerError(str(error)) from error
        return time.monotonic() - began

    def find_studies(
        self, archive: Destination, query: StudyQuery, *, limit: int
    ) -> tuple[FoundStudy, ...]:
        """See `ports.Archive.find_studies`."""
        wanted = {
            "StudyInstanceUID": query.study_uid,
            "PatientID": query.patient_id,
            "AccessionNumber": query.accession_number,
        }
        found = self._query(
            archive,
            "/studies",
            {key: value for key, value in wanted.items() if value}
            | {"limit": str(limit), "includefield": "00081030"},
        )
        return tuple(
            FoundStudy(
                study_uid=_text(each, "0020000D"),
                patient_id=_text(each, "00100020"),
                patient_name=_text(each, "00100010"),
                accession_number=_text(each, "00080050"),
                date=_text(each, "00080020"),
                description=_text(each, "00081030"),
                modalities=tuple(str(value) for value in _values(each, "00080061")),
            )
            for each in found[:limit]
        )

    def find_series(self, archive: Destination, study_uid: str) -> tuple[FoundSeries, ...]:
        """See `ports.Archive.find_series`."""
        found = self._query(archive, f"/studies/{study_uid}/series", {"includefield": "00201209"})
        return tuple(
            FoundSeries(
                series_uid=_text(each, "0020000E"),
                modality=_text(each, "00080060"),
                description=_text(each, "0008103E"),
                instances=_number(_text(each, "00201209")),
            )
            for each in found
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
        """See `ports.Archive.retrieve`; one object is in memory at a time."""
        path = f"/studies/{study_uid}/series/{series_uid}"
        accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
        completed = failed = 0
        with self._asked(archive, "GET", path, headers={"Accept": accept}) as answer:
            if answer.status_code not in (200, 206):
                raise refusal(archive, answer.status_code)
            boundary = boundary_of(answer.headers.get("Content-Type", ""))
            chunks = answer.iter_bytes(_CHUNK_BYTES)
            for part in parts_of(chunks, boundary, bytes_at_most=self._max_object_bytes):
                try:
                    on_object(object_of_file(part.body, archive.ae_title))
                    completed += 1
                except NodeError as error:
                    _log.warning("a fetched object is not taken", reason=str(error))
                    failed += 1
                on_progress(Retrieved(completed=completed, failed=failed))
        return Retrieved(completed=completed, failed=failed)

    def close(self) -> None:
        """End all connections, so that sends end with PeerError; nothing can be sent any more."""
        with self._lock:
            self._closed = True
            clients = [client for _, client in self._clients.values()]
        for client in clients:
            client.close()

    def _query(self, archive: Destination, path: str, terms: dict[str, str]) -> list[Any]:
        with self._asked(archive, "GET", path, headers={"Accept": _JSON}, params=terms) as answer:
            if answer.status_code == 204:
                return []
            if answer.status_code != 200:
                raise refusal(archive, answer.status_code)
            said = _json_of(answer)
        if not isinstance(said, list):
            raise PeerError(f"{archive.name} answered a query with something else than a list")
        return said

    def _asked(self, destination: Destination, method: str, path: str, **request: Any) -> _Asked:
        web = destination.web
        if web is None:
            raise ConfigurationError(f"{destination.name} has no url")
        if self._closed:
            raise PeerError("the node is stopping; the send is tried again after its start")
        if web.authorization is not None:
            request["headers"] = {**request["headers"], "Authorization": web.authorization()}
        return _Asked(self._client(destination), destination, method, web.url + path, request)

    def _client(self, destination: Destination) -> httpx.Client:
        import httpx

        tls = destination.tls
        with self._lock:
            context = self._context(tls)
            kept = self._clients.get(tls)
            if kept is None or kept[0] is not context:
                timeout = httpx.Timeout(_SILENCE_S, connect=_CONNECT_S)
                kept = (
                    context,
                    httpx.Client(
                        verify=context, timeout=timeout, follow_redirects=False, trust_env=False
                    ),
                )
                self._clients[tls] = kept
            return kept[1]

    def _context(self, tls: DestinationTls | None) -> ssl.SSLContext:
        """The context of the files as they are now; without any, the authorities of the system."""
        if tls is None:
            kept = self._clients.get(None)
            if kept is not None:
                return kept[0]
            context = ssl.create_default_context()
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            return context
        if tls not in self._credentials:
            self._credentials[tls] = Credentials(
                tls.files, server_side=False, check_host=tls.check_host
            )
        return self._credentials[tls].context()


class _Asked:
    """A response for the time inside, its errors as ours."""

    def __init__(
        self, client: httpx.Client, to: Destination, method: str, url: str, request: Any
    ) -> None:
        self._to = to
        self._stream = client.stream(method, url, **request)

    def __enter__(self) -> httpx.Response:
        try:
            return self._stream.__enter__()
        except Exception as error:
            raise self._mapped(error) from error

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        try:
            self._stream.__exit__(kind, error, trace)
        except Exception as closing:
            raise self._mapped(closing) from closing
        if error is not None and not isinstance(error, NodeError):
            mapped = self._mapped(error)
            if mapped is not error:
                raise mapped from error

    def _mapped(self, error: BaseException) -> BaseException:
        """The one table of what can go wrong on the way."""
        import httpx

        name = self._to.name
        if isinstance(error, httpx.ConnectTimeout | httpx.ConnectError):
            return UnreachableError(f"{name} cannot be reached: {_reason(error)}")
        if isinstance(error, httpx.TimeoutException):
            return PeerError(f"{name} gave no answer: too slow")
        if isinstance(error, httpx.HTTPError | httpx.StreamError | httpx.InvalidURL):
            return PeerError(f"{name} broke off: {type(error).__name__}")
        if isinstance(error, RuntimeError) and "closed" in str(error):
            return PeerError("the node is stopping; the send is tried again after its start")
        return error


def _reason(error: BaseException) -> str:
    """Of a connection that failed, without what was sent."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the certificate is not accepted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return (cause.reason or "TLS failed").replace("_", " ").lower()
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return "no connection" if "Timeout" not in type(error).__name__ else "no answer in time"


def refusal(destination: Destination, status: int) -> NodeError:
    """What a status that is no answer to the question means."""
    name = destination.name
    if status in (401, 403):
        return UnreachableError(
            f"{name} does not let this node in ({status}): give it another token"
        )
    if 300 <= status < 400:
        return UnreachableError(f"{name} is elsewhere ({status}): give the address it tells")
    if status in (404, 405):
        return UnreachableError(f"{name} has no such service at its url ({status})")
    if status in (408, 425, 429, 503, 507):
        return BusyError(f"{name} has no room or time now ({status})")
    if status >= 500:
        return PeerError(f"{name} failed ({status})")
    return RefusedError(f"{name} refused the request ({status})")


def _body(boundary: str, paths: Sequence[Path]) -> Iterator[bytes]:
    for path in paths:
        yield part_head(boundary, "application/dicom")
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk
    yield f"\r\n--{boundary}--\r\n".encode()


def _json_of(answer: httpx.Response) -> Any:
    """The body; None when it is no JSON, or too long to be the one that was asked for."""
    import json

    body = bytearray()
    for chunk in answer.iter_bytes(_CHUNK_BYTES):
        body += chunk
        if len(body) > _ANSWER_BYTES:
            return None
    try:
        return json.loads(body)
    except ValueError:
        return None


def _values(dataset: Any, tag: str) -> list[Any]:
    element = dataset.get(tag) if isinstance(dataset, dict) else None
    values = element.get("Value") if isinstance(element, dict) else None
    return values if isinstance(values, list) else []


def _text(dataset: Any, tag: str) -> str:
    values = _values(dataset, tag)
    first = values[0] if values else ""
    if isinstance(first, dict):
        first = next((first[kind] for kind in ("Alphabetic", "Ideographic") if kind in first), "")
    return "" if first is None else str(first)


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() else None
