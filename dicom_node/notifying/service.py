"""Looks at the node, decides who is told, and sends until it is taken."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog

from dicom_node.domain.alarms import AlarmRule, Notice, advance
from dicom_node.domain.errors import NodeError, describe
from dicom_node.domain.retry import RetryPolicy
from dicom_node.notifying.outbox import Letter, Outbox, Saved
from dicom_node.notifying.wording import Message, Wording, message

if TYPE_CHECKING:
    from dicom_node.notifying.channels import Channel
    from dicom_node.notifying.observing import Observer

__all__ = ["LETTERS_AT_MOST", "Notifying", "try_channels"]

LETTERS_AT_MOST: Final = 500
"""That wait; when there are more, the oldest are given up."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class Notifying:
    """A service for one thread.

    Attributes:
        rules: With their wording.
        channels: By name.
        observer: Looks at the node.
        outbox: Remembers.
        node: AE title, for messages.
        look_every_s: How often the node is looked at.
        retry: When a message that was not taken is sent again.
        jitter: In [0, 1).
        new_id: Of a message.
        stopping: True once the node shuts down.
    """

    rules: Sequence[tuple[AlarmRule, Wording]]
    channels: Mapping[str, Channel]
    observer: Observer
    outbox: Outbox
    node: str
    look_every_s: float = 15.0
    retry: RetryPolicy = field(
        default_factory=lambda: RetryPolicy(first_s=10.0, factor=2.0, max_s=900.0, attempts=30)
    )
    jitter: Callable[[], float] = lambda: 0.0
    new_id: Callable[[], str] = lambda: f"msg_{uuid.uuid4().hex}"
    stopping: Callable[[], bool] = lambda: False
    _saved: Saved | None = field(default=None, init=False, repr=False)
    _looked_at: float | None = field(default=None, init=False, repr=False)

    def run_once(self, now: float) -> bool:
        """Look if it is time, and send one message that is due; whether it sent one.

        Raises:
            OSError: What is to be told cannot be written down; it is looked at again.
        """
        saved = self._saved if self._saved is not None else self._read()
        due_s = None if self._looked_at is None else now - self._looked_at
        if due_s is None or not 0 <= due_s < self.look_every_s:
            saved = self._look(saved, now)
            self._looked_at = now
        self._saved = saved
        letter = next((each for each in saved.letters if self._is_due(each, now)), None)
        if letter is None or self.stopping():
            return False
        remains = self._send(letter, now)
        letters = [remains if each is letter else each for each in saved.letters]
        self._keep(
            Saved(alarms=saved.alarms, letters=tuple(each for each in letters if each is not None))
        )
        return True

    def _is_due(self, letter: Letter, now: float) -> bool:
        # A clock that was set back must not make the wait any longer.
        return not 0.0 < letter.due_at - now <= self.retry.max_s

    def _read(self) -> Saved:
        saved = self.outbox.read()
        known = tuple(each for each in saved.letters if each.channel in self.channels)
        return Saved(alarms=saved.alarms, letters=known)

    def _look(self, saved: Saved, now: float) -> Saved:
        troubles, looked_at = self.observer.look(now)
        alarms, notices = advance(
            [rule for rule, _ in self.rules],
            saved.alarms,
            troubles,
            looked_at=looked_at,
            now=now,
        )
        letters = [*saved.letters, *(each for notice in notices for each in self._letters(notice))]
        if len(letters) > LETTERS_AT_MOST:
            _log.error("notifications were given up: too many wait", channel="all")
        new = Saved(alarms=alarms, letters=tuple(letters[-LETTERS_AT_MOST:]))
        if notices or new.alarms != saved.alarms:
            self._keep(new)
        return new

    def _letters(self, notice: Notice) -> list[Letter]:
        rule, wording = next(each for each in self.rules if each[0].name == notice.rule)
        _log.info(
            "a trouble is notified",
            rule=rule.name,
            turn=notice.turn.value,
            cause=notice.trouble.cause.value,
            subject=notice.trouble.subject,
            channels=list(rule.to),
        )
        made = message(notice, wording, node=self.node, new_id=self.new_id())
        return [Letter(channel=name, message=made, due_at=notice.at) for name in rule.to]

    def _send(self, letter: Letter, now: float) -> Letter | None:
        """What remains of it."""
        try:
            self.channels[letter.channel].send(letter.message, now)
        except NodeError as error:
            wait_s = self.retry.delay_s(letter.failures + 1, jitter=self.jitter())
            if wait_s is None:
                _log.error(
                    "a notification was given up", channel=letter.channel, error=describe(error)
                )
                return None
            _log.warning(
                "a notification failed and is sent again",
                channel=letter.channel,
                error=describe(error),
                wait_s=wait_s,
            )
            return letter.failed(now + wait_s)
        _log.info("a notification was taken", channel=letter.channel, id=letter.message.id)
        return None

    def _keep(self, saved: Saved) -> None:
        self.outbox.write(saved)
        self._saved = saved


def try_channels(
    channels: Mapping[str, Channel], names: Sequence[str], *, node: str, now: float
) -> dict[str, str]:
    """Send a message that is a trial to channels; name -> what went wrong, empty when nothing did.

    Args:
        channels: All there are.
        names: Of those that are tried.
        node: AE title, for the message.
        now: Unix seconds.
    """
    said = Message(
        id=f"msg_{uuid.uuid4().hex}",
        at=now,
        subject=f"[dicom-node {node}] a trial",
        text="This is a trial. Nothing is wrong; notifications reach you.\n",
        data={"node": node, "cause": "trial", "turn": "trial"},
    )
    problems: dict[str, str] = {}
    for name in names:
        try:
            channels[name].send(said, now)
        except NodeError as error:
            problems[name] = describe(error)
        else:
            problems[name] = ""
    return problems
