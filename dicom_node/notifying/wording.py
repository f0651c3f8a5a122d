"""What a notice says: in words for people, in JSON for programs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from string import Template
from typing import TYPE_CHECKING, Any, Final

from dicom_node.domain.alarms import Cause, Notice, Turn

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SUBJECT", "TEXT", "Message", "Wording", "fields_of", "message"]

_TITLES: Final = {
    Cause.QUARANTINE: "{count} {subject} in quarantine",
    Cause.DESTINATION: "destination {subject} does not answer",
    Cause.DISK: "the disk is too full",
    Cause.LEDGER: "the ledger does not answer",
    Cause.CERTIFICATE: "the certificate of {subject} is about to end",
    Cause.ENGINE: "{subject} does not run",
}

_ENDED: Final = {
    Cause.QUARANTINE: "no {subject} are in quarantine any more",
    Cause.DESTINATION: "destination {subject} answers again",
    Cause.DISK: "the disk has room again",
    Cause.LEDGER: "the ledger answers again",
    Cause.CERTIFICATE: "the certificate of {subject} is renewed",
    Cause.ENGINE: "{subject} runs again",
}

_ADVICE: Final = {
    Cause.QUARANTINE: "Read the reasons (dicom-node images, jobs and deliveries list), put right "
    "what they name, and release.",
    Cause.DESTINATION: "What is meant for it waits and is sent by itself when it is back. Ask it "
    "with dicom-node echo, and call its people.",
    Cause.DISK: "Images are refused until there is room; senders keep them. Free space.",
    Cause.LEDGER: "Nothing is taken or made until it answers. Bring the database or its disk back.",
    Cause.CERTIFICATE: "Write the new certificate and key to their files; no restart is needed.",
    Cause.ENGINE: "Jobs wait. The log says why it does not start; it is started again by itself.",
}

_TURNS: Final = {
    Turn.BEGAN: "",
    Turn.GREW: "more: ",
    Turn.GOES_ON: "still: ",
    Turn.ENDED: "over: ",
}

SUBJECT: Final = "[dicom-node $node] $title"
"""Default of the line that an e-mail has as its subject."""

TEXT: Final = """\
$title

$problem
Since $since; now it is $at.

$advice

(Rule $rule of node $node.)
"""
"""Default of the text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """Templates (`string.Template`) of one rule."""

    subject: str = SUBJECT
    text: str = TEXT


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A notice on its way.

    Attributes:
        id: The same for every attempt, so that whoever gets it twice can tell.
        at: When it was written, in Unix seconds.
        subject: One line.
        text: For people.
        data: For programs.
    """

    id: str
    at: float
    subject: str
    text: str
    data: Mapping[str, Any]

    def body(self) -> bytes:
        """JSON with everything."""
        return json.dumps(
            {"id": self.id, **self.data, "title": self.subject, "text": self.text},
            ensure_ascii=False,
            sort_keys=True,
        ).encode()


def fields_of(notice: Notice, node: str) -> dict[str, str]:
    """What templates may use; no more than that ever leaves the node.

    Args:
        notice: To be told.
        node: AE title of this node.
    """
    trouble = notice.trouble
    ended, problem = notice.turn is Turn.ENDED, trouble.problem.rstrip(".")
    named = {"count": trouble.count, "subject": trouble.subject}
    title = (_ENDED if ended else _TITLES)[trouble.cause].format(**named)
    return {
        "advice": "" if ended else _ADVICE[trouble.cause],
        "at": _time(notice.at),
        "cause": trouble.cause.value,
        "count": str(trouble.count),
        "node": node,
        "problem": f"It was: {problem}." if ended else f"{problem}.",
        "rule": notice.rule,
        "since": _time(notice.since),
        "subject": trouble.subject,
        "title": f"{_TURNS[notice.turn]}{title}",
        "turn": notice.turn.value,
    }


def message(notice: Notice, wording: Wording, *, node: str, new_id: str) -> Message:
    """Put a notice into words.

    Args:
        notice: To be told.
        wording: Of its rule.
        node: AE title of this node.
        new_id: Never used before.
    """
    fields = fields_of(notice, node)
    data = {
        "cause": fields["cause"],
        "count": notice.trouble.count,
        "node": node,
        "occurred_at": fields["at"],
        "problem": notice.trouble.problem,
        "rule": notice.rule,
        "since": fields["since"],
        "subject": notice.trouble.subject,
        "turn": fields["turn"],
    }
    line = " ".join(Template(wording.subject).substitute(fields).split())
    return Message(
        id=new_id,
        at=notice.at,
        subject=line,
        text=Template(wording.text).substitute(fields).strip() + "\n",
        data=data,
    )


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
