"""The node's voice: C-STORE and C-ECHO towards destinations."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import structlog
from pydicom import dcmread
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import _config as pynetdicom_config

from dicom_node.domain.errors import (
    IntegrityError,
    NodeError,
    PeerError,
    RefusedError,
    UnreachableError,
)
from dicom_node.network.associations import Timeouts, abort_all, application_entity, socket_guards
from dicom_node.network.contexts import proposed_contexts, rewritable, verification_contexts
from dicom_node.network.pausing import pause_surely
from dicom_node.network.statuses import meaning_of, outcome_of
from dicom_node.network.tls import Attempt, OutgoingTls

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pydicom import Dataset
    from pynetdicom.association import Association
    from pynetdicom.events import EventHandlerType
    from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
    from pynetdicom.presentation import PresentationContext

    from dicom_node.domain.deliveries import DerivedInstance, Outcome
    from dicom_node.domain.routes import Destination

__all__ = ["PynetStoreClient"]

_MEDIUM = (
    0x0000  # Priority of PS3.7 9.3.1.1; low, pynetdicom's default, is put last by some archives
)

_log = structlog.get_logger(__name__)


class PynetStoreClient:
    """The `StoreClient` port by pynetdicom. Safe to use from many threads at a time.

    Files go out as they lie on disk, streamed. Only when a destination takes an uncompressed object
    in nothing but Implicit VR Little Endian is it written anew, without loss, and the log says so.
    """

    def __init__(self, ae_title: str, *, timeouts: Timeouts | None = None) -> None:
        """Take our AE title.

        Args:
            ae_title: By which destinations know us.
            timeouts: Left out, the defaults.
        """
        self._timeouts = timeouts or Timeouts()
        self._ae = application_entity(ae_title, self._timeouts)
        self._open: set[Association] = set()
        self._kept: dict[str, Association] = {}
        self._tls = OutgoingTls()
        self._closed = False
        self._lock = threading.Lock()
        # The one switch by which pynetdicom sends a file without reading it into a data set and
        # writing that out again; it exists only for the whole process.
        pynetdicom_config.STORE_SEND_CHUNKED_DATASET = True

    def send(
        self,
        destination: Destination,
        instances: Sequence[tuple[DerivedInstance, Path]],
        on_outcome: Callable[[DerivedInstance, Outcome, int], None],
    ) -> None:
        """Send in order over one association; report each answer as it comes.

        The association stays open, so that the next send to this destination goes over it as well
        when its objects are of the same classes and syntaxes. `release` ends it.

        Raises:
            UnreachableError: No association.
            PeerError: It broke; instances not reported were not confirmed.
            RefusedError: The destination takes the SOP class not at all, or in no syntax of ours.
            IntegrityError: A file is not there.
        """
        if not instances:
            return
        contexts = proposed_contexts(instance for instance, _ in instances)
        with self.associated(destination, contexts, keep=True) as association:
            for instance, _ in instances:
                _accepted_syntax(association, instance, destination)
            for number, (instance, path) in enumerate(instances):
                status = self._store(association, destination, instance, path, number)
                on_outcome(instance, outcome_of(status), status)
                _log.debug(
                    "an instance was answered",
                    destination=destination.name,
                    sop_instance_uid=instance.sop_instance_uid,
                    status=meaning_of(status),
                )

    def release(self, destination: Destination) -> None:
        """End the association to a destination, if one was kept open."""
        with self._lock:
            association = self._kept.pop(destination.name, None)
        if association is not None:
            self._end(association)

    def echo(self, destination: Destination) -> float:
        """Seconds a C-ECHO took, association included.

        Raises:
            PeerError: No answer, or not success.
        """
        started = time.monotonic()
        try:
            with self.associated(destination, verification_contexts()) as association:
                status = _status(association.send_c_echo(), destination)
        except RefusedError as error:
            raise PeerError(str(error)) from error
        if status != 0x0000:
            raise PeerError(f"{destination.name} answered C-ECHO with {meaning_of(status)}")
        return time.monotonic() - started

    def close(self) -> None:
        """Abort what is open, so that sends end with PeerError; nothing can be sent any more."""
        with self._lock:
            self._closed = True
            associations = tuple(self._open)
        abort_all(associations)
        for association in associations:
            # An abort of our own does not wake who waits for a response; "none came" does.
            association.dimse.msg_queue.put((None, None))

    @contextmanager
    def associated(
        self,
        destination: Destination,
        contexts: list[PresentationContext],
        *,
        keep: bool = False,
        handlers: Sequence[EventHandlerType] = (),
        negotiation: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
    ) -> Iterator[Association]:
        """An association to a destination for the time inside: released at the end, or aborted
        when what is inside raises.

        Args:
            destination: To whom.
            contexts: Proposed.
            keep: Leave it open for the next one that asks for the same; `release` ends it.
            handlers: Of events on it, for an association that is not kept.
            negotiation: Roles to propose.

        Raises:
            UnreachableError: There is none.
            RefusedError: Nothing of what is proposed is accepted.
        """
        if self._closed:
            raise PeerError("the node is stopping; the send is tried again after its start")
        association = self._reusable(destination, contexts) if keep else None
        if association is None:
            association = self._associate(destination, contexts, handlers, negotiation)
        whole = False
        try:
            yield association
            whole = association.is_established
        finally:
            if whole and keep:
                with self._lock:
                    self._kept[destination.name] = association
            elif whole:
                self._end(association)
            else:
                self._forget(association)
                if association.is_established:
                    association.abort()

    def _reusable(
        self, destination: Destination, contexts: list[PresentationContext]
    ) -> Association | None:
        """The association kept to a destination, when it lives and was asked for all of these."""
        with self._lock:
            association = self._kept.pop(destination.name, None)
        if association is None:
            return None
        asked = {_asked_for(c) for c in association.requestor.requested_contexts}
        if association.is_established and asked.issuperset(map(_asked_for, contexts)):
            return association
        self._end(association)
        return None

    def _associate(
        self,
        destination: Destination,
        contexts: list[PresentationContext],
        handlers: Sequence[EventHandlerType],
        negotiation: Sequence[SCP_SCU_RoleSelectionNegotiation],
    ) -> Association:
        attempt = self._tls.attempt(destination.tls)
        try:
            association = self._ae.associate(
                destination.host,
                destination.port,
                contexts=contexts,
                ae_title=destination.ae_title,
                ext_neg=list(negotiation),
                evt_handlers=[*socket_guards(self._timeouts), *handlers],
                tls_args=None
                if attempt is None
                else (cast("ssl.SSLContext", attempt), destination.host),
            )
        except OSError as error:
            raise UnreachableError(
                f"{destination.name}: host {destination.host} cannot be reached: "
                f"{error.strerror or error}"
            ) from error
        if not association.is_established:
            raise _not_established(association, destination, attempt)
        pause_surely(association)
        with self._lock:
            self._open.add(association)
        return association

    def _end(self, association: Association) -> None:
        """Release it, and abort it if that does not work."""
        try:
            if association.is_established:
                association.release()
        finally:
            self._forget(association)
            if association.is_established:
                association.abort()

    def _forget(self, association: Association) -> None:
        with self._lock:
            self._open.discard(association)

    def _store(
        self,
        association: Association,
        destination: Destination,
        instance: DerivedInstance,
        path: Path,
        number: int,
    ) -> int:
        if not path.is_file():
            raise IntegrityError(f"instance {instance.index} is not in the spool any more")
        content: Path | Dataset = path
        if _accepted_syntax(association, instance, destination) != instance.transfer_syntax_uid:
            _log.info(
                "an instance is rewritten, because the destination takes only the default syntax",
                destination=destination.name,
                transfer_syntax=ImplicitVRLittleEndian.name,
            )
            content = dcmread(path)
        try:
            answer = association.send_c_store(content, msg_id=number % 0xFFFF + 1, priority=_MEDIUM)
        except RuntimeError as error:  # "the association must be established"
            raise PeerError(f"{destination.name} ended the association") from error
        return _status(answer, destination)


def _asked_for(context: PresentationContext) -> tuple[str, str]:
    """What one proposed context asks for: a class in one syntax (`contexts.proposed_contexts`)."""
    return str(context.abstract_syntax), "".join(context.transfer_syntax or ())


def _accepted_syntax(
    association: Association, instance: DerivedInstance, destination: Destination
) -> str:
    """The transfer syntax in which the destination takes this instance.

    Raises:
        RefusedError: It takes it in none.
    """
    accepted = {
        str(context.transfer_syntax[0])
        for context in association.accepted_contexts
        if context.abstract_syntax == instance.sop_class_uid and context.transfer_syntax
    }
    own = instance.transfer_syntax_uid
    if own in accepted:
        return own
    default = str(ImplicitVRLittleEndian)
    if rewritable(own) and default in accepted:
        return default
    raise _refusal(destination, instance)


def _refusal(destination: Destination, instance: DerivedInstance | None = None) -> RefusedError:
    if instance is not None and instance.document is not None:
        what, instead = instance.document.value, "leave that document out for it"
    else:
        what, instead = destination.form.value, "choose another form for it"
    return RefusedError(
        f"{destination.name} takes {what} objects in no transfer syntax of ours: "
        f"let it accept the SOP class, or {instead}"
    )


def _not_established(
    association: Association, destination: Destination, attempt: Attempt | None
) -> NodeError:
    """Why there is no association, as an error of ours: the one table of such reasons."""
    where = f"{destination.name} ({destination.ae_title} at {destination.host}:{destination.port})"
    if attempt is not None and attempt.failure is not None:
        return UnreachableError(f"{where} cannot be reached over TLS: {attempt.failure}")
    answer = association.acceptor.primitive
    if association.is_rejected and answer is not None:
        return UnreachableError(f"{where} rejected the association: {answer.reason_str}")
    if association.rejected_contexts and not association.accepted_contexts:
        return _refusal(destination)
    if answer is None and association.requestor.primitive is None:
        return UnreachableError(f"{where} cannot be reached: no connection")
    return UnreachableError(f"{where} gave no association: no connection, no answer, or aborted")


def _status(answer: Dataset, destination: Destination) -> int:
    status = answer.get("Status")
    if status is None:
        raise PeerError(f"{destination.name} gave no answer: aborted, disconnected, or too slow")
    return int(status)
