"""What is counted, and that it is counted by the real parts of a node."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import generate_latest

from dicom_node.domain.commitments import Commitment
from dicom_node.domain.deliveries import DeliveryState, Outcome
from dicom_node.domain.errors import (
    CapacityError,
    ConfigurationError,
    EngineDownError,
    EngineInputError,
    RefusedError,
    UnreachableError,
)
from dicom_node.domain.jobs import JobState
from dicom_node.monitoring.gauges import NodeGauges
from dicom_node.monitoring.metering import (
    MeteredCommitment,
    MeteredEngine,
    MeteredReceiver,
    MeteredStoreClient,
)
from dicom_node.monitoring.metrics import Metrics, reason_class
from dicom_node.ports import (
    Chosen,
    DecidedAs,
    DecisionRow,
    Deed,
    Kind,
    Queues,
    Receipt,
    ReceivedObject,
)
from dicom_node.store.ledger import open_ledger
from tests.engine.requests import request
from tests.fakes import rows
from tests.fakes.archive import FakeArchive
from tests.fakes.engine import FakeEngine
from tests.network.objects import destination, write_instances

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"dicom_node_{name}", labels)


class Answering:
    """A receiver that answers, or raises, one thing after another."""

    def __init__(self, *answers: Receipt | Exception) -> None:
        self.answers = list(answers)

    def receive(self, received: ReceivedObject) -> Receipt:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_received_images_are_counted_by_what_became_of_them() -> None:
    metrics = Metrics()
    answers = Answering(Receipt.NEW, Receipt.NEW, Receipt.DUPLICATE, CapacityError("full"))
    receiver, sent = MeteredReceiver(receiver=answers, metrics=metrics), SimpleNamespace()
    for _ in range(3):
        receiver.receive(sent)  # type: ignore[arg-type]
    with pytest.raises(CapacityError):
        receiver.receive(sent)  # type: ignore[arg-type]
    assert value(metrics, "images_received_total", outcome="new") == 2
    assert value(metrics, "images_received_total", outcome="duplicate") == 1
    assert value(metrics, "images_received_total", outcome="refused") == 1


@pytest.mark.parametrize(
    ("kind", "reason", "word"),
    [
        (DecidedAs.ACCEPT, "route chest holds", "route"),
        (DecidedAs.IGNORE, "guard: the image was made by this product", "guard"),
        (DecidedAs.IGNORE, "no route holds: chest: when", "no_route"),
        (DecidedAs.QUARANTINE, "rule failed: x", "rule"),
        (DecidedAs.QUARANTINE, "cannot be read from the spool: y", "unreadable"),
        (DecidedAs.QUARANTINE, "View Position is neither PA nor AP", "image"),
    ],
)
def test_the_class_of_a_reason_is_one_of_a_few_words(
    kind: DecidedAs, reason: str, word: str
) -> None:
    row = DecisionRow(decided_as=kind, route="", route_digest="", reason=reason, terms=())
    assert reason_class(row) == word
    metrics = Metrics()
    metrics.decision(row)
    labels = {"route": "none", "decision": kind.value, "reason": word}
    assert value(metrics, "images_decided_total", **labels) == 1


def test_a_synthesis_counts_time_views_and_evaluations_and_a_failure_its_kind() -> None:
    metrics = Metrics()
    engine = MeteredEngine(engine=FakeEngine(), metrics=metrics)
    asked = request()
    made = engine.synthesize("chest", asked, deadline_s=1)
    assert value(metrics, "views_total", model="chest") == len(made.images)
    evaluations = len(made.images) * made.steps * asked.samples
    assert value(metrics, "network_evaluations_total", model="chest") == evaluations
    assert value(metrics, "synthesis_seconds_count", model="chest") == 1
    for error, outcome in (
        (EngineDownError("x"), "down"),
        (EngineInputError("x"), "quarantine"),
        (ZeroDivisionError(), "failed"),
    ):
        failing = MeteredEngine(engine=FakeEngine(error), metrics=metrics)
        with pytest.raises(type(error)):
            failing.synthesize("chest", asked, deadline_s=1)
        assert value(metrics, "syntheses_total", model="chest", outcome=outcome) == 1


def test_sends_are_counted_by_destination_and_outcome(tmp_path: Path) -> None:
    metrics, archive, heard = Metrics(), FakeArchive(), []
    client = MeteredStoreClient(client=archive, metrics=metrics)
    archive.answers = {1: (Outcome.REFUSED, 0xC000)}
    instances = write_instances(tmp_path, 2)
    client.send(destination(104), instances, lambda *answer: heard.append(answer))
    assert len(heard) == 2
    assert value(metrics, "destination_up", destination="archive") == 1
    archive.down = True
    with pytest.raises(UnreachableError):
        client.send(destination(104), instances, lambda *answer: None)
    for outcome in ("stored", "refused"):
        labels = {"destination": "archive", "outcome": outcome}
        assert value(metrics, "instances_sent_total", **labels) == 1
    assert value(metrics, "sends_total", destination="archive", outcome="unreachable") == 1
    assert value(metrics, "destination_up", destination="archive") == 0
    archive.down = False
    client.echo(destination(104))
    assert value(metrics, "destination_up", destination="archive") == 1


def test_commitment_is_counted_by_what_the_destination_said() -> None:
    class Asked:
        def __init__(self, error: Exception | None) -> None:
            self.error = error

        def ask(self, to: Any, commitment: Commitment, on_report: Callable[..., Any]) -> None:
            if self.error is not None:
                raise self.error

    metrics = Metrics()
    for error, outcome in ((None, "asked"), (RefusedError("x"), "unsupported")):
        client = MeteredCommitment(client=Asked(error), metrics=metrics)
        try:
            client.ask(destination(104), SimpleNamespace(), lambda report: None)  # type: ignore[arg-type, return-value]
        except RefusedError:
            assert error is not None
        assert value(metrics, "commitments_total", destination="archive", outcome=outcome) == 1


def test_the_ledger_counts_what_is_open(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    for number in range(1, 5):
        ledger.record_image(rows.image(number), 10.0 * number)
    bad = DecisionRow(
        decided_as=DecidedAs.QUARANTINE, route="", route_digest="", reason="no", terms=()
    )
    ledger.record_decision(1, bad, (), 50.0)
    good = DecisionRow(
        decided_as=DecidedAs.ACCEPT, route="chest", route_digest="", reason="yes", terms=()
    )
    ledger.record_decision(2, good, [rows.job_of(1), rows.job_of(2), rows.job_of(3)], 60.0)
    job = ledger.lease_job(70.0, 60.0)
    assert job is not None
    ledger.finish_job(job, rows.products(job), 80.0)
    found = ledger.queues()
    assert found == Queues(
        images_waiting=2,
        oldest_image_at=30.0,
        images_quarantined=1,
        jobs={JobState.QUEUED: 2},
        oldest_job_at=60.0,
        deliveries={("pacs", DeliveryState.PENDING): 1},
        oldest_delivery_at={"pacs": 80.0},
    )
    ledger.settle(Kind.IMAGES, Deed.CANCEL, Chosen(), 90.0)
    assert ledger.queues().images_quarantined == 0
    ledger.try_write()
    ledger.close()


QUEUES = Queues(
    images_waiting=3,
    oldest_image_at=40.0,
    images_quarantined=2,
    jobs={JobState.QUEUED: 4},
    oldest_job_at=70.0,
    deliveries={("gone", DeliveryState.QUARANTINED): 1},
    oldest_delivery_at={"pacs": 90.0},
)


class Counted:
    """A ledger that gives its queues, or raises."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.asked = 0

    def queues(self) -> Queues:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return QUEUES

    def try_write(self) -> None: ...


def gauges(ledger: Counted) -> Metrics:
    def unreadable() -> float:
        raise ConfigurationError("gone")

    metrics = Metrics()
    metrics.registry.register(
        NodeGauges(
            ledger=ledger,
            clock=lambda: 100.0,
            destinations=["pacs"],
            free_bytes=lambda: 5,
            min_free_bytes=7,
            associations=lambda: 2,
            engines=[SimpleNamespace(alive=True, starts=3)],
            expiries={"tls": lambda: 123.0, "destinations[0].tls": unreadable},
        )
    )
    return metrics


def test_the_gauges_tell_depths_ages_disk_engines_and_certificates() -> None:
    metrics = gauges(ledger := Counted())
    assert value(metrics, "images_waiting") == 3
    assert value(metrics, "queue_age_seconds", queue="planning") == 60
    assert value(metrics, "queue_age_seconds", queue="synthesis") == 30
    assert value(metrics, "jobs", state="queued") == 4
    assert value(metrics, "jobs", state="quarantined") == 0
    assert value(metrics, "deliveries", destination="gone", state="quarantined") == 1
    assert value(metrics, "deliveries", destination="pacs", state="pending") == 0
    assert value(metrics, "delivery_age_seconds", destination="pacs") == 10
    assert value(metrics, "disk_free_bytes") == 5
    assert value(metrics, "engine_up", engine="0") == 1
    assert value(metrics, "engine_starts_total", engine="0") == 3
    assert value(metrics, "certificate_expiry_timestamp_seconds", where="tls") == 123
    assert value(metrics, "ledger_up") == 1
    assert ledger.asked == 1, "the rows are counted once for all who ask at a time"


def test_a_ledger_that_is_away_is_a_figure_and_no_error() -> None:
    metrics = gauges(Counted(CapacityError("away")))
    assert b"dicom_node_ledger_up 0.0" in generate_latest(metrics.registry)
    assert value(metrics, "disk_free_bytes") == 5
    assert value(metrics, "images_waiting") is None
