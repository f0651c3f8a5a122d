"""A small archive: a storage SCP that writes what it is sent into a folder.

``python -m dicom_node.demo.archive FOLDER AE_TITLE`` tells what happens in JSON lines on stdout:
``archive_ready`` with its ``port``, then ``stored`` with the ``file`` and the time ``at``. It runs
until its standard input ends, that is, until whoever started it is gone, however that came about;
a process id written there is then told to stop as well.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

if TYPE_CHECKING:
    from pynetdicom.events import Event
    from pynetdicom.transport import ThreadedAssociationServer

__all__ = ["main", "start"]

SUCCESS: Final = 0x0000
OUT_OF_RESOURCES: Final = 0xA700
CANNOT_UNDERSTAND: Final = 0xC000


class _Folder:
    """Files in the order they came; names never come from the peer."""

    def __init__(self, folder: Path, lines: IO[str]) -> None:
        self._folder = folder
        self._lines = lines
        self._lock = threading.Lock()
        self._count = 0

    def store(self, event: Event) -> int:
        """Write one object, then say so; the status to answer."""
        try:
            data = event.encoded_dataset()
        except (ValueError, AttributeError):
            return CANNOT_UNDERSTAND
        with self._lock:
            self._count += 1
            path = self._folder / f"view-{self._count:02d}.dcm"
            try:
                path.write_bytes(data)
            except OSError:
                return OUT_OF_RESOURCES
            self.say("stored", file=path.name, at=time.time())
        return SUCCESS

    def say(self, event: str, **fields: object) -> None:
        """One JSON line."""
        print(json.dumps({"event": event, **fields}), file=self._lines, flush=True)


def start(folder: Path, ae_title: str, lines: IO[str]) -> ThreadedAssociationServer:
    """Listen on a free port of this machine, in threads of its own.

    Args:
        folder: Where files go; it exists.
        ae_title: By which it must be called.
        lines: Where JSON lines go.
    """
    files = _Folder(folder, lines)
    ae = AE(ae_title=ae_title)
    ae.require_called_aet = True
    ae.supported_contexts = AllStoragePresentationContexts
    ae.add_supported_context(Verification)
    server = ae.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, files.store)]
    )
    assert server is not None  # it does not block
    files.say("archive_ready", port=server.server_address[1])
    return server


def main(arguments: list[str]) -> int:
    """Run until standard input ends."""
    folder, ae_title = arguments
    server = start(Path(folder), ae_title, sys.stdout)
    guarded = [int(line) for line in sys.stdin if line.strip().isdigit()]
    for process in guarded:
        try:
            os.kill(process, signal.SIGTERM)
        except ProcessLookupError:
            continue
    server.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
