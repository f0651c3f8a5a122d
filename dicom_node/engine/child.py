"""One engine process: start it, talk to it within a deadline, end it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from typing import TYPE_CHECKING, Final, cast

import structlog

from dicom_node.engine import messages
from synthesis.errors import SynthesisError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import BinaryIO

__all__ = ["Child", "ChildLostError"]

_LINE_AT_MOST: Final = 500
_DYING_S: Final = 5.0

_log = structlog.get_logger(__name__)


class ChildLostError(Exception):
    """The process is gone, or as good as.

    Attributes:
        overdue: True when it was killed at its deadline.
    """

    def __init__(self, reason: str, *, overdue: bool = False) -> None:
        super().__init__(reason)
        self.overdue = overdue


class Child:
    """A running engine process. Talk to it from one thread at a time; `kill` from any."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start it.

        Raises:
            OSError: The program cannot be started.
        """
        # A session of its own: signals to the node's terminal do not reach it, and killing its
        # group takes everything it started along.
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environment),
            start_new_session=True,
        )
        self._input = cast("BinaryIO", self._process.stdin)
        self._output = cast("BinaryIO", self._process.stdout)
        self._listener = threading.Thread(
            target=self._log_errors, name=f"engine-{self.pid}-stderr", daemon=True
        )
        self._listener.start()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def exchange(self, message: messages.Message, *, deadline_s: float) -> messages.Message:
        """Send a message and wait for the reply; at the deadline the process is killed.

        Raises:
            ChildLostError: It died, was killed, or answered nonsense; it is gone then.
            SynthesisError: Its reply holds values that cannot exist, such as NaN.
        """
        overdue = threading.Event()

        def stop() -> None:
            overdue.set()
            self._signal()

        timer = threading.Timer(deadline_s, stop)
        timer.daemon = True
        timer.start()
        broken = "it closed its output"
        try:
            messages.write(self._input, message)
            reply = messages.read(self._output)
        except (OSError, messages.FrameError, ValueError) as error:
            if isinstance(error, SynthesisError):
                raise
            reply, broken = None, str(error)
        finally:
            timer.cancel()
        if reply is not None:
            return reply
        code = self._ended_by_itself()
        self.kill()
        if overdue.is_set():
            raise ChildLostError(f"it missed its deadline of {deadline_s:.3g} s", overdue=True)
        raise ChildLostError(broken if code is None else _ending(code))

    def kill(self) -> None:
        """End it and everything it started, at once. Idempotent."""
        self._signal()
        self._process.wait(_DYING_S)
        for stream in (self._input, self._output):
            with contextlib.suppress(OSError):  # what was not sent yet cannot be flushed any more
                stream.close()
        self._listener.join(_DYING_S)

    def _ended_by_itself(self) -> int | None:
        """Its exit code, when its end is why it went silent."""
        try:
            return self._process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            return None

    def _signal(self) -> None:
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def _log_errors(self) -> None:
        errors = cast("BinaryIO", self._process.stderr)
        with errors:
            for line in errors:
                text = line.decode("utf-8", "replace").rstrip()
                if text:
                    _log.warning("the engine wrote a line", pid=self.pid, line=text[:_LINE_AT_MOST])


def _ending(code: int) -> str:
    if code >= 0:
        return f"it ended with exit code {code}"
    name = signal.Signals(-code).name
    hint = "; the system may have run out of memory" if name == "SIGKILL" else ""
    return f"it was killed by {name}{hint}"
