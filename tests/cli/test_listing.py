"""Looking at the ledger beside the node."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dicom_node.domain.deliveries import Outcome
from dicom_node.ports import DecidedAs
from dicom_node.settings import load
from dicom_node.store.ledger import SqlLedger, open_ledger
from tests.fakes import rows

NOW = 1_750_000_000.0


@pytest.fixture
def ledger(config: Path) -> Iterator[SqlLedger]:
    opened = open_ledger(load(config).database_url())
    yield opened
    opened.close()


def test_without_a_ledger_it_says_so_and_makes_none(run: Any, config: Path) -> None:
    for command in (["jobs", "list"], ["jobs", "show", "ab"], ["images", "list"]):
        ran = run(*command, "--config", config)
        assert ran.status == 2
        assert "there is no ledger" in ran.err
        assert [each.name for each in config.parent.iterdir()] == ["node.yaml"]


def test_an_empty_ledger_is_an_empty_list(run: Any, config: Path, ledger: SqlLedger) -> None:
    assert run("jobs", "list", "--config", config, "--json").json == []
    assert run("images", "list", "--config", config, "--json").json == []
    assert "There are no jobs" in run("jobs", "list", "--config", config).out


def test_jobs_are_listed_with_their_views_and_deliveries(
    run: Any, config: Path, ledger: SqlLedger
) -> None:
    new = rows.queue(ledger, 1, NOW)
    rows.finish(ledger, NOW + 1)
    delivery = ledger.lease_delivery("pacs", NOW + 2, 60.0)
    assert delivery is not None
    first = delivery.outstanding[0].sop_instance_uid
    ledger.record_outcome(delivery, first, Outcome.STORED, 0, NOW + 3, 60.0)
    ledger.fail_delivery(delivery, "pacs is away", retry_at=NOW + 9, now=NOW + 4)

    (job,) = run("jobs", "list", "--config", config, "--json").json
    assert job["key"] == new.key
    assert job["state"] == "done"
    assert job["route"] == "chest"
    assert job["source_sop_instance_uid"] == "1.2.3.1"
    assert [view["label"] for view in job["views"]] == ["LAO 30", "LAO 60"]
    assert job["deliveries"] == [
        {
            "destination": "pacs",
            "form": "dx",
            "state": "pending",
            "attempts": 1,
            "failures": 1,
            "next_at": "2025-06-15T15:06:49.000+00:00",
            "last_error": "pacs is away",
            "instances": 2,
            "stored": 1,
        }
    ]


def test_jobs_can_be_listed_by_state(run: Any, config: Path, ledger: SqlLedger) -> None:
    rows.queue(ledger, 1, NOW)
    rows.finish(ledger, NOW + 1)
    rows.queue(ledger, 2, NOW + 2)
    listed = ("jobs", "list", "--config", config, "--json", "--state")
    assert [job["state"] for job in run(*listed, "queued").json] == ["queued"]
    assert len(run(*listed, "done").json) == 1
    ran = run(*listed, "finished")
    assert ran.status == 2
    assert "queued, running, done" in ran.err.replace("\n", " ").replace("│", "")


def test_a_job_is_shown_by_the_beginning_of_its_key(
    run: Any, config: Path, ledger: SqlLedger
) -> None:
    new = rows.queue(ledger, 1, NOW)
    rows.finish(ledger, NOW + 1)
    ran = run("jobs", "show", "--config", config, new.key[:12], "--json")
    assert ran.status == 0
    assert ran.json["key"] == new.key
    assert "finished" in [event["event"] for event in ran.json["events"]]
    shown = run("jobs", "show", "--config", config, new.key[:12]).out
    assert new.key in shown
    assert "LAO 30, LAO 60" in shown


def test_a_job_that_is_not_there_is_an_error(run: Any, config: Path, ledger: SqlLedger) -> None:
    ran = run("jobs", "show", "--config", config, "abc")
    assert ran.status == 2
    assert "'abc'" in ran.err


def test_a_quarantined_job_can_be_released(run: Any, config: Path, ledger: SqlLedger) -> None:
    new = rows.queue(ledger, 1, NOW)
    job = ledger.lease_job(NOW + 1, 60.0)
    assert job is not None
    ledger.fail_job(job, "it cannot be done", retry_at=None, now=NOW + 2)
    ran = run("jobs", "release", "--config", config, new.key[:12])
    assert ran.status == 0, ran.err
    assert run("jobs", "list", "--config", config, "--json").json[0]["state"] == "queued"
    assert run("jobs", "release", "--config", config, new.key[:12]).status == 2


def stuck_delivery(ledger: SqlLedger, number: int, error: str) -> str:
    """The key of its job."""
    new = rows.queue(ledger, number, NOW)
    rows.finish(ledger, NOW + 1)
    delivery = ledger.lease_delivery("pacs", NOW + 2, 60.0)
    assert delivery is not None
    ledger.fail_delivery(delivery, error, retry_at=None, now=NOW + 3)
    return new.key


def test_deliveries_are_listed_with_attempts_and_last_error(
    run: Any, config: Path, ledger: SqlLedger
) -> None:
    key = stuck_delivery(ledger, 1, "pacs refused it")
    (listed,) = run("deliveries", "list", "--config", config, "--json").json
    assert listed == {
        "number": 1,
        "job": key,
        "destination": "pacs",
        "form": "dx",
        "state": "quarantined",
        "attempts": 1,
        "failures": 1,
        "next_at": None,
        "last_error": "pacs refused it",
        "instances": 2,
        "stored": 0,
    }
    assert "pacs refused it" in run("deliveries", "list", "--config", config).out
    assert run("deliveries", "list", "--config", config, "--state", "sent").status == 2


def test_a_job_that_is_done_is_released_by_its_deliveries(
    run: Any, config: Path, ledger: SqlLedger
) -> None:
    key = stuck_delivery(ledger, 1, "refused")
    ran = run("jobs", "release", "--config", config, key[:8])
    assert (ran.status, ran.out) == (0, "1 delivery released.\n"), ran.err
    assert run("deliveries", "list", "--config", config, "--json").json[0]["state"] == "pending"


@pytest.mark.parametrize(("deed", "state"), [("release", "pending"), ("cancel", "cancelled")])
def test_all_deliveries_of_one_reason_are_settled_at_once(
    run: Any, config: Path, ledger: SqlLedger, deed: str, state: str
) -> None:
    for number, error in enumerate(("0xA900", "away", "away"), 1):
        stuck_delivery(ledger, number, error)
    command = ("deliveries", deed, "--config", config, "--all", "--destination", "pacs")
    ran = run(*command, "--reason", "away")
    assert (ran.status, ran.out) == (0, f"2 deliveries {deed}d.\n".replace("canceld", "cancelled"))
    listed = run("deliveries", "list", "--config", config, "--json").json
    assert [each["state"] for each in listed] == [state, state, "quarantined"]
    assert run(*command, "--reason", "away").status == 2


def test_an_image_in_quarantine_is_released_or_cancelled(
    run: Any, config: Path, ledger: SqlLedger
) -> None:
    for number in (1, 2):
        ledger.record_image(rows.image(number), NOW)
        (row,) = ledger.unplanned(1)
        ledger.record_decision(row.id, rows.decision(DecidedAs.QUARANTINE, "odd"), [], NOW)
    assert run("images", "release", "--config", config, "1.2.3.1").out == "1 image released.\n"
    assert run("images", "cancel", "--config", config, "--all").out == "1 image cancelled.\n"
    listed = run("images", "list", "--config", config, "--json").json
    assert [each["state"] for each in listed] == ["cancelled", "waiting"]
    assert run("images", "cancel", "--config", config, "--all").status == 2


@pytest.mark.parametrize(
    "arguments", [[], ["1", "--all"], ["1", "--reason", "x"], ["1", "--destination", "x"]]
)
def test_what_is_meant_must_be_said_without_contradiction(
    run: Any, config: Path, ledger: SqlLedger, arguments: list[str]
) -> None:
    stuck_delivery(ledger, 1, "x")
    assert run("deliveries", "cancel", "--config", config, *arguments).status == 2
    assert run("deliveries", "list", "--config", config, "--json").json[0]["state"] == "quarantined"


def test_settling_without_a_ledger_makes_none(run: Any, config: Path) -> None:
    assert run("images", "release", "--config", config, "--all").status == 2
    assert [each.name for each in config.parent.iterdir()] == ["node.yaml"]


def test_images_that_made_no_job_are_listed_with_their_reason(
    run: Any, config: Path, ledger: SqlLedger
) -> None:
    rows.queue(ledger, 1, NOW)
    ledger.record_image(rows.image(2), NOW + 1)
    ledger.record_image(rows.image(3), NOW + 2)
    ignored = next(row for row in ledger.unplanned(9) if row.image == rows.image(2))
    ledger.record_decision(
        ignored.id, rows.decision(DecidedAs.IGNORE, "no route holds"), [], NOW + 3
    )
    listed = run("images", "list", "--config", config, "--json").json
    found = {each["sop_instance_uid"]: (each["decision"], each["reason"]) for each in listed}
    assert found == {
        "1.2.3.1": ("accept", "route chest holds"),
        "1.2.3.2": ("ignore", "no route holds"),
        "1.2.3.3": (None, "waiting to be planned"),
    }


def test_tables_name_what_people_look_for(run: Any, config: Path, ledger: SqlLedger) -> None:
    new = rows.queue(ledger, 1, NOW)
    rows.finish(ledger, NOW + 1)
    jobs = run("jobs", "list", "--config", config).out
    assert new.key[:12] in jobs
    assert "pacs pending 0/2" in jobs
    images = run("images", "list", "--config", config).out
    assert "1.2.3.1" in images
    assert "route chest holds" in images
