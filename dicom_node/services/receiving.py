"""Taking an image into safety: after `Receiving.receive` returns it survives a power cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from dicom_node.domain.errors import InputError
from dicom_node.iod.reading import read_header
from dicom_node.ports import NewImage, Receipt

if TYPE_CHECKING:
    from collections.abc import Callable

    from dicom_node.domain.header import Header
    from dicom_node.ports import Clock, Ledger, ReceivedObject, Spool

__all__ = ["Receiving"]

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiving:
    """A `ports.Receiver`: file first, then row, then the answer.

    A crash between file and row leaves a file nobody claims, which recovery collects; the sender
    was told nothing and sends again. The other order could acknowledge an image that is not there.

    Attributes:
        ledger: Where the row goes.
        spool: Where the file goes.
        clock: Stamps the row.
        wake: Called after a new image is safe, so that it is planned at once.
    """

    ledger: Ledger
    spool: Spool
    clock: Clock
    wake: Callable[[], None]

    def receive(self, received: ReceivedObject) -> Receipt:
        """See `ports.Receiver.receive`.

        Raises:
            InputError: It cannot be read, or is another object than the request said.
            CapacityError: There is no room for it.
        """
        header = read_header(received.data, calling_ae_title=received.calling_ae_title)
        _check_same(header, received)
        spooled = self.spool.put(received.data)
        receipt = self.ledger.record_image(
            NewImage(
                sop_class_uid=received.sop_class_uid,
                sop_instance_uid=received.sop_instance_uid,
                study_instance_uid=header.first("StudyInstanceUID"),
                transfer_syntax_uid=received.transfer_syntax_uid,
                calling_ae_title=received.calling_ae_title,
                digest=spooled.digest,
                size_bytes=spooled.size_bytes,
            ),
            self.clock(),
        )
        _log.info(
            "an image was received",
            receipt=receipt.value,
            calling_ae_title=received.calling_ae_title,
            digest=spooled.digest[:12],
            size_bytes=spooled.size_bytes,
        )
        if receipt is Receipt.NEW:
            self.wake()
        return receipt


def _check_same(header: Header, received: ReceivedObject) -> None:
    """The data set is the object the request named (PS3.7 9.1.1.1)."""
    for keyword, requested in (
        ("SOPClassUID", received.sop_class_uid),
        ("SOPInstanceUID", received.sop_instance_uid),
    ):
        found = header.first(keyword)
        if not found:
            raise InputError(f"the data set has no {keyword}")
        if found != requested:
            raise InputError(f"the data set's {keyword} is not the one the request names")
