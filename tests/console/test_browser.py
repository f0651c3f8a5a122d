"""What people do in a browser: turn a patient, watch a job, be attacked."""

from __future__ import annotations

import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from dicom_node.console.parts import Part
from dicom_node.domain.accounts import Role
from dicom_node.domain.jobs import JobState
from dicom_node.store.spool import FileSpool
from tests.console.browsing import chromium, logged_in, needs_chromium, open_page, served
from tests.console.conftest import FACTS, Bench
from tests.fakes.clock import ManualClock
from tests.fakes.database import fresh_ledger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

pytestmark = [needs_chromium, pytest.mark.slow]

MARKUP = "<img src=x onerror=alert(1)>"
WELL = Part(name="destination pacs", words="answers", at=1.0)


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
def address(bench: Bench) -> Iterator[str]:
    bench.more["health"] = lambda: (WELL,)
    with served(bench) as found:
        yield found


@pytest.fixture(scope="module")
def operator(browser: Browser, bench: Bench, address: str) -> Page:
    return logged_in(browser, bench, address, "otto", Role.OPERATOR)


def test_a_disk_that_fills_is_told_with_what_to_do(
    browser: Browser, bench: Bench, address: str
) -> None:
    full = replace(bench, facts=replace(FACTS, min_free_bytes=2**60), _app=None, _node=None)
    with served(full) as fuller:
        page = logged_in(browser, bench, fuller, "vera", Role.VIEWER)
        page.get_by_role("heading", name="Something is wrong").wait_for()
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
