"""An archive that remembers every byte it was ever sent, and may do something in the middle."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from pydicom import Dataset
from pynetdicom import AE, build_context, build_role, evt

from dicom_node.network.contexts import STORAGE_CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable

PUSH_MODEL = "1.2.840.10008.1.20.1"
INSTANCE = "1.2.840.10008.1.20.1.1"
_SYNTAXES = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")


class Recorder:
    """A storage and storage commitment SCP in the process of the test.

    Args:
        ae_title: Of the archive.
        node_port: Where it reports commitments, on an association of its own.
    """

    def __init__(self, ae_title: str, *, node_port: int) -> None:
        self.stored: dict[str, list[str]] = defaultdict(list)
        """SHA-256 of the data set's bytes, one for each time it came, by SOP Instance UID."""
        self.on_store: Callable[[int], None] = lambda count: None
        """Called before an answer goes out, with the number of instances that came so far."""
        self.on_action: Callable[[], None] = lambda: None
        """The same for a request for commitment."""
        self.on_bytes: Callable[[str, bytes], object] = lambda uid, data: None
        """Shown every data set that comes, with its SOP Instance UID."""
        self._node_port = node_port
        self._count = 0
        self._lock = threading.Lock()
        self._ae = AE(ae_title)
        self._server: Any = self._ae.start_server(
            ("127.0.0.1", 0),
            block=False,
            contexts=[
                *(build_context(uid, list(_SYNTAXES)) for uid in STORAGE_CLASSES),
                build_context(PUSH_MODEL),
            ],
            evt_handlers=[(evt.EVT_C_STORE, self._store), (evt.EVT_N_ACTION, self._act)],
        )
        self.port = int(self._server.server_address[1])

    def stop(self) -> None:
        self._ae.shutdown()

    def reset(self) -> None:
        """Forget what was to be done in the middle."""
        self.on_store, self.on_action = (lambda count: None), (lambda: None)
        self._count = 0

    def _store(self, event: Any) -> int:
        data = event.encoded_dataset(include_meta=False)
        with self._lock:
            self.stored[str(event.request.AffectedSOPInstanceUID)].append(
                hashlib.sha256(data).hexdigest()
            )
            self._count += 1
            count = self._count
        self.on_bytes(str(event.request.AffectedSOPInstanceUID), data)
        self.on_store(count)
        return 0x0000

    def _act(self, event: Any) -> tuple[int, None]:
        information = event.action_information
        self.on_action()
        threading.Thread(target=self._report, args=(information,), daemon=True).start()
        return 0x0000, None

    def _report(self, information: Dataset) -> None:
        """Tell the node which of the instances are here, again and again until it took it."""
        report = Dataset()
        report.TransactionUID = information.TransactionUID
        have = [
            item
            for item in information.ReferencedSOPSequence
            if item.ReferencedSOPInstanceUID in self.stored
        ]
        missing = [item for item in information.ReferencedSOPSequence if item not in have]
        if have:
            report.ReferencedSOPSequence = have
        for item in missing:
            item.FailureReason = 0x0112
        if missing:
            report.FailedSOPSequence = missing
        role = build_role(PUSH_MODEL, scu_role=False, scp_role=True)
        until = time.monotonic() + 20
        while time.monotonic() < until:
            with contextlib.suppress(Exception):
                association = self._ae.associate(
                    "127.0.0.1",
                    self._node_port,
                    contexts=[build_context(PUSH_MODEL)],
                    ae_title="SYNTH",
                    ext_neg=[role],
                )
                if association.is_established:
                    answer, _ = association.send_n_event_report(
                        report, 2 if missing else 1, PUSH_MODEL, INSTANCE
                    )
                    association.release()
                    if "Status" in answer:
                        return
            time.sleep(0.3)
