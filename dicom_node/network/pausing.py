"""A pause of an association's own thread that is certain.

pynetdicom pauses that thread while another one waits for a response, but takes it for paused when
it has only just passed the place where it rests. Then both wait, and once in some thousand
messages of a busy machine the wrong one gets the response, and a sender waits for it in vain.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pynetdicom.association import Association

__all__ = ["Checkpoint", "pause_surely"]

_LOOK_S: Final = 0.1
"""How often it is seen whether the thread has ended, which nobody tells."""


class Checkpoint(threading.Event):
    """Where an association's thread comes by in every turn, and rests after `clear`."""

    def __init__(self, association: Association) -> None:
        super().__init__()
        self._association = association
        self._change = threading.Condition()
        self._open = True
        self._resting = False

    def is_set(self) -> bool:
        """Whether it may pass."""
        return self._open

    def set(self) -> None:
        """Let it go on."""
        with self._change:
            self._open = True
            self._change.notify_all()

    def clear(self) -> None:
        """Return when it rests here, or has ended."""
        with self._change:
            self._open = False
            if threading.current_thread() is self._association:
                return
            while not self._resting and self._association.is_alive():
                self._change.wait(_LOOK_S)

    def wait(self, timeout: float | None = None) -> bool:
        """Rest while it is cleared."""
        with self._change:
            while not self._open:
                self._resting = True
                self._change.notify_all()
                if not self._change.wait(timeout) and timeout is not None:
                    break
            self._resting = False
            return self._open


def pause_surely(association: Association) -> None:
    """Let the thread of an association rest for certain while others use it."""
    association._reactor_checkpoint = Checkpoint(association)
