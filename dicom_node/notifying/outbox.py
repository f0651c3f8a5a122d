"""What is known and what is still to be told, in one file that survives a power cut."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import structlog

from dicom_node.domain.alarms import Alarm, AlarmKey, Cause
from dicom_node.notifying.wording import Message

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Letter", "Outbox", "Saved"]

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A message for one channel.

    Attributes:
        channel: Name.
        message: What it says.
        failures: So far.
        due_at: Not before, in Unix seconds.
    """

    channel: str
    message: Message
    failures: int = 0
    due_at: float = 0.0

    def failed(self, due_at: float) -> Letter:
        """The same after one more failure."""
        return replace(self, failures=self.failures + 1, due_at=due_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """All there is to remember."""

    alarms: Mapping[AlarmKey, Alarm]
    letters: tuple[Letter, ...]


class Outbox:
    """The file.

    Args:
        path: Of the file; its folder is there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Saved:
        """What was saved last; nothing when there is no file, or none that can be read."""
        try:
            return _saved(json.loads(self._path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError, KeyError) as error:
            _log.warning(
                "what was to be notified could not be read and is forgotten",
                reason=type(error).__name__,
            )
        return Saved(alarms={}, letters=())

    def write(self, saved: Saved) -> None:
        """Keep this instead of what was there.

        Raises:
            OSError: The disk does not take it.
        """
        text = json.dumps(
            {
                "alarms": [[*key, asdict(alarm)] for key, alarm in saved.alarms.items()],
                "letters": [asdict(letter) for letter in saved.letters],
            }
        )
        new = self._path.with_suffix(".new")
        with new.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)


def _saved(read: Any) -> Saved:
    alarms = {
        AlarmKey(str(rule), Cause(cause), str(subject)): Alarm(**alarm)
        for rule, cause, subject, alarm in read["alarms"]
    }
    letters = [
        Letter(**{**letter, "message": Message(**letter["message"])}) for letter in read["letters"]
    ]
    return Saved(alarms=alarms, letters=tuple(letters))
