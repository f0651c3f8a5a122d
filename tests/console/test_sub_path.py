"""The console under a path of a host that others share: nothing of it leads beside the path."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from dicom_node.domain.accounts import Role
from dicom_node.domain.console import Access
from tests.console.browsing import chromium, needs_chromium, open_page, served
from tests.console.conftest import HASH, PASSWORD, Bench, Browser
from tests.console.proxying import proxied
from tests.console.routing import Desk, a_desk
from tests.services.test_queueing import FakeArchive, over

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Page

    from dicom_node.services.queueing import FetchQueue

ROOT = "/some/path"
LINKS = re.compile(r'\b(?:href|src|action|formaction|hx-get|hx-post)="([^"#]+)')


def under(bench: Bench, fetches: FetchQueue) -> None:
    bench.access = Access(root_path=ROOT)
    bench.more["fetches"] = fetches


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """One with an image in quarantine and a study that is fetched."""
    with a_desk(tmp_path) as made:
        bench = made.bench
        archive = FakeArchive()
        fetches = bench.fetches(archive)
        over(fetches, fetches.begin(bench.facts.destinations[0].name, "1.2.3", "otto").number)
        under(bench, fetches)
        yield made


def beside(text: str) -> list[str]:
    """Links of a page that lead beside the path."""
    found = [link for link in LINKS.findall(text) if not link.startswith(("data:", "?"))]
    return [each for each in found if each != ROOT and not each.startswith(f"{ROOT}/")]


def test_every_link_of_every_page_stays_under_the_path(desk: Desk) -> None:
    """Pages are found as a person finds them, from link to link."""
    bench = desk.bench
    key = bench.done()
    bench.receive(2, ViewPosition="LL")
    bench.node.plan()
    browser: Browser = bench.browser("ada", Role.ADMIN)
    waiting, seen = [f"{ROOT}/", f"{ROOT}/jobs/{key}", f"{ROOT}/nothing"], set[str]()
    kinds: dict[str, str] = {}
    while waiting and len(seen) < 150:
        path = waiting.pop(0)
        # Pages of one kind differ in numbers alone.
        kind = re.sub(r"[0-9a-f]{16,}|\d+", "N", path.partition("?")[0])
        if path in seen or kind in kinds:
            continue
        seen.add(path)
        kinds[kind] = path
        answer = browser.get(f"http://console.test{path}")
        location = answer.headers.get("location", "")
        assert not location or location.startswith(f"{ROOT}/"), (path, location)
        if "html" in answer.headers.get("content-type", ""):
            assert answer.status_code < 500, (path, answer.text[:500])
            assert beside(answer.text) == [], path
            links = [each.replace("&amp;", "&") for each in LINKS.findall(answer.text)]
            waiting += [each for each in links if each.startswith(ROOT) and "/logout" not in each]
    assert not waiting, "there are more kinds of pages than this looks at"
    for entry in ("/jobs", "/images", "/routes", "/peers", "/destinations", "/models", "/accounts"):
        assert f"{ROOT}{entry}" in kinds
    assert {f"{ROOT}/fetch/N", f"{ROOT}/jobs/N", f"{ROOT}/images/N", f"{ROOT}/tokens"} <= set(kinds)


@pytest.mark.parametrize("path", [ROOT, f"{ROOT}/", "/"])
def test_the_path_is_the_first_page_with_and_without_a_slash(bench: Bench, path: str) -> None:
    bench.access = Access(root_path=ROOT)
    answer = bench.browser().get(f"http://console.test{path}")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{ROOT}/login")
    if path.startswith(ROOT):
        ada = bench.browser("ada", Role.ADMIN)
        assert ada.get(f"http://console.test{path}").status_code == 200


@pytest.mark.parametrize("root", ["", ROOT])
def test_a_file_that_is_not_there_is_told_on_a_page_that_works(bench: Bench, root: str) -> None:
    bench.access = Access(root_path=root)
    answer = bench.browser().get("/static/nothing")
    assert answer.status_code == 404
    assert f'href="{root}/static/console.css' in answer.text


def test_cookies_are_for_the_path_alone(bench: Bench) -> None:
    bench.access = Access(root_path=ROOT)
    made = bench.browser("ada", Role.ADMIN)
    assert {cookie.path for cookie in made.cookies.jar} == {ROOT}


def log_in(page: Page) -> None:
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()


@needs_chromium
@pytest.mark.slow
@pytest.mark.parametrize("cuts", [True, False])
def test_a_browser_works_with_it_behind_a_proxy(desk: Desk, cuts: bool) -> None:
    bench = desk.bench
    bench.access = replace(bench.access, root_path=ROOT, trusted_proxies=("127.0.0.1",))
    bench.ledger.accounts().add_account("ada", Role.ADMIN, password_hash=HASH, now=bench.clock())
    key = bench.done()
    with (
        chromium() as browser,
        served(bench) as console,
        proxied(console, ROOT, cuts=cuts) as proxy,
    ):
        page = open_page(browser, proxy.address)
        # A deep link leads to the login and from there to where it pointed.
        page.goto(f"{ROOT}/jobs/{key}")
        page.wait_for_url(f"**{ROOT}/login**")
        log_in(page)
        page.wait_for_url(f"**{ROOT}/jobs/{key}")
        page.wait_for_function("document.querySelector('[data-stage]').naturalWidth > 0")
        page.get_by_label("Turn the patient").press("ArrowRight")
        page.wait_for_function("document.querySelector('[data-stage]').naturalWidth > 0")

        page.get_by_text("Downloads").click()
        for kind in ("DICOM", "PNG"):
            with page.expect_download() as download:
                page.get_by_role("link", name=kind, exact=True).first.click()
            assert download.value.path().stat().st_size > 500

        # A question comes as a dialog, and what it does leads back to a page with a notice.
        page.get_by_label("Send to").select_option("mirror")
        page.get_by_role("button", name="Send…").click()
        page.get_by_role("button", name="Send", exact=True).click()
        page.get_by_role("status").wait_for()
        assert page.url == f"{proxy.address}{ROOT}/jobs/{key}"

        for name in page.locator("nav a").all_inner_texts():
            page.get_by_role("link", name=name, exact=True).first.click()
            page.wait_for_load_state()
            assert page.url.startswith(f"{proxy.address}{ROOT}/"), name
            display = page.evaluate("getComputedStyle(document.querySelector('.bar')).display")
            assert display == "flex", "the style sheet came"

        # Live: an image that comes in is in the list without loading the page again.
        page.goto(f"{ROOT}/images")
        count = page.locator("tbody tr").count()
        assert count > 0
        bench.receive(7)
        page.locator("tbody tr").nth(count).wait_for()
        assert f"{ROOT}/images/live" in proxy.passed

        page.locator("summary", has_text="ada").click()
        page.get_by_role("button", name="Log out").click()
        page.wait_for_url(f"**{ROOT}/login")
        page.goto(ROOT)
        page.wait_for_url(f"**{ROOT}/login")
        assert proxy.strayed == []
        assert page.said == []  # type: ignore[attr-defined]
        page.context.close()
