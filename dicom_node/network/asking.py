"""A request of ours on an association over which the peer may ask something as well.

pynetdicom's own `send_*` take whatever comes next for the response and abort when it is none. On an
association that a peer opened, its next request may cross ours; and an archive may report on a
storage commitment before it answered to the demand (nothing in PS3.4 J.3.3 forbids it).
"""

from __future__ import annotations

import math
import queue
import time
from typing import TYPE_CHECKING, Final, TypeVar

from pynetdicom.pdu_primitives import A_RELEASE

if TYPE_CHECKING:
    from pynetdicom.association import Association
    from pynetdicom.dimse_primitives import N_ACTION, N_EVENT_REPORT, DIMSEPrimitive

__all__ = ["exchange"]

_Request = TypeVar("_Request", "N_ACTION", "N_EVENT_REPORT")

_LOOK_S: Final = 0.1
"""How often it is seen whether the association has ended, which nobody tells."""


def exchange(association: Association, request: _Request, context_id: int) -> _Request | None:
    """Send a request and wait for its response; what the peer asks meanwhile is served.

    Args:
        association: Open, and with a thread that can be paused for certain.
        request: Of a service that answers once.
        context_id: Of the presentation context it goes out under.

    Returns:
        The response; None when the association ended, or ends now because there was none in time,
        or something that was neither.
    """
    dimse = association.dimse
    patience_s = math.inf if dimse.dimse_timeout is None else dimse.dimse_timeout
    association._reactor_checkpoint.clear()
    try:
        dimse.send_msg(request, context_id)
        until = time.monotonic() + patience_s
        while association.is_established and time.monotonic() < until:
            try:
                asked_under, message = dimse.msg_queue.get(timeout=_LOOK_S)
            except queue.Empty:
                if isinstance(association.dul.peek_next_pdu(), A_RELEASE):
                    return None  # the peer is done; the association's thread confirms it
                continue
            if message is None or asked_under is None:
                return None
            if message.is_valid_request:
                association._serve_request(message, asked_under)
                until = time.monotonic() + patience_s
            elif isinstance(message, type(request)) and _answers(message, request):
                return message
            else:
                break
    finally:
        association._reactor_checkpoint.set()
    association.abort()
    return None


def _answers(response: DIMSEPrimitive, request: DIMSEPrimitive) -> bool:
    return response.is_valid_response and response.MessageIDBeingRespondedTo == request.MessageID
