"""STOW-RS as the origin server (PS3.18 10.5): requests in, answers out, with no socket in sight.

An instance is taken by `Taking`, as one that comes by C-STORE is: the same checks, the same limits,
and success is answered only when file and row would survive a power cut.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog

from dicom_node.domain.errors import CapacityError, InputError
from dicom_node.domain.identifiers import resembles_uid
from dicom_node.iod.reading import read_header
from dicom_node.network.admission import Refusal
from dicom_node.network.bodies import CrowdedError
from dicom_node.network.multipart import boundary_of, parts_of
from dicom_node.network.objects import head_of_file, object_of_file
from dicom_node.network.peers import within
from dicom_node.network.stow import Answer, as_xml, response_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dicom_node.domain.routes import Peer
    from dicom_node.network.auditing import ReceptionAudit
    from dicom_node.network.bodies import Body
    from dicom_node.network.multipart import Part
    from dicom_node.network.objects import FileHead
    from dicom_node.network.peers import Subject
    from dicom_node.network.taking import Taking
    from dicom_node.ports import ReceivedObject

__all__ = [
    "INSTANCES_AT_MOST",
    "OTHER_STUDY",
    "RETRY_AFTER_S",
    "ROOT",
    "Reply",
    "Request",
    "Storing",
    "Way",
    "refused",
]

ROOT: Final = "/dicom-web"
"""Base of the service: ``/studies`` follows."""

INSTANCES_AT_MOST: Final = 10_000
"""Parts of one request; each costs a line of the answer."""

RETRY_AFTER_S: Final = 60
"""What who comes too early is told to wait."""

OTHER_STUDY: Final = 0xC409
"""Failure Reason of an instance that is of another study than the request says: our own, of those
that PS3.18 Table I.2-2 leaves to whoever cannot understand a data set."""

_CANNOT_UNDERSTAND: Final = 0xC000
_DICOM: Final = "application/dicom"
_JSON: Final = "application/dicom+json"
_XML: Final = "application/dicom+xml"

_log = structlog.get_logger(__name__)


class Way:
    """One request while it lasts: it holds a place, memory, and what is to be audited."""

    def __init__(self) -> None:
        self.lives = True

    def is_alive(self) -> bool:
        """Whether it still holds its place."""
        return self.lives


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Request:
    """A request whose body is still to come.

    Attributes:
        method: As POST.
        path: With its query.
        headers: By name in small letters.
        address: Of the other end of the connection.
        subject: Of its certificate; None without TLS.
        body: Comes when it is asked for.
        way: It is, for those who count.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    address: str
    subject: Subject | None
    body: Body
    way: Way


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What is answered."""

    status: int
    content_type: str = "application/json"
    body: bytes = b"{}\n"
    headers: Mapping[str, str] = field(default_factory=dict)


def refused(status: int, reason: str, **headers: str) -> Reply:
    """A request that is not answered with an account of instances, and why."""
    return Reply(
        status=status,
        body=json.dumps({"error": reason}).encode() + b"\n",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


def _later(status: int, reason: str) -> Reply:
    return refused(status, reason, Retry_After=str(RETRY_AFTER_S))


@dataclass(frozen=True, slots=True, kw_only=True)
class Storing:
    """The service. Safe to use from many threads.

    Attributes:
        taking: Takes objects, and knows who may send them.
        audit: Told of who is refused and what came; None tells nobody.
        max_object_bytes: Longest instance.
        trusted_proxies: Addresses and networks whose X-Forwarded-For and -Proto are believed.
    """

    taking: Taking
    audit: ReceptionAudit | None
    max_object_bytes: int
    trusted_proxies: tuple[str, ...] = ()

    def answer(self, request: Request) -> Reply:
        """Answer a request.

        Raises:
            OSError: The sender went, or is too slow.
        """
        place = request.path.partition("?")[0].rstrip("/").removeprefix(ROOT).split("/")
        if not request.path.startswith(f"{ROOT}/") or place[:2] != ["", "studies"]:
            return refused(404, f"instances are stored by POST to {ROOT}/studies")
        if len(place) > 3:
            return refused(404, "only studies are stored")
        if request.method != "POST":
            return refused(405, "this node stores and gives nothing back", Allow="POST")
        study_uid = place[2] if len(place) == 3 else ""
        try:
            caller, subject = _caller(request, self.trusted_proxies)
            name, token = _credentials(request.headers.get("authorization", ""))
            admission = self.taking.admission
            peer = admission.admit_bearer(request.way, token, caller, subject, name=name)
            if isinstance(peer, Refusal):
                return self._turned_away(peer, name, caller)
            if not peer.may_send:
                return self._turned_away(None, peer.ae_title, caller)
            if study_uid and not resembles_uid(study_uid):
                return refused(400, "the path names a study by something that is no UID")
            return self._store(request, peer, caller, study_uid)
        finally:
            request.way.lives = False
            if self.audit is not None:
                self.audit.ended(request.way)

    def _turned_away(self, refusal: Refusal | None, name: str, address: str) -> Reply:
        reason = "this peer may not store here" if refusal is None else refusal.reason
        _log.warning(
            "a caller is rejected", calling_ae_title=name[:64], address=address, reason=reason
        )
        if self.audit is not None:
            self.audit.refused(name[:64], address, reason)
        if refusal is None:
            return refused(403, reason)
        if refusal.is_for_now:
            return _later(503, "come again later")
        # Whoever is no peer does not learn how near it came.
        return refused(401, "no peer", WWW_Authenticate='Bearer realm="dicom-node"')

    def _store(self, request: Request, peer: Peer, address: str, study_uid: str) -> Reply:
        kind = request.headers.get("content-type", "")
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            return refused(415, "the body is compressed: send it as it is")
        if not kind.lower().lstrip().startswith("multipart/related") or not _of_instances(kind):
            return refused(415, f'send multipart/related; type="{_DICOM}"')
        answers: list[Answer] = []
        problem: Reply | None = None
        try:
            parts = parts_of(
                request.body.pieces, boundary_of(kind), bytes_at_most=self.max_object_bytes
            )
            while (part := next(parts, None)) is not None:
                if len(answers) == INSTANCES_AT_MOST:
                    raise CapacityError(f"the request has more than {INSTANCES_AT_MOST} instances")
                answers.append(self._instance(request.way, peer, address, study_uid, part))
                del part  # its bytes are not to be held while the next ones come
                request.body.release()
        except InputError as error:
            problem = refused(400, str(error))
        except CrowdedError as error:
            problem = _later(503, str(error))
        except CapacityError as error:
            problem = refused(413, str(error))
        finally:
            request.body.release()
        if problem is not None:
            _log.warning("a request is not taken whole", peer=peer.name, status=problem.status)
            return problem
        status, dataset = response_of(answers)
        xml = _prefers_xml(request.headers.get("accept", ""))
        return Reply(
            status=status,
            content_type=_XML if xml else _JSON,
            body=as_xml(dataset) if xml else json.dumps(dataset).encode(),
            headers={"Retry-After": str(RETRY_AFTER_S)} if status == 503 else {},
        )

    def _instance(self, way: Way, peer: Peer, address: str, study_uid: str, part: Part) -> Answer:
        """Take one instance; what is told of it."""
        # Read before anything else, so that a refusal names the instance.
        head = _head(part)
        other_study = False

        def read() -> ReceivedObject:
            nonlocal other_study
            if isinstance(head, InputError):
                raise head
            if study_uid and read_header(part.body).first("StudyInstanceUID") != study_uid:
                other_study = True
                raise InputError("the instance is of another study than the request says")
            return object_of_file(part.body, peer.ae_title, head=head)

        def stored(received: ReceivedObject) -> None:
            if self.audit is not None:
                self.audit.stored(way, received, address=address)

        status = self.taking.take(peer, read, stored, ae_title=peer.ae_title)
        class_uid, uid = "", ""
        if not isinstance(head, InputError):
            class_uid, uid = head.sop_class_uid, head.sop_instance_uid
        return Answer(
            sop_class_uid=class_uid if resembles_uid(class_uid) else "",
            sop_instance_uid=uid if resembles_uid(uid) else "",
            status=OTHER_STUDY if other_study else status,
        )


def _head(part: Part) -> FileHead | InputError:
    """What a part says it is, or why it says nothing."""
    if not _is_dicom(part.headers.get("content-type", _DICOM)):
        return InputError(f"a part of the request is not {_DICOM}")
    try:
        return head_of_file(part.body)
    except InputError as error:
        return error


def _caller(request: Request, trusted: Sequence[str]) -> tuple[str, Subject | None]:
    """Address and certificate of who sends; behind a proxy that is believed, as that says."""
    address, subject = request.address, request.subject
    if not any(within(address, each) for each in trusted):
        return address, subject
    if request.headers.get("x-forwarded-proto", "").strip().lower() == "https" and subject is None:
        subject = ()
    for hop in reversed(request.headers.get("x-forwarded-for", "").split(",")):
        address = hop.strip() or address
        if not any(within(address, each) for each in trusted):
            break
    return address, subject


def _credentials(header: str) -> tuple[str, str]:
    """Name and token of an Authorization header; empty what it does not have.

    ``Bearer TOKEN`` (RFC 6750), or ``Basic`` (RFC 7617) with the peer's name and the token, for
    senders that know nothing else.
    """
    scheme, _, rest = header.strip().partition(" ")
    if scheme.lower() == "bearer":
        return "", rest.strip()
    if scheme.lower() == "basic":
        try:
            decoded = base64.b64decode(rest.strip(), validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        name, _, token = decoded.partition(":")
        return (name, token) if name else ("", "")
    return "", ""


def _parameters(value: str) -> dict[str, str]:
    pairs = [each.partition("=") for each in value.split(";")[1:]]
    return {name.strip().lower(): text.strip().strip('"').lower() for name, _, text in pairs}


def _of_instances(content_type: str) -> bool:
    return _parameters(content_type).get("type", _DICOM) == _DICOM


def _is_dicom(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == _DICOM


def _prefers_xml(accept: str) -> bool:
    """Whether XML is asked for rather than JSON, which is what is given in doubt."""
    best: dict[str, float] = {}
    for each in accept.split(","):
        kind = each.partition(";")[0].strip().lower()
        try:
            weight = float(_parameters(each).get("q", "1"))
        except ValueError:
            weight = 0.0
        best[kind] = max(weight, best.get(kind, 0.0))
    json_weight = max(best.get(kind, 0.0) for kind in (_JSON, "application/json", "*/*"))
    return best.get(_XML, 0.0) > json_weight
