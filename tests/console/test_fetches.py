"""Fetching a study: who may, what is told, over pages and over JSON."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest

from dicom_node.domain.accounts import Role
from dicom_node.domain.errors import UnreachableError
from tests.console.conftest import Bench, Browser
from tests.console.test_api import ask, token
from tests.fakes.radiographs import STUDY
from tests.services.test_queueing import FakeArchive, fetching, over

if TYPE_CHECKING:
    from httpx import Response

    from dicom_node.services.queueing import FetchQueue


@pytest.fixture
def archive() -> FakeArchive:
    return FakeArchive()


@pytest.fixture
def fetches(bench: Bench, archive: FakeArchive) -> FetchQueue:
    made = bench.fetches(archive)
    bench.more["fetches"] = made
    return made


def begun(answer: Response) -> int:
    assert answer.status_code == 303, answer.text
    return int(answer.headers["location"].rpartition("/")[2])


def test_an_operator_fetches_a_study_and_sees_which_route_took_what(
    bench: Bench, fetches: FetchQueue, operator: Browser
) -> None:
    assert "Fetch and synthesize" in operator.get(f"/fetch?study={STUDY}").text
    number = begun(operator.submit("/fetch", study=f" {STUDY} ", source="pacs"))
    over(fetches, number)
    bench.node.plan(), bench.node.plan()
    page = operator.get(f"/fetch/{number}").text
    assert "2 instances of 1 series arrived from pacs" in page
    assert "1 asked for, 1 passed over" in re.sub(r"\s+", " ", page)
    assert page.count("chest") >= 2, "the route of both"
    assert "hx-get" not in operator.get(f"/fetch/{number}/live").text, "nothing more comes"
    assert f"/fetch/{number}" in operator.get("/fetch").text
    (message,) = [each for each in bench.audited if STUDY in str(each)]
    assert "Fetched from pacs" in str(message)
    assert "otto" in str(message)


def test_job_and_image_lead_to_their_study(
    bench: Bench, fetches: FetchQueue, operator: Browser, viewer: Browser
) -> None:
    key = bench.done()
    number = bench.ledger.console().record_of(key).image.id  # type: ignore[union-attr]
    link = f"/fetch?study={STUDY}"
    for path in (f"/jobs/{key}", f"/images/{number}"):
        assert link in operator.get(path).text
        assert link not in viewer.get(path).text
    assert f'value="{STUDY}"' in operator.get(link).text


def test_what_goes_on_is_shown_as_it_goes(
    bench: Bench, archive: FakeArchive, fetches: FetchQueue, operator: Browser
) -> None:
    archive.go_on.clear()
    number = begun(operator.submit("/fetch", study="1.2.3", source="mirror"))
    assert "It waits for its turn." in operator.get(f"/fetch/{number}").text
    with fetching(fetches):
        deadline = time.monotonic() + 20
        while not archive.asked and time.monotonic() < deadline:
            time.sleep(0.01)
        assert "0 arrived" in operator.get(f"/fetch/{number}").text
        for path in (f"/fetch/{number}", "/fetch"):
            assert 'hx-trigger="every 2s"' in operator.get(path).text
        archive.go_on.set()
    assert "hx-get" not in operator.get("/fetch/live").text


def test_a_failure_says_what_to_do(
    archive: FakeArchive, fetches: FetchQueue, operator: Browser
) -> None:
    archive.error = UnreachableError("pacs cannot be reached: connection refused")
    number = begun(operator.submit("/fetch", study="1.2.3", source="pacs"))
    over(fetches, number)
    page = operator.get(f"/fetch/{number}").text
    assert "connection refused" in page
    assert "ask it for an echo" in page


@pytest.mark.parametrize(
    ("study", "source", "words"),
    [
        ("1.2.3", "nowhere", "Choose one of the destinations"),
        ("../x", "pacs", "digits and dots"),
        ("", "pacs", "digits and dots"),
        ("<script>alert(1)</script>", "pacs", "digits and dots"),
    ],
)
def test_what_makes_no_sense_is_told_in_the_form(
    archive: FakeArchive,
    fetches: FetchQueue,
    operator: Browser,
    study: str,
    source: str,
    words: str,
) -> None:
    answer = operator.submit("/fetch", study=study, source=source)
    assert answer.status_code == 422
    assert words in answer.text
    assert "<script>alert" not in answer.text
    assert archive.asked == []
    assert operator.get("/fetch/99").status_code == 404


def test_a_viewer_and_a_forged_form_fetch_nothing(
    bench: Bench, archive: FakeArchive, fetches: FetchQueue, operator: Browser, viewer: Browser
) -> None:
    assert viewer.submit("/fetch", study="1.2.3", source="pacs").status_code == 403
    assert viewer.get("/fetch").status_code == 403
    assert 'href="/fetch"' not in viewer.get("/").text
    assert operator.post("/fetch", data={"study": "1.2.3", "source": "pacs"}).status_code == 403
    assert bench.browser().get("/fetch").status_code in (303, 401)
    assert archive.asked == []


def test_a_program_fetches_and_looks(bench: Bench, fetches: FetchQueue) -> None:
    text = token(bench, Role.OPERATOR)
    wanted = {"study_instance_uid": STUDY, "source": "pacs"}
    made = ask(bench, text, "POST", "/fetches", json=wanted).json()
    over(fetches, made["number"])
    found = ask(bench, text, "GET", f"/fetches/{made['number']}").json()
    assert (found["fetch"]["state"], found["fetch"]["instances_arrived"]) == ("done", 2)
    assert {each["study_instance_uid"] for each in found["images"]} == {STUDY}
    (listed,) = ask(bench, text, "GET", "/fetches").json()["fetches"]
    assert listed == found["fetch"]
    odd = ask(bench, text, "POST", "/fetches", json=wanted | {"source": "nowhere"})
    assert odd.status_code == 422
    reader = token(bench, Role.VIEWER)
    assert ask(bench, reader, "POST", "/fetches", json=wanted).status_code == 403
    assert ask(bench, text, "GET", "/fetches/99").status_code == 404


def test_a_node_without_archives_says_so(operator: Browser) -> None:
    assert operator.get("/fetch").status_code == 409
