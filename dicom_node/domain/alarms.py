"""When somebody is told of a trouble, again, and of its end: state in, state and notices out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

__all__ = ["Alarm", "AlarmKey", "AlarmRule", "Cause", "Notice", "Trouble", "Turn", "advance"]


class Cause(StrEnum):
    """What can be wrong."""

    QUARANTINE = "quarantine"
    DESTINATION = "destination"
    DISK = "disk"
    LEDGER = "ledger"
    CERTIFICATE = "certificate"
    ENGINE = "engine"


COMES_AND_GOES: Final = frozenset({Cause.DESTINATION, Cause.DISK, Cause.LEDGER, Cause.ENGINE})
"""What may pass by itself, so that it is told only after a while."""


class Turn(StrEnum):
    """Which turn a trouble has taken."""

    BEGAN = "began"
    GREW = "grew"
    GOES_ON = "goes_on"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What is wrong now.

    Attributes:
        cause: Kind of trouble.
        subject: What it is about: the name of a destination, a queue, an engine.
        problem: In words, without anything about a patient.
        count: How many there are of what can be counted.
    """

    cause: Cause
    subject: str
    problem: str
    count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmRule:
    """Who is told of what.

    Attributes:
        name: Of the rule.
        causes: Of troubles it is about.
        subjects: It is about these alone; None for all.
        after_s: How long a trouble that may pass must last.
        gather_s: Between two notices of one trouble that grows, at least.
        repeat_s: Until a trouble that goes on is told again; None for never.
        tell_end: Whether its end is told.
        to: Names of channels.
    """

    name: str
    causes: frozenset[Cause]
    subjects: frozenset[str] | None = None
    after_s: float = 300.0
    gather_s: float = 300.0
    repeat_s: float | None = None
    tell_end: bool = True
    to: tuple[str, ...] = ()

    def wants(self, trouble: Trouble) -> bool:
        """Whether it is about this one."""
        if trouble.cause not in self.causes:
            return False
        if trouble.cause is not Cause.DESTINATION or self.subjects is None:
            return True
        return trouble.subject in self.subjects


class AlarmKey(NamedTuple):
    """One trouble as one rule sees it."""

    rule: str
    cause: Cause
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """What is known of a trouble that lasts.

    Attributes:
        since: When it was first seen, in Unix seconds.
        problem: As it was last seen.
        told_at: When it was last told; None if never.
        count: Not more than what was told.
    """

    since: float
    problem: str
    told_at: float | None = None
    count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What somebody is told.

    Attributes:
        rule: By whose name.
        turn: Of the trouble.
        trouble: As it was seen last.
        since: When it was first seen, in Unix seconds.
        at: Now.
    """

    rule: str
    turn: Turn
    trouble: Trouble
    since: float
    at: float


def advance(
    rules: Iterable[AlarmRule],
    alarms: Mapping[AlarmKey, Alarm],
    troubles: Collection[Trouble],
    *,
    looked_at: Collection[Cause],
    now: float,
) -> tuple[dict[AlarmKey, Alarm], tuple[Notice, ...]]:
    """What is known after a look at the node, and who is told what.

    Args:
        rules: All of them; what is known of others is forgotten.
        alarms: What was known before.
        troubles: All that is wrong, of the causes that were looked at.
        looked_at: Causes about which ``troubles`` says everything. A trouble of another cause
            neither grows nor ends.
        now: Unix seconds.
    """
    kept: dict[AlarmKey, Alarm] = {}
    notices: list[Notice] = []
    for rule in rules:
        seen = {(each.cause, each.subject): each for each in troubles if rule.wants(each)}
        for trouble in seen.values():
            key = AlarmKey(rule.name, trouble.cause, trouble.subject)
            before = _of_the_past(alarms.get(key) or Alarm(since=now, problem=trouble.problem), now)
            turn = _turn(rule, before, trouble, now)
            if turn is None:
                kept[key] = replace(
                    before, problem=trouble.problem, count=min(before.count, trouble.count)
                )
                continue
            kept[key] = replace(before, problem=trouble.problem, told_at=now, count=trouble.count)
            notices.append(
                Notice(rule=rule.name, turn=turn, trouble=trouble, since=before.since, at=now)
            )
        for key, alarm in alarms.items():
            if key.rule != rule.name or (key.cause, key.subject) in seen:
                continue
            gone = Trouble(cause=key.cause, subject=key.subject, problem=alarm.problem)
            if not rule.wants(gone):
                continue
            if key.cause not in looked_at:
                kept[key] = alarm
            elif alarm.told_at is not None and rule.tell_end:
                notices.append(
                    Notice(rule=rule.name, turn=Turn.ENDED, trouble=gone, since=alarm.since, at=now)
                )
    return kept, tuple(notices)


def _of_the_past(alarm: Alarm, now: float) -> Alarm:
    """The same; a clock that was set back since must not keep anybody from being told."""
    told_at = None if alarm.told_at is None else min(alarm.told_at, now)
    return replace(alarm, since=min(alarm.since, now), told_at=told_at)


def _turn(rule: AlarmRule, before: Alarm, trouble: Trouble, now: float) -> Turn | None:
    if before.told_at is None:
        after_s = rule.after_s if trouble.cause in COMES_AND_GOES else 0.0
        return Turn.BEGAN if now - before.since >= after_s else None
    silent_s = now - before.told_at
    if trouble.count > before.count and silent_s >= rule.gather_s:
        return Turn.GREW
    if rule.repeat_s is not None and silent_s >= rule.repeat_s:
        return Turn.GOES_ON
    return None
