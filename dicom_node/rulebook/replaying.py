"""What another set of rules would have made of the images that came last."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dicom_node.domain.errors import InputError
from dicom_node.domain.rules import decide
from dicom_node.iod.reading import read_header
from dicom_node.rulebook.trying import Verdict, verdict_on

if TYPE_CHECKING:
    from dicom_node.ports import DecidedAs, Ledger, Spool
    from dicom_node.services.ruling import RuleSet

__all__ = ["Change", "Outcome", "Replay", "replay"]

EXAMPLES = 5
"""Images shown of each kind of change."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Outcome:
    """A verdict without its words, to be counted."""

    decided_as: DecidedAs
    route: str

    def __str__(self) -> str:
        return f"{self.decided_as.value} ({self.route})" if self.route else self.decided_as.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Images that would come out otherwise, all in the same way.

    Attributes:
        before: By the rules in force.
        after: By the others.
        count: How many images.
        examples: Number of an image in the ledger, and both verdicts; the newest first.
    """

    before: Outcome
    after: Outcome
    count: int
    examples: tuple[tuple[int, Verdict, Verdict], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Two sets of rules on the same images.

    Attributes:
        images: How many were judged.
        unread: How many could not be: their files are not kept any more, or cannot be read.
        before: How often each outcome came by the rules in force.
        after: By the others.
        changes: The most frequent first.
        remade: Images that take the same route, which makes something else of them now.
    """

    images: int
    unread: int
    before: dict[Outcome, int]
    after: dict[Outcome, int]
    changes: tuple[Change, ...]
    remade: int


def replay(
    now: RuleSet, wanted: RuleSet, ledger: Ledger, spool: Spool, *, limit: int = 500
) -> Replay:
    """Judge the newest images by both. Headers are read from the spool, pixels are not.

    Args:
        now: In force.
        wanted: To be compared.
        ledger: Knows the images.
        spool: Has their files.
        limit: How many images.
    """
    before: Counter[Outcome] = Counter()
    after: Counter[Outcome] = Counter()
    changed: dict[tuple[Outcome, Outcome], list[tuple[int, Verdict, Verdict]]] = {}
    counts: Counter[tuple[Outcome, Outcome]] = Counter()
    unread = remade = 0
    for row in ledger.images(limit=limit):
        image = row.image
        try:
            header = read_header(spool.path(image.digest), calling_ae_title=image.calling_ae_title)
        except (InputError, OSError):
            unread += 1
            continue
        old, new = (
            verdict_on(rules, header, decide(rules.routes, header), source_digest=image.digest)
            for rules in (now, wanted)
        )
        was = Outcome(decided_as=old.decided_as, route=old.route)
        will = Outcome(decided_as=new.decided_as, route=new.route)
        before[was] += 1
        after[will] += 1
        if was != will:
            counts[was, will] += 1
            examples = changed.setdefault((was, will), [])
            if len(examples) < EXAMPLES:
                examples.append((row.id, old, new))
        elif old.job is not None and new.job is not None and old.job.key != new.job.key:
            remade += 1
    return Replay(
        images=sum(before.values()),
        unread=unread,
        before=dict(before),
        after=dict(after),
        changes=tuple(
            Change(before=pair[0], after=pair[1], count=count, examples=tuple(changed[pair]))
            for pair, count in counts.most_common()
        ),
        remade=remade,
    )
