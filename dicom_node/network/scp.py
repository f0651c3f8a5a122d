"""The node's ear: C-ECHO and C-STORE for known peers."""

from __future__ import annotations

import ssl
import threading
import time
from typing import TYPE_CHECKING, Final, cast
from weakref import WeakKeyDictionary

import structlog
from pynetdicom import evt

from dicom_node.domain.errors import ConfigurationError, InputError, UnsupportedError
from dicom_node.network.admission import Admission, Refusal
from dicom_node.network.associations import Timeouts, abort_all, application_entity, socket_guards
from dicom_node.network.commitment import accepted_commitment_context
from dicom_node.network.contexts import (
    STORAGE_CLASSES,
    accepted_contexts,
    permitted_contexts,
)
from dicom_node.network.guarding import GuardedSocket, ReadLimits
from dicom_node.network.intake import Intake
from dicom_node.network.listening import NodeServer
from dicom_node.network.objects import received_object
from dicom_node.network.peers import PeerList, Subject
from dicom_node.network.taking import PROCESSING_FAILURE, SUCCESS, Taking
from dicom_node.network.tls import Credentials, peer_subject
from dicom_node.ports import ReceivedObject

if TYPE_CHECKING:
    from pynetdicom.association import Association
    from pynetdicom.dimse_primitives import C_STORE
    from pynetdicom.events import Event
    from pynetdicom.pdu_primitives import A_ASSOCIATE
    from pynetdicom.presentation import PresentationContext

    from dicom_node.domain.routes import Peer
    from dicom_node.network.auditing import ReceptionAudit
    from dicom_node.network.commitment import PynetCommitment
    from dicom_node.ports import Receiver

__all__ = ["PROCESSING_FAILURE", "StorageScp"]

_POLL_S: Final = 0.1
"""How long stopping waits for the listening thread at most."""

_NOBODY: Final = Refusal(
    result=1, source=1, diagnostic=3, reason="the list of peers cannot be read"
)

_log = structlog.get_logger(__name__)


class StorageScp:
    """Listens, lets known peers in, and hands what they send to the receiver, bytes untouched.

    A C-STORE is answered with success only after the receiver returned, that is, when the object
    is durable.
    """

    def __init__(
        self,
        *,
        ae_title: str,
        host: str,
        port: int | None,
        peers: PeerList,
        receiver: Receiver,
        max_associations: int = 64,
        timeouts: Timeouts | None = None,
        tls: Credentials | None = None,
        tls_port: int | None = None,
        max_image_bytes: int = 1 << 28,
        receive_memory_bytes: int = 1 << 29,
        audit: ReceptionAudit | None = None,
        commitment: PynetCommitment | None = None,
    ) -> None:
        """Take the parts; nothing listens before `start`.

        Args:
            ae_title: Ours; calls to any other are rejected.
            host: Address to bind; empty for every one.
            port: For plain connections; 0 for any free one, None for no such connections.
            peers: Who may call.
            receiver: Where objects go. Called from many threads at once.
            max_associations: Beyond it, callers are rejected for now.
            timeouts: Left out, the defaults.
            tls: What TLS connections are secured with.
            tls_port: For TLS connections; None for no such connections.
            max_image_bytes: Longest message; its sender is dropped before it takes more memory.
            receive_memory_bytes: Of all unfinished messages together; who comes on top waits.
            audit: Told of who is refused and what came; None tells nobody.
            commitment: Storage commitment, in both roles; None for none.
        """
        self._host = host
        self._wanted = {"node.port": (port, None), "tls.port": (tls_port, tls)}
        self._ae_title = ae_title
        self._admission = Admission(peers)
        self._callers: WeakKeyDictionary[Association, Peer] = WeakKeyDictionary()
        self._taking = Taking(admission=self._admission, receiver=receiver)
        self._commitment = commitment
        self._max_image_bytes = max_image_bytes
        self._intake = Intake(receive_memory_bytes)
        self._audit = audit
        self._timeouts = timeouts or Timeouts()
        self._ae = application_entity(ae_title, self._timeouts)
        self._ae.require_called_aet = True
        self._ae.maximum_associations = max_associations
        self._servers: dict[str, NodeServer] = {}
        self._lock = threading.Lock()

    @property
    def taking(self) -> Taking:
        """What takes objects of those who are admitted: for other ways in beside this one."""
        return self._taking

    @property
    def intake(self) -> Intake:
        """The memory for what is received, which other ways in share."""
        return self._intake

    def admit(self, peers: PeerList) -> None:
        """Let in these peers from now on; associations that are open stay so."""
        self._admission.replace(peers)

    def start(self) -> None:
        """Bind and listen, in threads of its own.

        Raises:
            ConfigurationError: An address cannot be bound, or the files of TLS cannot be used.
        """
        with self._lock:
            if self._servers:
                return
            try:
                for where, (port, credentials) in self._wanted.items():
                    if port is not None:
                        self._servers[where] = self._listen(where, port, credentials)
            except ConfigurationError:
                servers, self._servers = self._servers, {}
                for server in servers.values():
                    server.shutdown()
                raise

    def _listen(self, where: str, port: int, credentials: Credentials | None) -> NodeServer:
        if credentials is not None:
            credentials.context()
        try:
            server = cast(
                "NodeServer",
                self._ae.make_server(
                    (self._host, port),
                    contexts=self._contexts(),
                    evt_handlers=[
                        *(self._commitment.handlers() if self._commitment is not None else ()),
                        (evt.EVT_REQUESTED, self._on_requested),
                        (evt.EVT_REJECTED, self._on_rejected),
                        (evt.EVT_C_ECHO, self._on_echo),
                        (evt.EVT_C_STORE, self._on_store),
                        (evt.EVT_RELEASED, self._on_end),
                        (evt.EVT_ABORTED, self._on_end),
                        (evt.EVT_CONN_CLOSE, self._on_end),
                        *socket_guards(self._timeouts),
                    ],
                    server_class=NodeServer,
                    credentials=credentials,
                    max_associations=self._ae.maximum_associations,
                    limits=ReadLimits(
                        request_s=self._timeouts.acse_s,
                        idle_s=self._timeouts.network_s,
                        message_bytes=self._max_image_bytes,
                        intake=self._intake,
                    ),
                    on_drop=self._on_drop,
                    on_handshake_failure=self._on_handshake_failure,
                ),
            )
        except OSError as error:
            raise ConfigurationError(
                f"{where}: cannot listen on {self._host or '*'}:{port}: "
                f"{error.strerror or error}; choose a free port (0 picks one)"
            ) from error
        self._ae._servers.append(server)  # where `shutdown` takes it from
        threading.Thread(
            target=server.serve_forever, args=(_POLL_S,), name=f"listening-{where}", daemon=True
        ).start()
        return server

    @property
    def port(self) -> int:
        """The port for plain connections, or else the one for TLS; the configured one while it
        does not listen.
        """
        return self._port("node.port") or self._port("tls.port") or 0

    @property
    def tls_port(self) -> int | None:
        """The port for TLS connections; None when there are none."""
        return self._port("tls.port")

    def _port(self, where: str) -> int | None:
        server = self._servers.get(where)
        return self._wanted[where][0] if server is None else server.listening_port

    @property
    def associations(self) -> int:
        """How many callers are connected."""
        return sum(len(server.open_associations) for server in tuple(self._servers.values()))

    def stop(self, *, grace_s: float = 0.0) -> None:
        """Stop listening, give open associations so long to end, abort the rest. Idempotent."""
        with self._lock:
            servers, self._servers = list(self._servers.values()), {}
        for server in servers:
            server.shutdown()

        def still_open() -> list[Association]:
            return [each for server in servers for each in server.open_associations]

        deadline = time.monotonic() + grace_s
        while still_open() and time.monotonic() < deadline:
            time.sleep(0.05)
        left = still_open()
        if left:
            _log.warning("associations that were still open are aborted", count=len(left))
            abort_all(left)

    def _on_handshake_failure(self, address: str, reason: str) -> None:
        _log.warning("a TLS handshake failed", address=address, reason=reason)
        self._tell_refused("", address, f"TLS handshake: {reason}")

    def _on_drop(self, address: str, reason: str) -> None:
        _log.warning("a caller is dropped", address=address, reason=reason)
        self._tell_refused("", address, reason)

    def _tell_refused(self, ae_title: str, address: str, reason: str) -> None:
        if self._audit is not None:
            self._audit.refused(ae_title, address, reason)

    def _on_end(self, event: Event) -> None:
        if self._audit is not None:
            self._audit.ended(event.assoc)

    def _contexts(self) -> list[PresentationContext]:
        commitment = [accepted_commitment_context()] if self._commitment is not None else []
        return [*accepted_contexts(), *commitment]

    def _on_requested(self, event: Event) -> None:
        requestor = event.assoc.requestor
        request = cast("A_ASSOCIATE", requestor.primitive)
        # pynetdicom accepts whoever a failing handler did not reject, so the answer goes out first,
        # and a list that cannot be read knows nobody.
        failure: Exception | None = None
        try:
            peer = self._admission.admit(
                event.assoc, request.calling_ae_title, requestor.address, _subject(event.assoc)
            )
        except Exception as error:  # noqa: BLE001  the boundary of the DIMSE handler: fail closed
            peer, failure = _NOBODY, error
        if isinstance(peer, Refusal):
            event.assoc.acse.send_reject(peer.result, peer.source, peer.diagnostic)
            # Wait until the answer is out: pynetdicom closes the socket when this handler returns.
            event.assoc.kill()
            _log.warning(
                "a caller is rejected",
                calling_ae_title=request.calling_ae_title,
                address=requestor.address,
                reason=peer.reason,
                exc_info=failure,
            )
            self._tell_refused(request.calling_ae_title, requestor.address, peer.reason)
            return
        self._callers[event.assoc] = peer
        us = event.assoc.acceptor
        us.supported_contexts = permitted_contexts(us.supported_contexts, peer)

    def _on_rejected(self, event: Event) -> None:
        # Only rejections by pynetdicom itself come here: wrong called AE title, too many callers.
        requestor = event.assoc.requestor
        request = cast("A_ASSOCIATE", requestor.primitive)
        answer = cast("A_ASSOCIATE", event.assoc.acceptor.primitive)
        _log.warning(
            "an association is rejected",
            calling_ae_title=request.calling_ae_title,
            called_ae_title=request.called_ae_title,
            address=requestor.address,
            reason=answer.reason_str,
        )
        self._tell_refused(request.calling_ae_title, requestor.address, answer.reason_str)

    def _on_echo(self, event: Event) -> int:
        _log.debug("C-ECHO answered", calling_ae_title=event.assoc.requestor.ae_title)
        return SUCCESS

    def _on_store(self, event: Event) -> int:
        try:
            return self._store(event)
        finally:
            wrapper = event.assoc.dul.socket
            if isinstance(wrapper, GuardedSocket):
                wrapper.handled()

    def _store(self, event: Event) -> int:
        calling, peer = event.assoc.requestor.ae_title, self._callers.get(event.assoc)
        return self._taking.take(
            peer,
            lambda: _received(event, calling),
            lambda received: self._tell_stored(event.assoc, received),
            ae_title=calling,
        )

    def _tell_stored(self, association: Association, received: ReceivedObject) -> None:
        if self._audit is not None:
            address = str(association.requestor.address)
            self._audit.stored(association, received, address=address)


def _subject(association: Association) -> Subject | None:
    """Of the caller's certificate; None for a plain connection."""
    wrapper = association.dul.socket
    sock = wrapper.socket if wrapper is not None else None
    return peer_subject(sock) if isinstance(sock, ssl.SSLSocket) else None


def _received(event: Event, calling_ae_title: str) -> ReceivedObject:
    request, context = cast("C_STORE", event.request), event.context
    if request.AffectedSOPInstanceUID is None:
        raise InputError("the request names no SOP instance")
    if request.AffectedSOPClassUID not in STORAGE_CLASSES:
        raise UnsupportedError("the request names a SOP class this node does not store")
    if request.AffectedSOPClassUID != context.abstract_syntax:
        raise InputError("the request's SOP class is not that of its presentation context")
    return received_object(
        sop_class_uid=str(request.AffectedSOPClassUID),
        sop_instance_uid=str(request.AffectedSOPInstanceUID),
        syntax_uid=str(context.transfer_syntax),
        dataset=event.encoded_dataset(include_meta=False),
        ae_title=calling_ae_title,
    )
