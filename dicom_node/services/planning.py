"""Deciding what becomes of each received image, and ordering the work that follows."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import structlog

from dicom_node.domain.errors import IntegrityError, NodeError, RuleError, describe
from dicom_node.domain.identifiers import job_key
from dicom_node.domain.jobs import Order, Target
from dicom_node.domain.routes import Accept, Ignore, Quarantine
from dicom_node.domain.rules import decide
from dicom_node.iod.reading import read_header, source_view
from dicom_node.ports import DecidedAs, DecisionRow, NewJob
from synthesis.errors import SynthesisError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dicom_node.domain.header import Header
    from dicom_node.domain.routes import Route, Term
    from dicom_node.ports import ImageRow, Ledger, Spool
    from dicom_node.services.ruling import Rules, RuleSet

__all__ = ["SEED_POLICY", "Planning", "order_of", "seed_of"]

_log = structlog.get_logger(__name__)

SEED_POLICY: Final = "content-1"
"""How a seed follows from content (`seed_of`); a new way needs a new name, as keys hold it."""

_READS: Final = 5
"""How often a disk may fail on one image before the image is put into quarantine."""


def seed_of(
    *, source_digest: str, route_digest: str, views_digest: str, weights_digest: str
) -> int:
    """Seed of a job's noise, in [0, 2^31): the same work draws the same noise."""
    text = "/".join((source_digest, route_digest, views_digest, weights_digest))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % 2**31


@dataclass(frozen=True, slots=True, kw_only=True)
class Planning:
    """Gives every image without a decision one; an accepted image gets its job with it.

    Nothing is dropped: whatever goes wrong with an image puts it into quarantine with the reason,
    and the images after it are planned all the same.

    Attributes:
        ledger: Rows in and out.
        spool: Where the images lie.
        rules: In force; each image is decided by one set of them, whatever replaces it meanwhile.
        wake: Called after jobs were queued.
        batch: Images taken at a time.
        on_decision: Called with every decision that was recorded.
    """

    ledger: Ledger
    spool: Spool
    rules: Rules
    wake: Callable[[], None]
    batch: int = 64
    on_decision: Callable[[DecisionRow], None] = lambda decision: None
    _failed_reads: dict[int, int] = field(default_factory=dict, init=False, repr=False)

    def run_once(self, now: float) -> bool:
        """Plan one batch; whether any image was decided.

        Raises:
            CapacityError: The ledger cannot be written; the images stay unplanned.
        """
        return any([self._plan(row, now) for row in self.ledger.unplanned(self.batch)])

    def _plan(self, row: ImageRow, now: float) -> bool:
        rules = self.rules.now
        try:
            decision, jobs = _decide(rules, row, self.spool)
        except (NodeError, SynthesisError) as error:
            decision, jobs = _quarantined(describe(error)), ()
        except OSError as error:
            # The disk's trouble, not the image's: it is worth another look, but not for ever.
            failed = self._failed_reads[row.id] = self._failed_reads.get(row.id, 0) + 1
            _log.warning("an image could not be read", image=row.id, error=describe(error))
            if failed < _READS:
                return False
            decision, jobs = _quarantined(f"cannot be read from the spool: {describe(error)}"), ()
        except Exception as error:  # noqa: BLE001 - loop boundary: one image must not stop others
            _log.error("planning an image failed", image=row.id, error=describe(error))
            decision, jobs = _quarantined(describe(error)), ()
        self._failed_reads.pop(row.id, None)
        return self._record(row, replace(decision, version=rules.version), jobs, now)

    def _record(
        self, row: ImageRow, decision: DecisionRow, jobs: Sequence[NewJob], now: float
    ) -> bool:
        try:
            self.ledger.record_decision(row.id, decision, jobs, now)
        except IntegrityError as error:
            # Either another planner decided it first, which is fine, or the ledger refuses this
            # decision, and then the image waits for a person instead of coming up for ever.
            _log.warning("a decision was not taken", image=row.id, error=describe(error))
            decision = replace(_quarantined(describe(error)), version=decision.version)
            try:
                self.ledger.record_decision(row.id, decision, (), now)
            except IntegrityError:
                return False
            self.on_decision(decision)
            return True
        self.on_decision(decision)
        _log.info(
            "an image was planned",
            image=row.id,
            decided_as=decision.decided_as.value,
            route=decision.route,
            reason=decision.reason,
            jobs=[job.key[:12] for job in jobs],
        )
        if jobs:
            self.wake()
        return True


def _decide(rules: RuleSet, row: ImageRow, spool: Spool) -> tuple[DecisionRow, tuple[NewJob, ...]]:
    data = spool.read(row.image.digest)
    header = read_header(data, calling_ae_title=row.image.calling_ae_title)
    match decide(rules.routes, header):
        case Accept(route=route, reason=reason, terms=terms):
            kind = DecidedAs.ACCEPT
            jobs: tuple[NewJob, ...] = ()
            try:
                jobs = (order_of(rules, route, header, source_digest=row.image.digest),)
            except (NodeError, SynthesisError) as error:
                kind, reason = DecidedAs.QUARANTINE, f"{reason}, but {describe(error)}"
            decision = DecisionRow(
                decided_as=kind,
                route=route.name,
                route_digest=route.digest,
                reason=reason,
                terms=terms,
            )
            return decision, jobs
        case Ignore(reason=reason, terms=terms):
            return _undirected(DecidedAs.IGNORE, reason, terms), ()
        case Quarantine(reason=reason, terms=terms):
            return _undirected(DecidedAs.QUARANTINE, reason, terms), ()


def order_of(rules: RuleSet, route: Route, header: Header, *, source_digest: str) -> NewJob:
    """What a route orders to be made from an image.

    Args:
        rules: The route is one of these.
        route: That takes the image.
        header: Of the image.
        source_digest: SHA-256 of the file.

    Raises:
        NodeError: It cannot be ordered: no frontal view, or something is not configured.
        SynthesisError: The views cannot be resolved.
    """
    views = route.views.resolve(source_view(header))
    content = {
        "route_digest": route.digest,
        "views_digest": views.digest,
        "weights_digest": _weights_digest(rules, route),
    }
    order = Order(
        route=route.name,
        route_digest=route.digest,
        model=route.model,
        weights_digest=content["weights_digest"],
        views=views,
        samples=route.samples,
        steps=route.steps,
        min_consistency=route.min_consistency,
        allow_ineligible=route.allow_ineligible,
        seed=seed_of(source_digest=source_digest, **content),
        targets=_targets(rules, route),
        priority=route.priority,
    )
    key = job_key(source_digests=[source_digest], seed_policy=SEED_POLICY, **content)
    return NewJob(key=key, order=order)


def _weights_digest(rules: RuleSet, route: Route) -> str:
    try:
        return rules.weights[route.model]
    except KeyError:
        raise RuleError(f"route {route.name}: model {route.model} is not configured") from None


def _targets(rules: RuleSet, route: Route) -> tuple[Target, ...]:
    if not route.send_to:
        raise RuleError(f"route {route.name}: send_to is empty; name a destination")
    unknown = [name for name in route.send_to if name not in rules.destinations]
    if unknown:
        raise RuleError(f"route {route.name}: destination {unknown[0]} is not configured")
    return tuple(
        Target(
            destination=to.name,
            form=to.form,
            banner=to.banner,
            matrix=to.matrix,
            documents=to.documents,
        )
        for to in (rules.destinations[name] for name in dict.fromkeys(route.send_to))
    )


def _undirected(kind: DecidedAs, reason: str, terms: Sequence[Term] = ()) -> DecisionRow:
    return DecisionRow(
        decided_as=kind, route="", route_digest="", reason=reason, terms=tuple(terms)
    )


def _quarantined(reason: str) -> DecisionRow:
    return _undirected(DecidedAs.QUARANTINE, reason)
