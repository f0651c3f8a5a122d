"""What the rules make of one file, and why: nothing is stored, queued or sent."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dicom_node.domain.errors import InputError, NodeError, describe
from dicom_node.domain.explaining import Explanation, explain
from dicom_node.domain.routes import Accept, Ignore, Quarantine
from dicom_node.iod.reading import read_header
from dicom_node.ports import DecidedAs
from dicom_node.services.planning import order_of
from synthesis.errors import SynthesisError

if TYPE_CHECKING:
    from pathlib import Path

    from dicom_node.domain.header import Header
    from dicom_node.domain.routes import Decision
    from dicom_node.ports import NewJob
    from dicom_node.services.ruling import RuleSet

__all__ = ["Tried", "Verdict", "try_file", "verdict_on"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What would become of an image.

    Attributes:
        decided_as: Name of the decision.
        route: Whose predicate holds; empty when none does.
        reason: In words.
        job: What would be made; None when nothing.
    """

    decided_as: DecidedAs
    route: str
    reason: str
    job: NewJob | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One file, tried.

    Attributes:
        verdict: What would become of it; eligibility and pixels are not looked at.
        explanation: Of every guard and route; None when the file cannot be read.
        header: What the rules saw; None when the file cannot be read.
        views: Labels of the views that would be made, in order.
    """

    verdict: Verdict
    explanation: Explanation | None = None
    header: Header | None = None
    views: tuple[str, ...] = ()


def try_file(rules: RuleSet, data: bytes | Path, *, calling_ae_title: str = "") -> Tried:
    """Judge a file as the node would when it is received.

    Args:
        rules: To judge it by.
        data: The file, or where it lies.
        calling_ae_title: Of the peer that is imagined to send it.
    """
    try:
        header = read_header(data, calling_ae_title=calling_ae_title)
    except InputError as error:
        reason = f"the node would refuse it as unreadable (0xC000): {error}"
        return Tried(verdict=Verdict(decided_as=DecidedAs.QUARANTINE, route="", reason=reason))
    explanation = explain(rules.routes, header)
    digest = hashlib.sha256(data).hexdigest() if isinstance(data, bytes) else "0" * 64
    verdict = verdict_on(rules, header, explanation.decision, source_digest=digest)
    views = () if verdict.job is None else tuple(view.label for view in verdict.job.order.views)
    return Tried(verdict=verdict, explanation=explanation, header=header, views=views)


def verdict_on(
    rules: RuleSet, header: Header, decision: Decision, *, source_digest: str = "0" * 64
) -> Verdict:
    """What a decision comes to: a route that holds may order what cannot be made.

    Args:
        rules: It was decided by.
        header: Of the image.
        decision: About it.
        source_digest: SHA-256 of the file.
    """
    match decision:
        case Ignore(reason=reason):
            return Verdict(decided_as=DecidedAs.IGNORE, route="", reason=reason)
        case Quarantine(reason=reason):
            return Verdict(decided_as=DecidedAs.QUARANTINE, route="", reason=reason)
        case Accept(route=route, reason=reason):
            try:
                job = order_of(rules, route, header, source_digest=source_digest)
            except (NodeError, SynthesisError) as error:
                return Verdict(
                    decided_as=DecidedAs.QUARANTINE,
                    route=route.name,
                    reason=f"{reason}, but {describe(error)}",
                )
            return Verdict(decided_as=DecidedAs.ACCEPT, route=route.name, reason=reason, job=job)
