"""What is read from a caller, within limits of size and time.

pynetdicom reads whatever length a PDU announces into memory, and its time-outs begin anew with
every byte: a sender of one byte a second would keep its place for ever.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from pynetdicom.transport import AssociationSocket

from dicom_node.network.associations import MAXIMUM_PDU_BYTES
from dicom_node.network.waking import Doorbell

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from pynetdicom.association import Association

    from dicom_node.network.intake import Intake

__all__ = ["SLOWEST_BYTES_PER_S", "GuardedSocket", "ReadLimits"]

HEADER_BYTES: Final = 6
"""Type, a reserved byte and the length (PS3.8 9.3.1)."""

REQUEST_BYTES: Final = 1 << 20
"""Longest A-ASSOCIATE-RQ: 128 contexts with every transfer syntax there is need a quarter of it."""

_ESTABLISHED: Final = "Sta6"
"""The state in which data may come at any time, or never (PS3.8 9.2.2)."""

_P_DATA: Final = 0x04
_ASSOCIATE_REQUEST: Final = 0x01
_KNOWN: Final = range(0x01, 0x08)
_OTHER_BYTES: Final = 1 << 16
_SLACK_BYTES: Final = 4096
"""Some senders count the headers of a PDU apart from its greatest length."""

SLOWEST_BYTES_PER_S: Final = 4096.0
"""A modem's pace; whoever is slower for longer than the idle time-out means no good."""

_UNANSWERED: Final = 2
"""Whole messages that may wait for their answer. Nobody negotiates asynchronous operations with us
(PS3.7 D.3.3.3), so there is one at a time, and perhaps the answer to a message of ours."""

# A-ABORT of the service provider, invalid PDU parameter value (PS3.8 9.3.8).
_ABORT: Final = bytes((0x07, 0, 0, 0, 0, 4, 0, 0, 2, 6))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadLimits:
    """How much and how slowly a caller may send.

    Attributes:
        request_s: From the connection to the end of its A-ASSOCIATE-RQ (the ARTIM timer).
        idle_s: For one PDU, once begun; and for a message of any size on top of what it takes at
            the slowest pace.
        message_bytes: Longest message.
        intake: What is held of all callers together.
    """

    request_s: float
    idle_s: float
    message_bytes: int
    intake: Intake


class _Dropped(ConnectionAbortedError):
    """The caller went over a limit."""


class GuardedSocket(AssociationSocket):
    """pynetdicom's socket with limits on what is read.

    Args:
        association: It belongs to.
        client_socket: Connected, and secured if it is to be.
        limits: Of what is read.
        on_drop: Called with the reason when a caller goes over them.
    """

    def __init__(
        self,
        association: Association,
        client_socket: socket.socket,
        *,
        limits: ReadLimits,
        on_drop: Callable[[str], None],
    ) -> None:
        super().__init__(association, client_socket=client_socket)
        self.doorbell = Doorbell()
        self._limits = limits
        self._on_drop = on_drop
        self._request_until: float | None = time.monotonic() + limits.request_s
        self._pdu_until = 0.0
        self._pdu_type: int | None = None
        self._message_began = 0.0
        self._message_bytes = 0

    @property
    def ready(self) -> bool:
        """Whether there is something to read; while the association is open, after a wait for it
        that the doorbell ends too.
        """
        if super().ready:
            return True
        if self.socket is None or self.assoc.dul.state_machine.current_state != _ESTABLISHED:
            return False
        self.doorbell.wait_beside(self.socket)
        return bool(super().ready)

    def recv(self, nr_bytes: int) -> bytearray:
        """Read a header, or after a header what it announced; less when the caller goes.

        Raises:
            OSError: It broke, came too slowly or is too much.
        """
        data = bytearray()
        try:
            data = self._header(nr_bytes) if self._pdu_type is None else self._body(nr_bytes)
        except _Dropped as dropped:
            self._on_drop(str(dropped))
            with contextlib.suppress(OSError):
                cast("socket.socket", self.socket).sendall(_ABORT)
            raise
        except TimeoutError:
            self._on_drop("it began a PDU and did not end it in time")
            raise
        finally:
            if len(data) < nr_bytes:  # nothing more will come
                self._limits.intake.keep(self)
        return data

    def _header(self, nr_bytes: int) -> bytearray:
        self._pdu_until = self._request_until or time.monotonic() + self._limits.idle_s
        header = self._read(nr_bytes)
        if len(header) == HEADER_BYTES and header[0] in _KNOWN:
            self._pdu_type = header[0]
        return header

    def _body(self, nr_bytes: int) -> bytearray:
        kind, self._pdu_type = self._pdu_type, None
        longest = {
            _P_DATA: MAXIMUM_PDU_BYTES + _SLACK_BYTES,
            _ASSOCIATE_REQUEST: REQUEST_BYTES,
        }.get(cast("int", kind), _OTHER_BYTES)
        if nr_bytes > longest:
            raise _Dropped(f"it announced a PDU of {nr_bytes} bytes, {longest} are the most")
        if kind == _P_DATA:
            self._check_message(nr_bytes)
        body = self._read(nr_bytes)
        self._request_until = None
        return body

    def _check_message(self, nr_bytes: int) -> None:
        now, limits = time.monotonic(), self._limits
        if self.assoc.dimse.message is None:
            self._message_began, self._message_bytes = now, 0
            if self.assoc.dimse.msg_queue.qsize() >= _UNANSWERED:
                raise _Dropped("it sends on without waiting for answers")
        self._message_bytes += nr_bytes
        if self._message_bytes > limits.message_bytes:
            raise _Dropped(f"its message is longer than {limits.message_bytes} bytes")
        allowed_s = limits.idle_s + self._message_bytes / SLOWEST_BYTES_PER_S
        if now - self._message_began > allowed_s:
            raise _Dropped("its message comes too slowly")
        if not limits.intake.take(self, nr_bytes, within_s=limits.idle_s):
            raise _Dropped("others hold all memory there is for what is received")
        waited_s = time.monotonic() - now  # our doing, not the caller's
        self._message_began += waited_s
        self._pdu_until += waited_s

    def handled(self) -> None:
        """The last whole message is done with; what has come of the next one stays held."""
        unfinished = self.socket is not None and self.assoc.dimse.message is not None
        self._limits.intake.keep(self, self._message_bytes if unfinished else 0)

    def close(self) -> None:
        """Close the connection; nothing is held for it any more."""
        super().close()
        self._limits.intake.keep(self)

    def _shutdown_socket(self) -> None:
        super()._shutdown_socket()
        self.doorbell.close()

    def _read(self, nr_bytes: int) -> bytearray:
        sock: Any = self.socket
        data = bytearray(nr_bytes)
        view, read = memoryview(data), 0
        try:
            while read < nr_bytes:
                left_s = self._pdu_until - time.monotonic()
                if left_s <= 0:
                    raise TimeoutError
                sock.settimeout(left_s)
                got = sock.recv_into(view[read:])
                if not got:
                    break
                read += got
        finally:
            view.release()
            with contextlib.suppress(OSError):
                sock.settimeout(self._limits.idle_s)
        del data[read:]
        return data
