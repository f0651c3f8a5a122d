"""Planning: every image gets a decision and its reason; nothing is dropped, nothing blocks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from dicom_node.domain.errors import CapacityError, IntegrityError
from dicom_node.domain.jobs import JobState, Target
from dicom_node.domain.routes import Sweep, ViewPlan
from dicom_node.domain.rules import Equals, Range
from dicom_node.domain.writing import Form
from dicom_node.ports import DecidedAs
from dicom_node.services.planning import seed_of
from synthesis.types import View
from tests.fakes.engine import WEIGHTS
from tests.fakes.power import CutAt, PowerCut
from tests.fakes.radiographs import received
from tests.services.node import PACS, route

FULL_TURN = Sweep(from_deg=0, to_deg=360, step_deg=360, skip_source=False)

if TYPE_CHECKING:
    from collections.abc import Callable

    from dicom_node.ports import DecisionRow
    from tests.services.node import Node


def decided(node: Node) -> DecisionRow:
    """The decision about the oldest image."""
    decision = node.ledger.images()[-1].decision
    assert decision is not None
    return decision


def test_an_accepted_image_is_ordered_as_its_route_says(node: Node) -> None:
    node.destinations = (
        PACS,
        replace(PACS, name="research", form=Form.SC, banner=False),
        replace(PACS, name="unused"),
    )
    node.routes = (
        route(
            send_to=("research", "pacs"),
            samples=3,
            steps=12,
            priority=9,
            views=ViewPlan(name="sweep", sweep=Sweep(from_deg=-90, to_deg=90, step_deg=90)),
        ),
    )
    node.receiving.receive(received(1))
    assert node.plan() is True
    order = node.only_job().job.order
    assert (order.route, order.route_digest, order.model) == ("chest", "d" * 64, "chest")
    assert (order.samples, order.steps, order.priority) == (3, 12, 9)
    assert order.weights_digest == WEIGHTS
    assert order.views.views == (View(primary_deg=-90), View(primary_deg=90))
    assert order.targets == (
        Target(destination="research", form=Form.SC, banner=False),
        Target(destination="pacs", form=Form.DX, banner=True),
    )
    assert node.woken == ["planning", "synthesizing"]
    decision = decided(node)
    assert (decision.decided_as, decision.route) == (DecidedAs.ACCEPT, "chest")
    assert decision.route_digest == "d" * 64
    assert [term.holds for term in decision.terms] == [True]
    assert node.plan() is False


def test_a_sweep_turns_about_the_view_of_the_source(node: Node) -> None:
    node.receiving.receive(received(1, ViewPosition="AP"))
    node.plan()
    views = node.only_job().job.order.views.views
    assert [view.primary_deg for view in views] == [120.0, -120.0]


def test_the_seed_follows_from_the_work(node: Node) -> None:
    for number in (1, 2):
        node.receiving.receive(received(number))
    node.plan()
    second, first = (row.job for row in node.ledger.jobs())
    assert first.order.seed == seed_of(
        source_digest=first.source_digest,
        route_digest="d" * 64,
        views_digest=first.order.views.digest,
        weights_digest=WEIGHTS,
    )
    assert first.order.seed != second.order.seed
    assert 0 <= first.order.seed < 2**31


def test_a_seed_is_the_first_eight_bytes_of_the_sha256_of_its_parts() -> None:
    # printf 'a/b/c/d' | sha256sum begins 69b3db0fc351a54b.
    parts = {"source_digest": "a", "route_digest": "b", "views_digest": "c", "weights_digest": "d"}
    assert seed_of(**parts) == 0x69B3DB0FC351A54B % 2**31


def test_an_image_no_route_wants_is_ignored_with_what_did_not_hold(node: Node) -> None:
    node.routes = (route(Equals(attribute="BodyPartExamined", equals="HAND")),)
    node.receiving.receive(received(1))
    assert node.plan() is True
    decision = decided(node)
    assert decision.decided_as is DecidedAs.IGNORE
    assert "BodyPartExamined equals HAND" in decision.reason
    assert node.ledger.jobs() == ()
    assert node.woken == ["planning"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"SyntheticData": "YES"}, "synthetic"),
        ({"QualityControlImage": "YES"}, "quality control"),
        (
            {"Manufacturer": "dicom-node project", "ManufacturerModelName": "dicom-node"},
            "this product",
        ),
    ],
)
def test_what_must_not_be_synthesized_from_is_ignored_before_any_rule(
    node: Node, changes: dict[str, str], words: str
) -> None:
    node.receiving.receive(received(1, **changes))
    node.plan()
    assert decided(node).decided_as is DecidedAs.IGNORE
    assert words in decided(node).reason
    assert node.ledger.jobs() == ()


def test_a_rule_that_fails_quarantines_the_image(node: Node) -> None:
    node.routes = (route(Range(attribute="Modality", at_least=1)), route())
    node.receiving.receive(received(1))
    node.plan()
    assert decided(node).decided_as is DecidedAs.QUARANTINE
    assert "rule failed" in decided(node).reason
    assert node.ledger.jobs() == ()


def test_a_view_that_cannot_be_turned_from_quarantines_and_names_the_route(node: Node) -> None:
    node.receiving.receive(received(1, ViewPosition="LL"))
    node.plan()
    decision = decided(node)
    assert (decision.decided_as, decision.route) == (DecidedAs.QUARANTINE, "chest")
    assert "PA nor AP" in decision.reason
    assert len(decision.terms) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": "unknown"}, "model unknown is not configured"),
        ({"send_to": ("pacs", "gone")}, "destination gone is not configured"),
        ({"send_to": ()}, "send_to is empty"),
        ({"views": ViewPlan(name="round", sweep=FULL_TURN)}, "twice"),
    ],
)
def test_a_route_that_cannot_be_followed_quarantines_the_image(
    node: Node, changes: dict[str, object], words: str
) -> None:
    node.routes = (route(**changes),)
    node.receiving.receive(received(1))
    node.plan()
    assert decided(node).decided_as is DecidedAs.QUARANTINE
    assert words in decided(node).reason


def test_a_damaged_file_quarantines_its_image_and_the_next_one_is_planned(node: Node) -> None:
    for number in (1, 2):
        node.receiving.receive(received(number))
    digest = node.ledger.images()[-1].image.digest
    node.spool.remove(digest)
    assert node.plan() is True
    assert decided(node).decided_as is DecidedAs.QUARANTINE
    assert "missing" in decided(node).reason
    assert node.only_job().job.state is JobState.QUEUED


class Raising:
    """A spool that raises for one digest."""

    def __init__(self, spool: object, digest: str, error: Callable[[], Exception]) -> None:
        self._spool, self._digest, self._error = spool, digest, error
        self.reads = 0

    def read(self, digest: str) -> bytes:
        self.reads += 1
        if digest == self._digest:
            raise self._error()
        return self._spool.read(digest)  # type: ignore[attr-defined, no-any-return]


def test_an_error_nobody_foresaw_quarantines_one_image_and_stops_no_other(node: Node) -> None:
    for number in (1, 2, 3):
        node.receiving.receive(received(number))
    digest = node.ledger.images()[1].image.digest
    spool = Raising(node.spool, digest, lambda: KeyError("Test^Patient"))
    planning = replace(node.planning, spool=spool)  # type: ignore[arg-type]
    assert planning.run_once(node.clock()) is True
    decisions = [row.decision for row in node.ledger.images()]
    kinds = [decision.decided_as for decision in decisions if decision is not None]
    assert kinds == [DecidedAs.ACCEPT, DecidedAs.QUARANTINE, DecidedAs.ACCEPT]
    reason = decisions[1].reason if decisions[1] else ""
    assert reason.startswith("unexpected KeyError at test_planning.py")
    assert "Test^Patient" not in reason
    assert planning.run_once(node.clock()) is False


def test_a_disk_that_fails_for_a_while_costs_no_image(node: Node) -> None:
    node.receiving.receive(received(1))
    digest = node.ledger.images()[0].image.digest
    failing = Raising(node.spool, digest, lambda: OSError(5, "Input/output error"))
    planning = replace(node.planning, spool=failing)  # type: ignore[arg-type]
    for _ in range(4):
        assert planning.run_once(node.clock()) is False  # not busy, so the loop rests
    failing._digest = ""
    assert planning.run_once(node.clock()) is True
    assert decided(node).decided_as is DecidedAs.ACCEPT


def test_a_disk_that_goes_on_failing_ends_in_quarantine(node: Node) -> None:
    node.receiving.receive(received(1))
    digest = node.ledger.images()[0].image.digest
    failing = Raising(node.spool, digest, lambda: OSError(5, "Input/output error"))
    planning = replace(node.planning, spool=failing)  # type: ignore[arg-type]
    rounds = 0
    while node.ledger.unplanned(1):
        planning.run_once(node.clock())
        rounds += 1
    assert rounds == 5
    assert decided(node).decided_as is DecidedAs.QUARANTINE


class Refusing:
    """A ledger that refuses decisions, or all writing."""

    def __init__(self, ledger: object, error: Exception, kinds: set[DecidedAs]) -> None:
        self._ledger, self._error, self._kinds = ledger, error, kinds

    def unplanned(self, limit: int) -> object:
        return self._ledger.unplanned(limit)  # type: ignore[attr-defined]

    def record_decision(self, image_id: int, decision: DecisionRow, *args: object) -> None:
        if decision.decided_as in self._kinds:
            raise self._error
        self._ledger.record_decision(image_id, decision, *args)  # type: ignore[attr-defined]


def test_a_decision_the_ledger_refuses_becomes_a_quarantine(node: Node) -> None:
    node.receiving.receive(received(1))
    ledger = Refusing(node.ledger, IntegrityError("no such row"), {DecidedAs.ACCEPT})
    planning = replace(node.planning, ledger=ledger)  # type: ignore[arg-type]
    assert planning.run_once(node.clock()) is True
    assert decided(node).decided_as is DecidedAs.QUARANTINE
    assert "no such row" in decided(node).reason


def test_an_image_another_planner_decided_first_is_left_to_it(node: Node) -> None:
    node.receiving.receive(received(1))
    ledger = Refusing(node.ledger, IntegrityError("has its decision already"), set(DecidedAs))
    planning = replace(node.planning, ledger=ledger)  # type: ignore[arg-type]
    assert planning.run_once(node.clock()) is False


def test_a_ledger_without_room_leaves_the_image_for_later(node: Node) -> None:
    node.receiving.receive(received(1))
    ledger = Refusing(node.ledger, CapacityError("disk full"), set(DecidedAs))
    planning = replace(node.planning, ledger=ledger)  # type: ignore[arg-type]
    with pytest.raises(CapacityError):
        planning.run_once(node.clock())
    assert len(node.ledger.unplanned(10)) == 1
    node.plan()
    assert decided(node).decided_as is DecidedAs.ACCEPT


def test_the_calling_ae_title_may_decide(node: Node) -> None:
    node.routes = (route(Equals(attribute="CallingAETitle", equals="modality")),)
    node.receiving.receive(received(1))
    node.plan()
    assert decided(node).decided_as is DecidedAs.ACCEPT


@pytest.mark.parametrize("after", [False, True])
def test_a_power_cut_about_the_decision_makes_one_job(node: Node, after: bool) -> None:
    node.receiving.receive(received(1))
    cut = CutAt(node.ledger, "record_decision", after=after)
    with pytest.raises(PowerCut):
        replace(node.planning, ledger=cut).run_once(node.clock())  # type: ignore[arg-type]
    restarted = node.restarted()
    restarted.run_to_rest()
    assert len(restarted.ledger.jobs()) == 1
    assert len(restarted.archive.stored) == 2
