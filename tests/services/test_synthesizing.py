"""Synthesizing: what was ordered is made once, and every failure has its policy."""

from __future__ import annotations

import json
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pydicom import dcmread

from dicom_node.domain.deliveries import DeliveryState
from dicom_node.domain.errors import (
    CapacityError,
    EngineDownError,
    EngineError,
    EngineInputError,
    IntegrityError,
)
from dicom_node.domain.jobs import JobState
from dicom_node.domain.writing import Form, Matrix
from dicom_node.iod.reading import read_source
from synthesis.errors import NonFiniteError
from synthesis.types import Radiograph
from tests.fakes.engine import FakeEngine
from tests.fakes.power import CutAt, PowerCut
from tests.fakes.radiographs import received
from tests.services.node import DEADLINE_S, PACS, route

if TYPE_CHECKING:
    from pydicom import FileDataset

    from dicom_node.ports import DeliveryRow, JobRow
    from synthesis.types import SynthesisRequest, SynthesisResult
    from tests.services.node import Node


@pytest.fixture
def queued(node: Node) -> Node:
    """A node with one job queued."""
    node.receiving.receive(received(1))
    node.plan()
    return node


def made(node: Node, delivery: DeliveryRow) -> list[FileDataset]:
    outstanding = delivery.delivery.outstanding
    return [dcmread(BytesIO(node.spool.read(instance.digest))) for instance in outstanding]


def test_nothing_is_done_when_nothing_is_queued(node: Node) -> None:
    assert node.synthesize() is False
    assert node.engine.requests == []


def test_a_job_becomes_one_verified_instance_a_view_and_a_delivery(queued: Node) -> None:
    assert queued.synthesize() is True
    row = queued.only_job()
    assert row.job.state is JobState.DONE
    (delivery,) = row.deliveries
    assert delivery.delivery.state is DeliveryState.PENDING
    outstanding = delivery.delivery.outstanding
    files = made(queued, delivery)
    assert [i.index for i in outstanding] == [0, 1]
    assert [ds.SOPInstanceUID for ds in files] == [i.sop_instance_uid for i in outstanding]
    assert {ds.SeriesInstanceUID for ds in files} == {outstanding[0].series_instance_uid}
    assert {ds.file_meta.TransferSyntaxUID for ds in files} == {outstanding[0].transfer_syntax_uid}
    assert [float(ds.PositionerPrimaryAngle) for ds in files] == [-60.0, 60.0]
    assert {ds.SyntheticData for ds in files} == {"YES"}
    assert queued.woken[-1] == "delivering"
    assert queued.synthesize() is False


def test_the_engine_is_asked_exactly_for_the_order(queued: Node) -> None:
    queued.synthesize()
    (request,) = queued.engine.requests
    order = queued.only_job().job.order
    assert (request.views, request.samples, request.steps) == (order.views, 1, None)
    assert request.seed == order.seed
    assert request.source.view.primary_deg == 0.0


def test_the_provenance_tells_how_each_instance_came_to_be(node: Node) -> None:
    node.routes = (route(samples=3, steps=12),)
    node.receiving.receive(received(1))
    node.plan()
    node.synthesize()
    row = node.only_job()
    for index, ds in enumerate(made(node, row.deliveries[0])):
        (block,) = (e for e in ds if e.tag.is_private and e.VR == "UT")
        told = json.loads(block.value)
        assert told["job_key"] == row.job.key
        assert told["source_digest"] == row.job.source_digest
        assert told["source_sop_instance_uid"] == row.job.source_sop_instance_uid
        assert told["model"]["digest"] == row.job.order.weights_digest
        assert (told["index"], told["sample"], told["samples"]) == (index, 2, 3)
        assert (told["steps"], told["seed"]) == (12, row.job.order.seed)
        assert told["synthesized_at"] == "2023-11-14T22:13:20+00:00"  # the manual clock


def test_each_way_of_writing_has_uids_of_its_own(node: Node) -> None:
    node.destinations = (
        PACS,
        replace(PACS, name="backup"),
        replace(PACS, name="plain", banner=False),
        replace(PACS, name="capture", form=Form.SC),
        replace(PACS, name="cine", form=Form.MULTIFRAME),
        replace(PACS, name="beside", matrix=Matrix.MATCH_SOURCE),
    )
    node.routes = (route(send_to=tuple(each.name for each in node.destinations)),)
    node.receiving.receive(received(1))
    node.plan()
    node.synthesize()
    by_name = {d.delivery.destination: d for d in node.only_job().deliveries}
    pacs, backup = by_name["pacs"].delivery.outstanding, by_name["backup"].delivery.outstanding
    assert pacs == backup
    others = ("pacs", "plain", "capture", "cine", "beside")
    variants = [by_name[name].delivery.outstanding for name in others]
    assert len({i.sop_instance_uid for v in variants for i in v}) == 9  # the loop is one object
    assert len({i.series_instance_uid for v in variants for i in v}) == 5
    files = {name: made(node, row)[0] for name, row in by_name.items()}
    assert {name: ds.BurnedInAnnotation for name, ds in files.items()} == {
        "pacs": "YES",
        "backup": "YES",
        "plain": "NO",
        "capture": "YES",
        "cine": "YES",
        "beside": "YES",
    }
    assert len({int(files[name].SeriesNumber) for name in others}) == 5
    assert files["cine"].NumberOfFrames == 2
    assert files["beside"].Columns == read_source(received(1).data).frame.columns
    assert len(node.engine.requests) == 1


def test_the_lease_outlasts_the_deadline_of_the_engine(queued: Node) -> None:
    leases: list[float] = []

    def look() -> None:
        leases.append(queued.only_job().job.lease_until or 0.0)

    queued.engine.during = look
    queued.synthesize()
    assert leases[0] - queued.clock() > DEADLINE_S


def test_an_engine_that_fails_is_asked_again_later_and_then_no_more(queued: Node) -> None:
    queued.engine.failures = [EngineError("out of memory")] * 3
    assert queued.synthesize() is True
    job = queued.only_job().job
    assert (job.state, job.failures) == (JobState.QUEUED, 1)
    assert job.not_before == queued.clock() + 10.0
    assert queued.synthesize() is False
    queued.clock.advance(10.0)
    queued.synthesize()
    assert queued.only_job().job.not_before == queued.clock() + 30.0
    queued.clock.advance(30.0)
    queued.synthesize()
    job = queued.only_job().job
    assert (job.state, job.last_error) == (JobState.QUARANTINED, "out of memory")
    queued.clock.advance(1e6)
    assert queued.synthesize() is False


def test_an_engine_that_cannot_be_had_costs_a_job_no_attempt_however_long(queued: Node) -> None:
    queued.engine.failures = [EngineDownError("no GPU is there")] * 10
    for _ in range(10):
        assert queued.synthesize() is True
        job = queued.only_job().job
        assert (job.state, job.failures, job.last_error) == (JobState.QUEUED, 0, "no GPU is there")
        assert job.not_before > queued.clock()
        queued.clock.advance(60.0)
    queued.synthesize()
    assert queued.only_job().job.state is JobState.DONE


def test_an_engine_that_failed_once_does_the_job_the_second_time(queued: Node) -> None:
    queued.engine.failures = [EngineError("the child died")]
    queued.run_to_rest()
    assert queued.only_job().job.state is JobState.DONE
    assert queued.only_job().job.last_error == ""
    assert len(queued.archive.stored) == 2


@pytest.mark.parametrize(
    "error",
    [
        EngineInputError("too small"),
        NonFiniteError("the model produced NaN"),
        IntegrityError("contradiction"),
    ],
)
def test_what_will_not_pass_is_quarantined_at_once(queued: Node, error: Exception) -> None:
    queued.engine.failures = [error]
    queued.synthesize()
    job = queued.only_job().job
    assert (job.state, job.last_error) == (JobState.QUARANTINED, str(error))


def test_a_failure_nobody_foresaw_is_tried_again_and_quotes_nothing(queued: Node) -> None:
    queued.engine.failures = [KeyError("Test^Patient")]
    queued.synthesize()
    job = queued.only_job().job
    assert job.state is JobState.QUEUED
    assert job.last_error.startswith("unexpected KeyError at engine.py:")


def test_a_source_that_cannot_be_decoded_is_quarantined(node: Node) -> None:
    node.receiving.receive(received(1, PixelData=b"\0\0"))
    node.plan()
    node.synthesize()
    assert node.only_job().job.state is JobState.QUARANTINED
    assert node.engine.requests == []


def test_a_source_damaged_on_disk_is_quarantined(queued: Node) -> None:
    queued.spool.remove(queued.only_job().job.source_digest)
    queued.synthesize()
    job = queued.only_job().job
    assert job.state is JobState.QUARANTINED
    assert "missing" in job.last_error


class Twisted(FakeEngine):
    """An engine whose result is not what was asked for."""

    def __init__(self, **changes: object) -> None:
        super().__init__()
        self.changes = changes

    def synthesize(
        self, model: str, request: SynthesisRequest, *, deadline_s: float
    ) -> SynthesisResult:
        result = super().synthesize(model, request, deadline_s=deadline_s)
        changes = dict(self.changes)
        if "order" in changes:
            changes = {"images": result.images[::-1]}
        if "count" in changes:
            changes = {"images": result.images[:1]}
        return replace(result, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 1}, "seed"),
        ({"steps": 3}, "steps"),
        ({"order": True}, "views"),
        ({"count": True}, "views"),
        ({"chosen": (0, 5)}, "samples"),
        ({"chosen": (0,)}, "samples"),
    ],
)
def test_a_result_that_is_not_what_was_ordered_is_quarantined(
    node: Node, change: dict[str, object], words: str
) -> None:
    node.engine = Twisted(**change)
    node.routes = (route(steps=8),)
    node.receiving.receive(received(1))
    node.plan()
    node.synthesize()
    row = node.only_job()
    assert row.job.state is JobState.QUARANTINED
    assert words in row.job.last_error
    assert row.deliveries == ()


def scored(node: Node, *scores: float | None, least: float | None) -> JobRow:
    """The job after an engine has answered with these scores to a route that asks for ``least``."""
    node.engine = Twisted(scores=scores, percentiles=tuple(s and 99.5 for s in scores))
    node.routes = (route(min_consistency=least),)
    node.receiving.receive(received(1))
    node.plan()
    node.synthesize()
    return node.only_job()


def test_views_below_the_consistency_asked_for_are_not_sent_and_the_reason_names_them(
    node: Node,
) -> None:
    row = scored(node, 0.81, 0.4321, least=0.5)
    assert row.job.state is JobState.QUARANTINED
    assert "LAO 60 0.432" in row.job.last_error
    assert "RAO" not in row.job.last_error
    assert "min_consistency 0.5 of route chest" in row.job.last_error
    assert "1 of 2 views" in row.job.last_error
    assert "lower the route's min_consistency" in row.job.last_error
    assert row.deliveries == ()
    assert row.job.failures == 1


@pytest.mark.parametrize(
    ("scores", "least"), [((0.5, 0.9), 0.5), ((None, 0.6), 0.5), ((-0.9, 0.1), None)]
)
def test_consistent_enough_views_are_sent_with_their_score(
    node: Node, scores: tuple[float | None, ...], least: float | None
) -> None:
    row = scored(node, *scores, least=least)
    assert row.job.state is JobState.DONE
    for score, ds in zip(scores, made(node, row.deliveries[0]), strict=True):
        (block,) = (e for e in ds if e.tag.is_private and e.VR == "UT")
        told = json.loads(block.value)
        assert told["consistency"] == score
        assert told["consistency_percentile"] == (None if score is None else 99.5)
        assert told["spread"] is None
        assert ("consistency" in ds.DerivationDescription) == (score is not None)


def test_a_route_that_asks_for_consistency_takes_no_result_without_scores(node: Node) -> None:
    row = scored(node, least=0.0)
    assert row.job.state is JobState.QUARANTINED
    assert "the engine gave none" in row.job.last_error


def test_the_spread_over_the_samples_is_told_in_the_sources_values(node: Node) -> None:
    maps = tuple(np.full((256, 256), level, np.float32) for level in (2.0, 5.0))
    node.engine = Twisted(uncertainty=maps)
    node.routes = (route(samples=2),)
    node.receiving.receive(received(1))
    node.plan()
    node.synthesize()
    for level, ds in zip((2.0, 5.0), made(node, node.only_job().deliveries[0]), strict=True):
        (block,) = (e for e in ds if e.tag.is_private and e.VR == "UT")
        assert json.loads(block.value)["spread"] == level
        assert f"spread over the samples {level:g}" in ds.DerivationDescription


def test_a_route_that_allows_ineligible_sources_says_so_in_every_object(node: Node) -> None:
    node.engine = Twisted(eligibility=0.01, ineligible="it looks like noise")
    node.routes = (route(allow_ineligible=True),)
    node.receiving.receive(received(1))
    node.plan()
    node.synthesize()
    assert node.engine.requests[0].allow_ineligible is True
    for ds in made(node, node.only_job().deliveries[0]):
        (block,) = (e for e in ds if e.tag.is_private and e.VR == "UT")
        told = json.loads(block.value)
        assert (told["eligibility"], told["ineligible"]) == (0.01, "it looks like noise")
        assert "NOT ELIGIBLE" in ds.DerivationDescription


def test_an_ineligible_source_is_quarantined_at_once_with_the_engines_reason(node: Node) -> None:
    node.engine = FakeEngine(EngineInputError("no views are made from this source: it looks ..."))
    node.receiving.receive(received(1))
    node.plan()
    node.synthesize()
    job = node.only_job().job
    assert job.state is JobState.QUARANTINED
    assert "no views are made from this source" in job.last_error


def test_other_weights_than_ordered_are_quarantined(queued: Node) -> None:
    queued.engine = FakeEngine(weights="cd" * 32)
    queued.synthesize()
    row = queued.only_job()
    assert row.job.state is JobState.QUARANTINED
    assert "abababababab" in row.job.last_error
    assert "cdcdcdcdcdcd" in row.job.last_error
    assert row.deliveries == ()


def test_an_image_without_any_difference_is_quarantined_and_nothing_is_sent(queued: Node) -> None:
    class Constant(FakeEngine):
        def synthesize(self, *args: object, **kwargs: object) -> SynthesisResult:
            result = super().synthesize(*args, **kwargs)  # type: ignore[arg-type]
            flat = tuple(
                Radiograph(
                    pixels=image.pixels * 0 + image.intensity.low,
                    spacing_mm=image.spacing_mm,
                    view=image.view,
                    intensity=image.intensity,
                )
                for image in result.images
            )
            return replace(result, images=flat)

    queued.engine = Constant()
    queued.run_to_rest()
    assert queued.only_job().job.state is JobState.QUARANTINED
    assert "fit to be sent" in queued.only_job().job.last_error
    assert queued.archive.attempts == []


def test_a_disk_without_room_is_waited_for_and_costs_no_attempt(queued: Node) -> None:
    class Full:
        def __getattr__(self, name: str) -> object:
            return getattr(queued.spool, name)

        def put(self, data: bytes) -> object:
            raise CapacityError("the spool is full")

    full = replace(queued.synthesizing, spool=Full())  # type: ignore[arg-type]
    for _ in range(10):
        assert full.run_once(queued.clock()) is True
        job = queued.only_job().job
        assert (job.state, job.failures) == (JobState.QUEUED, 0)
        assert job.not_before == queued.clock() + 60.0
        queued.clock.advance(60.0)
    queued.synthesize()
    assert queued.only_job().job.state is JobState.DONE


def test_a_ledger_without_room_keeps_the_lease_and_the_job_runs_again(queued: Node) -> None:
    class Full:
        def __getattr__(self, name: str) -> object:
            if name in ("finish_job", "fail_job"):
                raise CapacityError("the ledger is full")
            return getattr(queued.ledger, name)

    with pytest.raises(CapacityError):
        replace(queued.synthesizing, ledger=Full()).run_once(queued.clock())  # type: ignore[arg-type]
    assert queued.only_job().job.state is JobState.RUNNING
    queued.clock.advance(1e4)
    queued.recovering.run_once(queued.clock())
    queued.run_to_rest()
    assert len(queued.archive.stored) == 2


def test_a_job_whose_ledger_was_away_for_a_moment_does_not_wait_on_when_it_is_back(
    queued: Node,
) -> None:
    away = CapacityError("the ledger is away")
    ledger = CutAt(CutAt(queued.ledger, "finish_job", error=away), "fail_job", error=away)
    service = replace(queued.synthesizing, ledger=ledger)  # type: ignore[arg-type]
    with pytest.raises(CapacityError):
        service.run_once(queued.clock())
    queued.clock.advance(1.0)
    assert service.run_once(queued.clock()) is True
    job = queued.only_job().job
    assert (job.state, job.failures) == (JobState.DONE, 0)


def test_a_failure_while_the_node_stops_is_not_the_jobs(queued: Node) -> None:
    queued.synthesis = {"stopping": lambda: True}
    queued.engine.failures = [EngineError("closed")]
    queued.synthesize()
    job = queued.only_job().job
    assert (job.state, job.failures, job.not_before) == (JobState.QUEUED, 0, queued.clock())


def test_a_job_that_takes_the_node_down_again_and_again_is_quarantined(queued: Node) -> None:
    queued.synthesis = {"max_lost_leases": 9}
    for _ in range(9):
        cut = CutAt(queued.engine, "synthesize", after=False)
        with pytest.raises(PowerCut):
            replace(queued.synthesizing, engine=cut).run_once(queued.clock())  # type: ignore[arg-type]
        queued.recovering.at_start(queued.clock())
        queued.clock.advance(60.0)
    assert queued.only_job().job.lost_leases == 9
    asked = len(queued.engine.requests)
    assert queued.synthesize() is True
    job = queued.only_job().job
    assert job.state is JobState.QUARANTINED
    assert "9 times" in job.last_error
    assert len(queued.engine.requests) == asked
    assert queued.ledger.release(job.key, queued.clock()) == 1
    queued.run_to_rest()
    assert len(queued.archive.stored) == 2


@pytest.mark.parametrize("error", [None, EngineError("slow"), EngineInputError("no")])
def test_a_slow_worker_leaves_the_job_to_its_successor(
    queued: Node, error: Exception | None
) -> None:
    published: list[JobRow] = []

    def overtaken() -> None:
        queued.engine.during = lambda: None
        queued.clock.advance(1e4)
        queued.recovering.run_once(queued.clock())
        other = replace(queued.synthesizing, engine=FakeEngine())
        assert other.run_once(queued.clock()) is True
        published.append(queued.only_job())

    queued.engine.during = overtaken
    queued.engine.failures = [] if error is None else [error]
    assert queued.synthesize() is True
    assert queued.only_job() == published[0]
    assert published[0].job.state is JobState.DONE
    assert len(published[0].deliveries) == 1


def test_a_job_cut_after_spooling_runs_again_and_publishes_one_content_a_uid(
    queued: Node,
) -> None:
    """The bytes hold the time of synthesis, so two runs differ: only the second is published."""
    cut = CutAt(queued.ledger, "finish_job", after=False)
    with pytest.raises(PowerCut):
        replace(queued.synthesizing, ledger=cut).run_once(queued.clock())  # type: ignore[arg-type]
    source = queued.only_job().job.source_digest
    first = set(queued.spool.digests()) - {source}
    assert len(first) == 2
    queued.clock.advance(5.0)
    restarted = queued.restarted()
    restarted.run_to_rest()
    sent = dict(restarted.archive.stored)
    assert all(len(digests) == 1 for digests in sent.values())
    assert len(sent) == 2
    assert not first.intersection(d for digests in sent.values() for d in digests)
    # What the first run left belongs to nobody, and goes once it is old enough.
    assert first < set(restarted.spool.digests())
    restarted.recovering.sweep(restarted.clock())
    restarted.clock.advance(3601.0)
    restarted.recovering.sweep(restarted.clock())
    assert not first.intersection(restarted.spool.digests())
    assert source in set(restarted.spool.digests())


def test_the_same_work_at_the_same_time_is_the_same_bytes(queued: Node) -> None:
    cut = CutAt(queued.ledger, "finish_job", after=False)
    with pytest.raises(PowerCut):
        replace(queued.synthesizing, ledger=cut).run_once(queued.clock())  # type: ignore[arg-type]
    before = set(queued.spool.digests())
    queued.restarted().run_to_rest()
    assert set(queued.spool.digests()) == before
