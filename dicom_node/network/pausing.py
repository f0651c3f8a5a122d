"""A pause of an association's own thread that is certain.

pynetdicom pauses that thread while another one waits for a response, but takes it for paused when
it has only just passed the place where it rests, or while it serves a request. Then both wait, and
once in some thousand messages of a busy machine the wrong one gets the response, and a sender waits
for it in vain. It also takes it for running, for ever, when a report was served beside it at the
wrong moment or when it ended at one, and whoever would send or release then turns in a circle.
"""

from __future__ import annotations

import threading
from typing import Final, cast

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

    @property
    def is_quiet(self) -> bool:
        """Whether the thread does nothing that could cross what the caller does: it rests here, has
        ended, or is the caller.
        """
        thread = self._association
        return self._resting or threading.current_thread() is thread or not thread.is_alive()

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
        self.call()
        with self._change:
            while not self.is_quiet:
                self._change.wait(_LOOK_S)

    def call(self) -> None:
        """Make the thread come by soon, if it sleeps elsewhere."""

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


class _Paused(Association):
    """An association of which pynetdicom learns from its checkpoint whether its thread rests."""

    @property
    def _is_paused(self) -> bool:
        return cast("Checkpoint", self._reactor_checkpoint).is_quiet

    @_is_paused.setter
    def _is_paused(self, paused: bool) -> None:
        """What pynetdicom holds to be so."""


def pause_surely(association: Association, checkpoint: Checkpoint | None = None) -> None:
    """Let the thread of an association rest for certain while others use it.

    Args:
        association: Of either side.
        checkpoint: Where it rests; left out, a new one.
    """
    association._reactor_checkpoint = checkpoint or Checkpoint(association)
    # pynetdicom makes associations of its own class alone, and looks at an attribute of them.
    association.__class__ = _Paused
