"""What people do in a browser: put a bad morning right, turn a patient, be attacked."""

from __future__ import annotations

import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from dicom_node.console.parts import Part
from dicom_node.domain.accounts import Role
from dicom_node.domain.errors import EngineError
from dicom_node.domain.jobs import JobState
from dicom_node.store import schema
from dicom_node.store.spool import FileSpool
from tests.console.browsing import chromium, logged_in, needs_chromium, open_page, served
from tests.console.conftest import FACTS, Bench
from tests.console.crowd import copies
from tests.fakes.clock import ManualClock
from tests.fakes.database import fresh_ledger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

pytestmark = [needs_chromium, pytest.mark.slow]

MARKUP = "<img src=x onerror=alert(1)>"
WELL = Part(name="destination pacs", words="answers", at=1.0)
AWAY = Part(name="destination pacs", problem="connection refused", at=1.0)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as made:
        yield made


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("console")
    clock, ledger = ManualClock(), fresh_ledger(folder)
    yield Bench(ledger=ledger, spool=FileSpool(folder / "spool", clock=clock), clock=clock)
    ledger.close()


@pytest.fixture(scope="module")
def health(bench: Bench) -> list[Part]:
    """How the node's parts are; a test changes it."""
    parts = [WELL]
    bench.more["health"] = lambda: tuple(parts)
    return parts


@pytest.fixture(scope="module")
def address(bench: Bench, health: list[Part]) -> Iterator[str]:
    with served(bench) as found:
        yield found


@pytest.fixture(scope="module")
def operator(browser: Browser, bench: Bench, address: str) -> Page:
    return logged_in(browser, bench, address, "otto", Role.OPERATOR)


def verdict(page: Page, words: str) -> None:
    """Today says so, of itself and without being loaded again."""
    page.get_by_role("heading", name=words).wait_for()


def confirm(page: Page, verb: str) -> None:
    page.locator("dialog[open]").get_by_role("button", name=verb).click()
    page.get_by_role("status").wait_for()


def test_a_bad_morning_is_seen_understood_and_put_right(
    bench: Bench, health: list[Part], operator: Page
) -> None:
    page, node = operator, bench.node
    verdict(page, "All is well")

    # A destination goes down with work on the way, a rule takes laterals, one image poisons the
    # engine, and 500 jobs wait.
    node.archive.down, health[:] = True, [AWAY]
    bench.receive(1)
    node.plan(), node.synthesize(), node.deliver()
    for number in (2, 3, 4):
        bench.receive(number, ViewPosition="LL")
    node.plan()
    bench.receive(5)
    node.plan()
    node.engine.failures = [EngineError("the engine ended with signal 9 while it had this job")] * 9
    while bench.ledger.jobs()[0].job.state is not JobState.QUARANTINED:
        node.synthesize()
        bench.clock.now += 500
    node.engine.failures = []
    poisoned = bench.ledger.jobs()[0].job.key
    copies(bench, poisoned, 500)

    # One glance, without loading the page again.
    verdict(page, "Something is wrong")
    trouble = page.locator(".verdict")
    trouble.get_by_text("Destination pacs does not answer: connection refused").wait_for()
    trouble.get_by_text("Waiting for the engine: 500 jobs").wait_for()
    trouble.get_by_text("waiting for a person: 3 images, 1 job.").wait_for()

    # Understand: the reasons, and the job that ended the engine.
    trouble.get_by_role("link", name="Reasons").click()
    page.get_by_text("View Position is neither PA nor AP").wait_for()
    row = page.get_by_role("row").filter(has_text="signal 9")
    row.get_by_role("link", name="1 job", exact=True).click()
    page.get_by_role("link", name=poisoned[:12]).click()
    page.get_by_role("heading", name="What happened").wait_for()
    page.get_by_text("gave up").wait_for()

    # Put right: the poisoned job is cancelled, after a question that the keyboard can answer.
    page.get_by_role("link", name="Cancel").click()
    page.locator("dialog[open]").wait_for()
    page.keyboard.press("Escape")
    assert bench.ledger.job(poisoned).job.state is JobState.QUARANTINED  # type: ignore[union-attr]
    page.get_by_role("link", name="Cancel").click()
    confirm(page, "Cancel the job")
    assert page.get_by_role("status").inner_text() == "Job cancelled."

    # The laterals are given up together, by the reason they share.
    page.get_by_role("link", name="Quarantine", exact=True).click()
    page.get_by_role("row").filter(has_text="View Position").get_by_role(
        "link", name="Cancel"
    ).click()
    page.locator("dialog[open]").get_by_text("This cannot be undone").wait_for()
    confirm(page, "Cancel 3")
    page.get_by_text("Nothing is in quarantine.").wait_for()

    # The destination is back: what waits for it goes now, and not in a quarter of an hour.
    node.archive.down, health[:] = False, [WELL]
    page.get_by_role("link", name="Today", exact=True).click()
    page.get_by_role("button", name="Try now").click()
    page.get_by_role("status").wait_for()
    assert node.deliver(), "it is due"
    clear(bench)
    verdict(page, "All is well")
    assert page.said == []  # type: ignore[attr-defined]


def test_a_disk_that_fills_is_told_with_what_to_do(
    browser: Browser, bench: Bench, health: list[Part]
) -> None:
    full = replace(bench, facts=replace(FACTS, min_free_bytes=2**60), _app=None, _node=None)
    with served(full) as address:
        page = logged_in(browser, bench, address, "vera", Role.VIEWER)
        verdict(page, "Something is wrong")
        page.get_by_text("The disk is too full").wait_for()
        assert page.get_by_text("Free space on the data folder's disk").is_visible()
        page.context.close()


def test_the_patient_is_turned_with_the_keyboard(bench: Bench, operator: Page) -> None:
    key = bench.done(20)
    page = operator
    page.goto(f"/jobs/{key}")
    stage, mark = page.locator("[data-stage]"), page.locator("[data-synthetic]")
    assert stage.get_attribute("alt") == "source"
    assert mark.is_hidden()
    page.get_by_label("Turn the patient").focus()
    seen = []
    for press in ("ArrowRight", "ArrowLeft", "ArrowLeft"):
        page.keyboard.press(press)
        seen.append((stage.get_attribute("alt"), mark.is_visible()))
    assert [synthetic for _, synthetic in seen] == [True, False, True]
    assert len({name for name, _ in seen}) == 3
    page.wait_for_function("document.querySelector('[data-stage]').naturalWidth > 0")
    assert page.said == []  # type: ignore[attr-defined]


def test_a_job_that_is_looked_at_shows_its_views_when_they_are_made(
    bench: Bench, operator: Page
) -> None:
    bench.receive(25)
    bench.node.plan()
    key = bench.ledger.jobs()[0].job.key
    page = operator
    page.goto(f"/jobs/{key}")
    page.evaluate("window.same = true")
    page.get_by_role("link", name="Cancel").click()
    page.get_by_role("dialog", name="Cancel this job?").wait_for()
    bench.node.run_to_rest()
    page.locator("#job-head").get_by_text("done", exact=True).wait_for()
    assert page.locator("dialog[open]").is_visible(), "what somebody is at stays"
    page.keyboard.press("Escape")
    page.get_by_label("Turn the patient").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("[data-stage]").get_attribute("alt") != "source"
    assert page.locator("[data-frame][aria-current='true']").count() == 1
    assert page.evaluate("window.same"), "the page was not loaded again"
    assert page.said == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_a_phone(browser: Browser, bench: Bench, address: str, scheme: str) -> None:
    key = bench.done(21)
    phone: Any = {"viewport": {"width": 360, "height": 740}, "color_scheme": scheme}
    page = logged_in(browser, bench, address, "ada", Role.ADMIN, **phone)
    for path in ("/", "/jobs", "/images", f"/jobs/{key}", "/quarantine", "/accounts", "/tokens"):
        page.goto(path)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 360, f"{path} is {width} wide"
    page.context.close()


def test_markup_in_names_does_nothing(browser: Browser, bench: Bench, address: str) -> None:
    changes = {
        "PatientName": f"X^{MARKUP}",
        "PatientID": "'\"><script>alert(2)</script>",
        "AccessionNumber": "<svg/onload=a()>",
        "StudyDescription": "</dd></dl><script>alert(3)</script>",
        "BodyPartExamined": "<B>CHEST</B>",
    }
    key = bench.done(22, **changes)
    page = logged_in(browser, bench, address, "ada", Role.ADMIN)
    number = bench.ledger.console().record_of(key).image.id  # type: ignore[union-attr]
    for path in (f"/jobs/{key}", f"/images/{number}", "/jobs", "/images", f"/jobs?text={MARKUP}"):
        page.goto(path)
        assert page.locator("main script, main svg[onload], main img[src=x]").count() == 0
    page.goto(f"/jobs/{key}")
    assert page.get_by_text(MARKUP).is_visible(), "it is shown as it is"
    assert page.said == [], "neither a script ran nor was one kept from it"  # type: ignore[attr-defined]
    page.context.close()


def test_a_page_of_another_site_changes_nothing(
    browser: Browser, bench: Bench, address: str
) -> None:
    bench.receive(23)
    bench.node.plan()
    key = bench.ledger.jobs()[0].job.key
    page = logged_in(browser, bench, address, "ada", Role.ADMIN)
    form = (
        f'<form method=post action="{address}/jobs/{key}/cancel"><input name=csrf value=x></form>'
        "<script>document.forms[0].submit()</script>"
    )
    for host in ("localhost", "127.0.0.1"):  # another site, and another port of the same one
        with (
            _site(form, host) as evil,
            page.expect_response(lambda answer: answer.request.method == "POST") as answered,
        ):
            page.goto(evil)
        assert answered.value.status in (303, 403), "to the login, or nowhere"
    assert bench.ledger.job(key).job.state is JobState.QUEUED  # type: ignore[union-attr]
    page.context.close()


def test_a_phone_shows_where_one_is(browser: Browser, bench: Bench, address: str) -> None:
    size = {"width": 390, "height": 844}
    page = logged_in(browser, bench, address, "ada", Role.ADMIN, viewport=size)
    page.goto("/tokens")
    here = page.locator("nav [aria-current]")
    page.wait_for_function(
        "() => document.querySelector('nav [aria-current]').getBoundingClientRect().right <= 390"
    )
    assert here.inner_text() == "API"
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.context.close()


def test_no_other_page_frames_the_console(browser: Browser, bench: Bench, address: str) -> None:
    page = open_page(browser, address)
    with _site(f'<iframe src="{address}/login"></iframe>', "127.0.0.1") as evil:
        page.goto(evil)
        page.wait_for_function("() => document.querySelector('iframe') !== null")
        assert "Log in" not in page.frames[-1].content()
    page.context.close()


def test_the_first_page_is_small_with_ten_thousand_jobs(
    browser: Browser, bench: Bench, address: str
) -> None:
    copies(bench, bench.done(24), 10_000, state="done")
    page = logged_in(browser, bench, address, "ada", Role.ADMIN)
    for path in ("/", "/jobs"):
        page.context.clear_cookies(name="none")
        page.goto(path)
        # encodedBodySize is of what came over the wire or out of the cache: the whole page.
        total = page.evaluate(
            "[...performance.getEntriesByType('navigation'), "
            "...performance.getEntriesByType('resource')]"
            ".reduce((sum, each) => sum + each.encodedBodySize, 0)"
        )
        assert 1_000 < total < 100_000, f"{path} took {total} bytes"
    assert len(page.locator("tbody tr").all()) == 50
    page.context.close()


def clear(bench: Bench) -> None:
    """Whatever still waits is given up."""
    import sqlalchemy as sa

    with bench.ledger._database.write() as connection:
        connection.execute(
            sa.update(schema.jobs).where(schema.jobs.c.state == "queued").values(state="cancelled")
        )


class _site:
    """A page of somebody else."""

    def __init__(self, body: str, host: str) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("content-type", "text/html")
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self._address = f"http://{host}:{self._server.server_port}/"

    def __enter__(self) -> str:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self._address

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
