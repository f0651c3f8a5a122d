"""Taking an image into safety: after `Receiving.receive` returns it survives a power cut."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Final

import structlog

from dicom_node.domain.errors import CapacityError, InputError
from dicom_node.domain.identifiers import resembles_uid
from dicom_node.domain.legible import legible
from dicom_node.iod.reading import read_header
from dicom_node.ports import NewImage, Receipt

if TYPE_CHECKING:
    from collections.abc import Callable

    from dicom_node.domain.header import Header
    from dicom_node.ports import Clock, Ledger, ReceivedObject, Spool

__all__ = ["Backlog", "Receiving"]

COUNT_EVERY_S: Final = 1.0
"""How often the rows are counted at most; in between, what came in is added."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class Backlog:
    """How much waits, known without counting the rows for every image. For many threads.

    Attributes:
        ledger: Where it waits.
        clock: Unix seconds.
        at_most: Images and jobs that may wait; None for any number.
    """

    ledger: Ledger
    clock: Clock
    at_most: int | None = None
    _waiting: int = field(default=0, init=False, repr=False)
    _counted_at: float | None = field(default=None, init=False, repr=False)
    _lock: Lock = field(default_factory=Lock, init=False, repr=False)

    def check(self) -> None:
        """Nothing, while there is room for one more.

        Raises:
            CapacityError: There is none.
        """
        if self.at_most is None:
            return
        with self._lock:
            now = self.clock()
            age_s = None if self._counted_at is None else now - self._counted_at
            if age_s is None or not 0.0 <= age_s < COUNT_EVERY_S:
                self._waiting, self._counted_at = self.ledger.waiting(), now
            if self._waiting >= self.at_most:
                raise CapacityError(
                    f"{self._waiting} images and jobs wait already: no more than "
                    f"{self.at_most} may (engine.max_waiting)"
                )

    def add(self) -> None:
        """One more came in."""
        with self._lock:
            self._waiting += 1


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
        backlog: Whether there is room for what it will wait for; None for any number.
    """

    ledger: Ledger
    spool: Spool
    clock: Clock
    wake: Callable[[], None]
    backlog: Backlog | None = None

    def receive(self, received: ReceivedObject) -> Receipt:
        """See `ports.Receiver.receive`.

        Raises:
            InputError: It cannot be read, or is another object than the request said.
            CapacityError: There is no room for it, or too much waits.
        """
        if self.backlog is not None:
            self.backlog.check()
        header = read_header(received.data, calling_ae_title=received.calling_ae_title)
        _check_same(header, received)
        study_uid = header.first("StudyInstanceUID")
        spooled = self.spool.put(received.data)
        receipt = self.ledger.record_image(
            NewImage(
                sop_class_uid=received.sop_class_uid,
                sop_instance_uid=received.sop_instance_uid,
                study_instance_uid=study_uid if resembles_uid(study_uid) else "",
                transfer_syntax_uid=received.transfer_syntax_uid,
                calling_ae_title=received.calling_ae_title,
                digest=spooled.digest,
                size_bytes=spooled.size_bytes,
                accession_number=legible(header.accession_number),
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
            if self.backlog is not None:
                self.backlog.add()
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
        if not resembles_uid(found):
            raise InputError(f"the data set's {keyword} is no UID")
