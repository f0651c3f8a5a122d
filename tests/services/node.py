"""A node without a network: the services over chosen ports, and a way to run them to rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dicom_node.domain.retry import RetryPolicy
from dicom_node.domain.routes import Destination, Route, Sweep, ViewPlan
from dicom_node.domain.rules import Equals, Predicate
from dicom_node.services.delivering import Delivering
from dicom_node.services.planning import Planning
from dicom_node.services.receiving import Receiving
from dicom_node.services.recovering import Recovering
from dicom_node.services.retaining import Retaining
from dicom_node.services.ruling import Rules, RuleSet
from dicom_node.services.synthesizing import Synthesizing
from tests.fakes.archive import FakeArchive
from tests.fakes.clock import ManualClock
from tests.fakes.engine import WEIGHTS, FakeEngine

if TYPE_CHECKING:
    from dicom_node.ports import JobRow, Ledger, Spool

PACS = Destination(
    name="pacs",
    ae_title="PACS",
    host="127.0.0.1",
    port=4242,
    retry=RetryPolicy(first_s=5.0, factor=2.0, max_s=900.0, attempts=4),
)
DEADLINE_S = 600.0


def route(when: Predicate | None = None, **changes: Any) -> Route:
    values: dict[str, Any] = {
        "name": "chest",
        "when": when or Equals(attribute="Modality", equals="CR"),
        "views": ViewPlan(name="sweep", sweep=Sweep(from_deg=-60, to_deg=60, step_deg=60)),
        "model": "chest",
        "samples": 1,
        "steps": None,
        "send_to": ("pacs",),
        "priority": 5,
        "digest": "d" * 64,
    }
    return Route(**values | changes)


@dataclass(kw_only=True)
class Node:
    """What bootstrap would build. Another one over the same ports is a restarted node."""

    ledger: Ledger
    spool: Spool
    clock: ManualClock
    engine: FakeEngine = field(default_factory=FakeEngine)
    archive: FakeArchive = field(default_factory=FakeArchive)
    routes: tuple[Route, ...] = (route(),)
    destinations: tuple[Destination, ...] = (PACS,)
    weights: dict[str, str] = field(default_factory=lambda: {"chest": WEIGHTS})
    synthesis: dict[str, Any] = field(default_factory=dict)
    jitter: float = 0.0
    stopping: bool = False
    woken: list[str] = field(default_factory=list)

    def restarted(self) -> Node:
        """A new node on what the old one left on disk; the archive is elsewhere and goes on."""
        node = Node(
            ledger=self.ledger,
            spool=self.spool,
            clock=self.clock,
            archive=self.archive,
            routes=self.routes,
            destinations=self.destinations,
        )
        node.recovering.at_start(self.clock())
        return node

    @property
    def receiving(self) -> Receiving:
        return Receiving(
            ledger=self.ledger,
            spool=self.spool,
            clock=self.clock,
            wake=lambda: self.woken.append("planning"),
        )

    @property
    def planning(self) -> Planning:
        return Planning(
            ledger=self.ledger,
            spool=self.spool,
            rules=Rules(
                RuleSet(
                    routes=self.routes,
                    destinations={d.name: d for d in self.destinations},
                    weights=self.weights,
                )
            ),
            wake=lambda: self.woken.append("synthesizing"),
        )

    @property
    def synthesizing(self) -> Synthesizing:
        return Synthesizing(
            ledger=self.ledger,
            spool=self.spool,
            engine=self.engine,
            clock=self.clock,
            wake=lambda: self.woken.append("delivering"),
            deadline_s=DEADLINE_S,
            **self.synthesis,
        )

    def delivering(self, destination: Destination = PACS) -> Delivering:
        return Delivering(
            ledger=self.ledger,
            spool=self.spool,
            client=self.archive,
            destination=destination,
            clock=self.clock,
            jitter=lambda: self.jitter,
            stopping=lambda: self.stopping,
        )

    @property
    def recovering(self) -> Recovering:
        return Recovering(
            ledger=self.ledger,
            spool=self.spool,
            wake=lambda: self.woken.append("recovering"),
            destinations={d.name for d in self.destinations},
        )

    def retaining(self, keep_s: float) -> Retaining:
        return Retaining(ledger=self.ledger, spool=self.spool, keep_s=keep_s)

    def plan(self) -> bool:
        return self.planning.run_once(self.clock())

    def synthesize(self) -> bool:
        return self.synthesizing.run_once(self.clock())

    def deliver(self, destination: Destination = PACS) -> bool:
        return self.delivering(destination).run_once(self.clock())

    def run_to_rest(self, limit: int = 100) -> None:
        """Run everything that is due, moving the clock on to what is due next, until nothing is."""
        for _ in range(limit):
            busy = self.plan()
            busy = self.synthesize() or busy
            for destination in self.destinations:
                busy = self.deliver(destination) or busy
            if busy:
                continue
            due = self.ledger.next_due(self.clock())
            if due is None:
                return
            self.clock.now = max(self.clock.now, due)
        raise AssertionError("the node never comes to rest")

    def only_job(self) -> JobRow:
        (row,) = self.ledger.jobs()
        return row
