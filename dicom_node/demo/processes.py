"""A child process that tells what happens in JSON lines on its standard output."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from dicom_node.domain.errors import ConfigurationError

__all__ = ["Child", "started"]

STOP_S: Final = 20.0
"""How long a child may take to stop before it is killed; a node drains within 15 s."""


class Child:
    """One running child. Its output goes to a log file; its JSON lines can be waited for."""

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        self.name = name
        self._log_path = log
        # A session of its own: Ctrl-C reaches this process alone, which then stops its children.
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        self._lines: list[dict[str, Any]] = []
        self._last_text = ""
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, name=f"{name}-output", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def tell(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def said(self, event: str) -> list[dict[str, Any]]:
        """Every JSON line of an event so far."""
        with self._changed:
            return [line for line in self._lines if line.get("event") == event]

    def wait_for(self, event: str, timeout_s: float) -> dict[str, Any]:
        """The first JSON line of an event.

        Raises:
            ConfigurationError: It ended, or the time is over.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while True:
                for line in self._lines:
                    if line.get("event") == event:
                        return line
                left = deadline - time.monotonic()
                if left <= 0:
                    raise ConfigurationError(
                        f"{self.name} was not ready after {timeout_s:g} s; see {self._log_path}"
                    )
                if not self._reader.is_alive():
                    raise self.ended()
                self._changed.wait(min(left, 0.2))

    def check(self) -> None:
        """Notice that it ended.

        Raises:
            ConfigurationError: It did, and nobody asked it to.
        """
        if self._process.poll() is not None:
            self._reader.join(timeout=1.0)
            raise self.ended()

    def ended(self) -> ConfigurationError:
        """The error of a child that ended on its own, with the last thing it said."""
        status = self._process.wait(timeout=STOP_S)
        said = f": {self._last_text}" if self._last_text else ""
        return ConfigurationError(
            f"{self.name} ended with status {status}{said} (see {self._log_path})"
        )

    def stop(self) -> int:
        """SIGTERM, and SIGKILL if that is not enough; its exit status."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            status = self._process.wait(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self._reader.join(timeout=1.0)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None and (
                pipe is not self._process.stdout or not self._reader.is_alive()
            ):
                with contextlib.suppress(OSError):
                    pipe.close()
        return status

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._log_path.open("w", encoding="utf-8") as log:
            for text in self._process.stdout:
                log.write(text)
                log.flush()
                line = _json_line(text)
                with self._changed:
                    self._last_text = text.strip() or self._last_text
                    if line is not None:
                        self._lines.append(line)
                    self._changed.notify_all()


def _json_line(text: str) -> dict[str, Any] | None:
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None


@contextlib.contextmanager
def started(name: str, module: str, *arguments: str, log: Path) -> Iterator[Child]:
    """``python -m MODULE ARGUMENTS`` in this interpreter; stopped on leaving, whatever happens."""
    child = Child(name, (sys.executable, "-m", module, *arguments), log)
    try:
        yield child
    finally:
        child.stop()
