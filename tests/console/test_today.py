"""What the first page says of a node: what is wrong, what to do, and where; and when it is over."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from dicom_node.console.parts import Part
from dicom_node.console.today.standing import lanes, troubles
from dicom_node.domain.accounts import Role
from dicom_node.domain.deliveries import DeliveryState
from dicom_node.domain.errors import EngineError
from dicom_node.domain.identifiers import JobKey
from dicom_node.domain.jobs import JobState
from dicom_node.ports.console import Failing, LastSend, Untaken
from dicom_node.ports.figures import Queues
from tests.console.conftest import Bench
from tests.console.routing import Desk, a_desk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOTHING = Queues(
    images_waiting=0,
    oldest_image_at=None,
    images_quarantined=0,
    jobs={},
    oldest_job_at=None,
    deliveries={},
    oldest_delivery_at={},
)
NOW = 10_000.0
LATE = replace(NOTHING, jobs={JobState.QUEUED: 500}, oldest_job_at=NOW - 3600)
AWAY = Part(name="destination pacs", problem="connection refused", at=NOW - 30)


def told(queues: Queues = NOTHING, parts: tuple[Part, ...] = (), **more: Any) -> list[str]:
    """What is wrong and what to do, one text each, with where it leads."""
    found = lanes(["pacs"], parts, queues, more.pop("last", {}))
    given: dict[str, Any] = {"free_bytes": 100, "min_free_bytes": 10, "now": NOW} | more
    return [
        f"{each.words} {each.todo} {' '.join(link.path for link in each.links)}"
        for each in troubles(queues=queues, lanes=found, parts=parts, **given)
    ]


def test_a_node_that_is_well_has_nothing_to_tell() -> None:
    assert told(parts=(Part(name="engine 1", at=NOW), Part(name="destination pacs", at=NOW))) == []


def test_a_full_disk_is_told_with_its_folder() -> None:
    (text,) = told(free_bytes=5, folder="/srv/node")
    assert "too full" in text
    assert "Free space on the disk of /srv/node" in text
    assert text.endswith("/routes/text")


def test_a_destination_that_took_something_since_it_was_asked_is_back() -> None:
    waits = replace(NOTHING, deliveries={("pacs", DeliveryState.PENDING): 3})
    (text,) = told(waits, (AWAY,))
    assert "pacs does not answer: connection refused. Waiting for it: 3 deliveries." in text
    assert "/jobs?destination=pacs /destinations/edit/pacs" in text
    stored = LastSend(at=NOW - 10, event="all_stored", detail="")
    assert told(waits, (AWAY,), last={"pacs": stored}) == []
    for last in (replace(stored, at=NOW - 60), replace(stored, event="failed")):
        assert len(told(waits, (AWAY,), last={"pacs": last})) == 1


def test_the_job_that_holds_up_the_others_is_named() -> None:
    failing = Failing(key=JobKey("ab" * 32), route="odd", failures=2, last_error="it hung")
    queue, poison = told(LATE, failing=failing)
    assert "500 jobs, the oldest for 60 min" in queue
    assert "A job of route odd holds the others up: it failed 2 times" in poison
    assert "(it hung). Cancel it, or wait" in poison
    assert poison.endswith(f"/jobs/{'ab' * 32}")
    assert len(told(replace(LATE, oldest_job_at=NOW - 60), failing=failing)) == 0, "not yet"


def test_a_rule_that_takes_nothing_any_more_is_told_with_its_version() -> None:
    (text,) = told(untaken=Untaken(version=4, author="ada", at=NOW - 1200, images=7))
    assert "No route takes any image since version 4" in text
    assert "(20 min ago, by ada): 7 came" in text
    assert "/routes/versions/4 /images?state=ignored&since=" in text


def test_the_ledger_knows_the_job_that_failed_most(bench: Bench) -> None:
    found = bench.ledger.console()
    assert found.failing() is None
    for number in (1, 2):
        bench.receive(number)
    bench.node.plan()
    bench.node.engine.failures = [EngineError("broke once"), EngineError("broke again")]
    bench.node.synthesize()
    bench.clock.now += 500
    bench.node.synthesize()
    failing = found.failing()
    assert failing is not None
    assert (failing.failures, failing.last_error, failing.route) == (2, "broke again", "chest")
    bench.clock.now += 500
    bench.node.run_to_rest()
    assert found.failing() is None, "what is over holds up nobody"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with a_desk(tmp_path) as made:
        yield made


def test_a_rule_that_was_changed_for_the_worse_is_seen_and_its_images_decided_anew(
    desk: Desk,
) -> None:
    planning = desk.site.node.planning
    ada = desk.bench.browser("ada", Role.ADMIN)

    def come(*numbers: int) -> str:
        for number in numbers:
            desk.receive(number)
        while planning.run_once(desk.site.clock()):
            pass
        return ada.get("/").text

    assert "No route takes" not in come(1, 2, 3)
    desk.site.write("one_of: [CR, DX]", "one_of: [CX, DX]")
    assert "No route takes" not in come(4, 5), "two may be an accident"
    page = come(6)
    assert "No route takes any image since version 2" in page
    assert 'href="/routes/versions/2"' in page
    link = page.partition('href="/images?state=ignored')[2].partition('"')[0]
    assert "Decide anew about all of these" in ada.get(f"/images?state=ignored{link}").text

    desk.site.write("one_of: [CX, DX]", "one_of: [CR, DX]")
    assert "No route takes" not in ada.get("/").text, "of the newest version nothing is known yet"
    link = link.replace("&amp;", "&")
    assert "Decide anew about 3 images?" in ada.get(f"/images/anew/confirm?{link[1:]}").text
    assert ada.submit(f"/images/anew?{link[1:]}").status_code == 303
    assert "3 images decided anew." in ada.get("/images").text
    come()
    assert {image.state for image in desk.bench.ledger.images()} == {"accepted"}
    assert ada.submit("/images/anew").status_code == 409, "there is none any more"
