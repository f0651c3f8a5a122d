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
