"""What the life of a node leaves in its audit trail."""

from __future__ import annotations

import contextlib
import os
import pwd
from typing import TYPE_CHECKING

from dicom_node.audit.events import application_activity, configuration_changed

if TYPE_CHECKING:
    from dicom_node.audit.trail import AuditTrail

__all__ = ["NodeLife", "operator"]


def operator() -> str:
    """The account this process runs under."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


class NodeLife:
    """Tells the trail of start and stop, and of a configuration that is another than last time.

    Args:
        trail: Of this node.
        ae_title: Of this node.
        configuration: Its digest.
    """

    def __init__(self, trail: AuditTrail, *, ae_title: str, configuration: str) -> None:
        self._trail = trail
        self._ae_title = ae_title
        self._configuration = configuration
        self._known = trail.path.with_name(f"{trail.path.name}.configuration")

    def starts(self) -> None:
        """The node is ready."""
        user = operator()
        self._trail.record(application_activity(self._ae_title, user, starts=True))
        try:
            before = self._known.read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            before = ""
        if before != self._configuration:
            self._trail.record(configuration_changed(self._ae_title, user, self._configuration))
            # Not written, on a disk that is full, it is told once more at the next start.
            with contextlib.suppress(OSError):
                descriptor = os.open(self._known, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                with os.fdopen(descriptor, "w", encoding="ascii") as file:
                    file.write(self._configuration + "\n")

    def stops(self) -> None:
        """The node has ended its work."""
        self._trail.record(application_activity(self._ae_title, operator(), starts=False))
