"""One object of a peer, by whichever protocol it came: may it be stored, was it, and what is said.

Every way in goes through here, so that all of them check the same and answer the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from dicom_node.domain.errors import CapacityError, NodeError, UnsupportedError, describe

if TYPE_CHECKING:
    from collections.abc import Callable

    from dicom_node.domain.routes import Peer
    from dicom_node.network.admission import Admission
    from dicom_node.ports import ReceivedObject, Receiver

__all__ = ["PROCESSING_FAILURE", "SUCCESS", "Taking"]

SUCCESS: Final = 0x0000

PROCESSING_FAILURE: Final = 0x0110
"""Answer when storing failed for a reason of our own (PS3.7 C.5.14, PS3.18 Table I.2-2): the object
may be fine, so the sender may try again."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taking:
    """Safe to use from many threads.

    Attributes:
        admission: How much a peer may send.
        receiver: Where objects go.
    """

    admission: Admission
    receiver: Receiver

    def take(
        self,
        peer: Peer | None,
        read: Callable[[], ReceivedObject],
        stored: Callable[[ReceivedObject], None],
        *,
        ae_title: str,
    ) -> int:
        """Take one object into safety; the status for its sender, 0 when it is there. Never raises.

        Args:
            peer: Who sends it; None for one who is no peer.
            read: Gives the object, or raises a NodeError.
            stored: Called with the object when it is safe, before this returns.
            ae_title: Of the sender, for the log.
        """
        try:
            if peer is None or not peer.may_send:
                raise UnsupportedError("this peer may not store here")
            if not self.admission.may_store(peer):
                raise CapacityError(f"{peer.name} sends more images a minute than it may")
            received = read()
            self.receiver.receive(received)
        except NodeError as error:
            _log.warning(
                "a received object is refused",
                calling_ae_title=ae_title,
                error=type(error).__name__,
                reason=str(error),
            )
            return PROCESSING_FAILURE if error.dimse_status is None else error.dimse_status
        except Exception as error:  # noqa: BLE001  the peer must get an answer
            _log.error(
                "a received object was not stored",
                calling_ae_title=ae_title,
                reason=describe(error),
            )
            return PROCESSING_FAILURE
        stored(received)
        return SUCCESS
