"""Images and jobs are found, seen and acted on by those who may, and every act is audited."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from dicom_node.domain.accounts import Role
from dicom_node.domain.errors import EngineError
from dicom_node.domain.jobs import JobState
from dicom_node.domain.writing import Form
from dicom_node.ports.console import Search
from tests.console.conftest import FACTS, Bench, Browser
from tests.services.node import PACS

if TYPE_CHECKING:
    from dicom_node.audit.messages import AuditMessage

NAME = '<script>alert(1)</script>^"><img src=x onerror=alert(2)>'


def told(message: AuditMessage) -> str:
    return message.objects[0].name if message.objects else ""


def test_a_done_job_shows_its_views_terms_deliveries_and_events(
    bench: Bench, operator: Browser
) -> None:
    key = bench.done(AccessionNumber="ACC-77")
    page = operator.get(f"/jobs/{key}").text
    for words in ("ACC-77", "Modality equals CR", "finished", "pacs: begun", "2/2", "Test Patient"):
        assert words in page
    assert page.count("data-frame=") == 3, "the source and its two views"
    listed = operator.get("/jobs").text
    assert key[:12] in listed
    assert "ACC-77" in listed


def test_an_open_page_is_told_what_changed_and_nothing_else(
    bench: Bench, operator: Browser
) -> None:
    bench.receive()
    bench.node.plan()
    key = bench.ledger.jobs()[0].job.key
    asks = re.compile(r'hx-get="(/jobs/[^"]+)"')

    def address(text: str) -> str:
        (found,) = asks.findall(text)
        return html.unescape(str(found))

    page = operator.get(f"/jobs/{key}").text
    assert operator.get(address(page)).status_code == 204, "nothing happened"
    bench.node.synthesize()
    made = operator.get(address(page)).text
    assert "do-cancel" in page
    assert "do-cancel" not in made
    assert made.count("data-frame=") == 3, "the views came"
    bench.node.run_to_rest()
    sent = operator.get(address(made)).text
    assert ">closed<" in sent
    assert "data-frame=" not in sent, "nobody's turning is disturbed"
    assert operator.get(address(sent)).status_code == 204
    assert operator.get(f"/jobs/{key}/live?seen=x").status_code == 422


def test_how_long_a_job_still_waits_is_told_as_it_goes(bench: Bench, operator: Browser) -> None:
    bench.receive()
    bench.node.plan()
    bench.node.engine.failures = [EngineError("the engine ended with signal 9")]
    bench.node.synthesize()
    key = bench.ledger.jobs()[0].job.key
    seen = re.findall(r"seen=([0-9a-f]+)", operator.get(f"/jobs/{key}").text)[0]
    assert operator.get(f"/jobs/{key}/live?seen={seen}&views=1").status_code == 204
    bench.clock.now += 2
    assert "next in" in operator.get(f"/jobs/{key}/live?seen={seen}&views=1").text


def test_pictures_are_png_and_kept_by_the_browser_alone(bench: Bench, viewer: Browser) -> None:
    key = bench.done()
    for which in ("source", "0", "1"):
        answer = viewer.get(f"/jobs/{key}/pictures/{which}.png")
        assert answer.status_code == 200
        assert answer.content.startswith(b"\x89PNG")
        assert answer.headers["cache-control"].startswith("private")
    again = viewer.get(
        f"/jobs/{key}/pictures/0.png",
        headers={"If-None-Match": viewer.get(f"/jobs/{key}/pictures/0.png").headers["etag"]},
    )
    assert again.status_code == 304
    assert viewer.get(f"/jobs/{key}/pictures/9.png").status_code == 404
    assert bench.browser().get(f"/jobs/{key}/pictures/source.png").status_code == 303


def test_a_download_is_the_file_and_is_audited(bench: Bench, operator: Browser) -> None:
    key = bench.done()
    record = bench.ledger.console().record_of(key)
    assert record is not None
    answer = operator.get(f"/jobs/{key}/files/1.dcm")
    assert answer.content == bench.spool.read(record.products[1].instance.digest)
    assert bench.audited[-1].event.meaning == "DICOM Instances Accessed"
    assert bench.browser("vera").get(f"/jobs/{key}/files/1.dcm").status_code == 403


def test_a_received_image_is_shown_whatever_was_decided(bench: Bench, operator: Browser) -> None:
    bench.receive(1, ViewPosition="LL")
    bench.node.plan()
    page = operator.get("/images/1").text
    assert "Test Patient" in page
    assert "/images/1/picture.png" in page
    assert operator.get("/images/1/picture.png").content.startswith(b"\x89PNG")
    (row,) = bench.ledger.images()
    assert operator.get("/images/1/file.dcm").content == bench.spool.read(row.image.digest)
    assert bench.audited[-1].event.meaning == "DICOM Instances Accessed"
    assert bench.browser("vera", Role.VIEWER).get("/images/1/file.dcm").status_code == 403
    assert operator.get("/images/9/picture.png").status_code == 404


def test_a_job_whose_views_are_frames_of_one_object_shows_each(
    bench: Bench, operator: Browser
) -> None:
    bench.node.destinations = (replace(PACS, form=Form.MULTIFRAME),)
    key = bench.done()
    page = operator.get(f"/jobs/{key}").text
    assert page.count("data-frame=") == 3
    pictures = {operator.get(f"/jobs/{key}/pictures/{w}.png").content for w in ("0-0", "0-1")}
    assert len(pictures) == 2
    assert all(each.startswith(b"\x89PNG") for each in pictures)
    assert operator.get(f"/jobs/{key}/pictures/0-2.png").status_code == 404


def test_viewers_see_no_identifier_of_a_patient_unless_configured(bench: Bench) -> None:
    key = bench.done(AccessionNumber="ACC-77")
    pages = (f"/jobs/{key}", "/jobs", "/images", "/images/1")
    masked = bench.browser("vera")
    for path in pages:
        text = masked.get(path).text
        assert "ACC-77" not in text
        assert "Test Patient" not in text
        assert "P1<" not in text
    # Nor by guessing it.
    for path in ("/jobs?accession=ACC-77", "/images?accession=ACC-77", "/jobs/live?accession=A"):
        assert masked.get(path).status_code == 403
    bench.access = replace(bench.access, viewers_see_patients=True)
    bench._app = None
    assert "ACC-77" in bench.browser("vera").get("/jobs?accession=ACC-77").text


def test_names_with_markup_are_text(bench: Bench, operator: Browser) -> None:
    key = bench.done(PatientName=NAME, AccessionNumber="<b>1</b>", StudyDescription="</dl><svg>")
    for path in (f"/jobs/{key}", "/jobs", "/images", "/images/1"):
        text = operator.get(path).text
        assert "<script>alert" not in text
        assert "onerror=alert(2)>" not in text or "&lt;img" in text
        assert "<b>1" not in text
        assert "</dl><svg>" not in text
    assert "&lt;b&gt;1" in operator.get("/jobs").text


@pytest.mark.parametrize(
    ("search", "numbers"),
    [
        (Search(), [3, 2, 1]),
        (Search(accession="B"), [2]),
        (Search(peer="MODALITY", route="chest"), [3, 2, 1]),
        (Search(peer="OTHER"), []),
        (Search(state="queued"), [3]),
        (Search(state="done", destination="pacs"), [2, 1]),
        (Search(destination="mirror"), []),
        (Search(text="1.2.826.0.1.3680043.8.498.2"), [2]),
        (Search(study="1.2.826.0.1.3680043.8.498.1000"), [3, 2, 1]),
        (Search(since=1e12), []),
        (Search(until=1.0), []),
    ],
)
def test_jobs_are_found_by_what_they_are(bench: Bench, search: Search, numbers: list[int]) -> None:
    for number, accession in ((1, "A"), (2, "B")):
        bench.done(number, AccessionNumber=accession)
    bench.receive(3, AccessionNumber="C")
    bench.node.plan()
    assert [line.id for line in bench.ledger.console().find_jobs(search)] == numbers


def test_a_list_goes_on_from_page_to_page_and_misses_nothing(bench: Bench, viewer: Browser) -> None:
    for number in range(1, 121):
        bench.receive(number)
    bench.node.plan()
    bench.node.plan()
    path, seen = "/jobs?state=queued", []
    while path:
        text = viewer.get(path).text
        seen += re.findall(r'class="mono" href="/jobs/([0-9a-f]{64})"', text)
        found = re.search(r'href="([^"]+)" rel="next"', text)
        path = found[1].replace("&amp;", "&") if found else ""
    assert len(seen) == len(set(seen)) == 120


def test_a_job_that_waits_is_cancelled_after_a_question(bench: Bench, operator: Browser) -> None:
    bench.receive()
    bench.node.plan()
    key = bench.ledger.jobs()[0].job.key
    question = operator.get(f"/jobs/{key}/cancel/confirm").text
    assert "This cannot be undone" in question
    assert "autofocus>Leave it</a>" in question, "whoever hits Enter too early loses nothing"
    assert bench.ledger.jobs()[0].job.state is JobState.QUEUED, "a question does nothing"
    answer = operator.submit(f"/jobs/{key}/cancel")
    assert answer.status_code == 303
    assert bench.ledger.jobs()[0].job.state is JobState.CANCELLED
    assert "Job cancelled." in operator.get(f"/jobs/{key}").text
    assert told(bench.audited[-1]) == "Job cancelled"
    assert operator.submit(f"/jobs/{key}/cancel").status_code == 409


def test_a_done_job_is_sent_to_one_more_destination_once(bench: Bench, operator: Browser) -> None:
    key = bench.done()
    assert operator.submit(f"/jobs/{key}/send", destination="mirror").status_code == 303
    row = bench.ledger.job(key)
    assert row is not None
    assert [each.delivery.destination for each in row.deliveries] == ["pacs", "mirror"]
    assert row.deliveries[1].instances == 2
    assert operator.submit(f"/jobs/{key}/send", destination="mirror").status_code == 409
    assert operator.submit(f"/jobs/{key}/send", destination="nobody").status_code == 409


def test_other_views_are_a_job_of_their_own(bench: Bench, operator: Browser) -> None:
    key = bench.done()
    answer = operator.submit(f"/jobs/{key}/again", view_set="wide")
    assert answer.status_code == 303
    bench.node.run_to_rest()
    new = bench.ledger.jobs()[0].job
    assert answer.headers["location"] == f"/jobs/{new.key}"
    assert (new.state, len(new.order.views)) == (JobState.DONE, 2)
    assert operator.submit(f"/jobs/{key}/again", view_set="wide").status_code == 409
    assert operator.submit(f"/jobs/{key}/again", view_set="none").status_code == 409


def test_a_delivery_that_waits_for_later_is_tried_now(bench: Bench, operator: Browser) -> None:
    bench.receive()
    bench.node.plan()
    bench.node.synthesize()
    job = bench.ledger.jobs()[0]
    delivery = bench.ledger.lease_delivery("pacs", bench.clock(), 60.0)
    assert delivery is not None
    bench.ledger.fail_delivery(delivery, "away", retry_at=bench.clock() + 900, now=bench.clock())
    assert operator.submit(f"/jobs/{job.job.key}/retry").status_code == 303
    assert bench.ledger.lease_delivery("pacs", bench.clock(), 60.0) is not None
    assert operator.submit(f"/jobs/{job.job.key}/retry").status_code == 409


def test_all_quarantined_images_of_one_reason_are_released_together(
    bench: Bench, operator: Browser
) -> None:
    for number in (1, 2, 3):
        bench.receive(number, ViewPosition="LL")
    bench.node.plan()
    page = operator.get("/quarantine").text
    assert "View Position is neither PA nor AP" in page
    question = operator.get("/quarantine/confirm?kind=images&deed=cancel&reason=View").text
    assert "Cancel 3 images?" in question
    form = {"kind": "images", "deed": "cancel", "reason": "View Position"}
    assert operator.submit("/quarantine", **form).status_code == 303
    assert {image.state for image in bench.ledger.images()} == {"cancelled"}
    assert told(bench.audited[-1]) == "3 images cancelled"
    assert operator.submit("/quarantine", **form).status_code == 422


def test_viewers_can_do_nothing(bench: Bench, viewer: Browser) -> None:
    key = bench.done()
    before = bench.ledger.jobs()
    audited = len(bench.audited)
    for path, fields in (
        (f"/jobs/{key}/release", {}),
        (f"/jobs/{key}/cancel", {}),
        (f"/jobs/{key}/retry", {}),
        (f"/jobs/{key}/send", {"destination": "mirror"}),
        (f"/jobs/{key}/again", {"view_set": "wide"}),
        ("/quarantine", {"kind": "images", "deed": "cancel"}),
        ("/images/1/cancel", {}),
        ("/destinations/pacs/retry", {}),
    ):
        assert viewer.submit(path, **fields).status_code == 403, path
    assert bench.ledger.jobs() == before
    assert len(bench.audited) == audited


def test_today_says_that_all_is_well_and_what_is_not(bench: Bench, viewer: Browser) -> None:
    assert "All is well" in viewer.get("/").text
    bench.receive(1, ViewPosition="LL")
    bench.node.plan()
    text = viewer.get("/today/live").text
    assert "In quarantine, waiting for a person: 1 image." in text
    assert 'href="/quarantine"' in text
    assert "<html" not in text
    bench.facts = FACTS.__class__(
        ae_title="SYNTH", version="1", min_free_bytes=2**62, destinations=FACTS.destinations
    )
    bench._app = None
    assert "The disk is too full" in bench.browser("vera").get("/").text


@pytest.mark.parametrize(
    ("deed", "words"),
    [
        ("release", "Release this job?"),
        ("cancel", "Cancel this job?"),
        ("retry", "Try again now?"),
        ("send", "Send to mirror too?"),
        ("again", "Synthesize again with wide?"),
    ],
)
def test_every_deed_of_a_job_asks_before_it_is_done(
    bench: Bench, operator: Browser, deed: str, words: str
) -> None:
    key = bench.done()
    answer = operator.get(f"/jobs/{key}/{deed}/confirm?destination=mirror&view_set=wide")
    assert answer.status_code == 200
    assert words in answer.text
