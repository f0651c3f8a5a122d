"""Many at once: those that a list shows and no others, asked first, by those who may."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from dicom_node.domain.accounts import Role
from dicom_node.domain.jobs import JobState
from dicom_node.ports.console import Bulk, Search
from tests.console.conftest import Bench, Browser
from tests.console.test_api import ask, token
from tests.console.test_jobs import told

if TYPE_CHECKING:
    from collections.abc import Sequence


def waiting(bench: Bench, *accessions: str) -> None:
    """Jobs that wait for the engine."""
    for number, accession in enumerate(accessions, 1):
        bench.receive(number, AccessionNumber=accession)
        bench.clock.now += 10
    bench.node.plan()
    bench.clock.now += 10


def states(bench: Bench) -> Sequence[JobState]:
    return [row.job.state for row in reversed(bench.ledger.jobs())]


def test_jobs_that_wait_are_cancelled_as_they_were_looked_for(
    bench: Bench, operator: Browser
) -> None:
    waiting(bench, "A", "B", "B")
    assert "Cancel all of these" not in operator.get("/jobs").text, "not of those that are done"
    assert "Cancel all of these" in operator.get("/jobs?state=queued&accession=B").text
    question = operator.get("/jobs/cancel/confirm?state=queued&accession=B").text
    assert "Cancel 2 jobs?" in question
    assert "This cannot be undone" in question
    assert states(bench) == [JobState.QUEUED] * 3, "a question does nothing"
    assert operator.submit("/jobs/cancel?state=queued&accession=B").status_code == 303
    assert states(bench) == [JobState.QUEUED, JobState.CANCELLED, JobState.CANCELLED]
    assert "2 jobs cancelled." in operator.get("/jobs").text
    assert told(bench.audited[-1]) == "2 jobs cancelled"
    assert "B" not in str(bench.audited[-1].objects), "an Accession Number is about a patient"
    assert operator.submit("/jobs/cancel?accession=B").status_code == 409
    assert operator.get("/jobs/cancel/confirm?accession=B").status_code == 409


def test_what_came_after_the_question_is_not_meant(bench: Bench, operator: Browser) -> None:
    waiting(bench, "A")
    question = operator.get("/jobs/cancel/confirm?state=queued").text
    action = html.unescape(re.findall(r'action="(/jobs/cancel[^"]*)"', question)[0])
    bench.clock.now += 60
    bench.receive(2)
    bench.node.plan()
    assert operator.submit(action).status_code == 303
    assert states(bench) == [JobState.CANCELLED, JobState.QUEUED]


def test_only_jobs_that_wait_are_cancelled_whatever_state_is_looked_for(bench: Bench) -> None:
    bench.done(1)
    bench.receive(2)
    bench.node.plan()
    found = bench.ledger.console()
    assert found.count_chosen(Bulk.CANCEL_QUEUED, Search(state="done")) == 1
    assert found.settle_chosen(Bulk.CANCEL_QUEUED, Search(state="done"), bench.clock()) == 1
    assert states(bench) == [JobState.DONE, JobState.CANCELLED]
    assert found.settle_chosen(Bulk.CANCEL_QUEUED, Search(), bench.clock()) == 0


def test_a_job_that_runs_is_cancelled_and_what_it_makes_is_thrown_away(
    bench: Bench, operator: Browser
) -> None:
    waiting(bench, "A")
    key = bench.ledger.jobs()[0].job.key

    def meanwhile() -> None:
        assert bench.ledger.jobs()[0].job.state is JobState.RUNNING
        assert "/cancel/confirm" in operator.get(f"/jobs/{key}").text
        assert operator.submit(f"/jobs/{key}/cancel").status_code == 303

    bench.node.engine.during = meanwhile
    bench.node.synthesize()
    (row,) = bench.ledger.jobs()
    assert (row.job.state, row.deliveries) == (JobState.CANCELLED, ())


def test_a_program_does_the_same_and_a_viewer_neither(bench: Bench, viewer: Browser) -> None:
    waiting(bench, "A", "B")
    assert viewer.submit("/jobs/cancel").status_code == 403
    assert viewer.submit("/images/anew").status_code == 403
    assert "Cancel all of these" not in viewer.get("/jobs?state=queued").text
    reader, robot = token(bench, Role.VIEWER), token(bench, Role.OPERATOR)
    assert ask(bench, reader, "POST", "/jobs/cancel").status_code == 403
    assert ask(bench, robot, "POST", "/jobs/cancel?accession=B").json() == {"count": 1}
    assert states(bench) == [JobState.QUEUED, JobState.CANCELLED]
    bench.receive(3, Modality="CT")
    bench.node.plan()
    assert ask(bench, robot, "POST", "/images/anew").json() == {"count": 1}
    assert ask(bench, robot, "POST", "/images/anew").status_code == 409


def test_an_image_that_was_ignored_is_decided_anew_from_its_page(
    bench: Bench, operator: Browser
) -> None:
    bench.receive(1, Modality="CT")
    bench.receive(2, Modality="CT")
    bench.node.plan()
    bench.clock.now += 10
    page = operator.get("/images/1").text
    link = page.partition('href="/images/anew/confirm')[2].partition('"')[0]
    assert "Decide anew about 1 image?" in operator.get(f"/images/anew/confirm{link}").text
    assert operator.submit(f"/images/anew{link}").status_code == 303
    first, second = reversed(bench.ledger.images())
    assert (first.state, second.state) == ("waiting", "ignored")
    bench.node.plan()
    assert {image.state for image in bench.ledger.images()} == {"ignored"}
