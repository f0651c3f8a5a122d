"""What an administrator does about routes in a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dicom_node.domain.accounts import Role
from tests.console.browsing import (
    chromium,
    complaints,
    logged_in,
    needs_chromium,
    served,
    shot,
)
from tests.console.routing import Desk, a_desk
from tests.fakes.radiographs import radiograph

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Page

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with a_desk(tmp_path_factory.mktemp("routes")) as made:
        yield made


@pytest.fixture(scope="module")
def admin(desk: Desk) -> Iterator[Page]:
    with chromium() as browser, served(desk.bench) as address:
        yield logged_in(browser, desk.bench, address, "ada", Role.ADMIN)


def test_a_wrong_rule_is_found_tried_put_right_and_can_be_taken_back(
    desk: Desk, admin: Page, tmp_path: Path
) -> None:
    site = desk.site
    desk.receive(1)
    first = site.text
    page = admin
    page.get_by_role("link", name="Routes").click()
    page.get_by_text("Modality is CR or DX").wait_for()
    shot(page, "routes")

    # A file says why the second route does not take it.
    page.get_by_role("link", name="Try a file").click()
    page.wait_for_load_state()
    file = tmp_path / "chest.dcm"
    file.write_bytes(radiograph())
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_role("heading", name="Taken by chest").wait_for()
    row = page.get_by_role("row", name="when.all[0]")
    assert row.inner_text().split()[0] == "no"
    page.get_by_role("button", name="Show the views").click()
    page.get_by_alt_text("Synthetic view LEFT LATERAL").wait_for()
    assert page.get_by_alt_text("Synthetic view LEFT LATERAL").evaluate("e => e.naturalWidth") > 0
    shot(page, "try")

    # What is wrong stands beside the field before anything is saved.
    page.get_by_role("link", name="In order").click()
    page.get_by_role("link", name="Edit rest").click()
    value = page.locator("#f-w-1-0-value")
    value.fill("(")
    value.press("Tab")
    page.locator("#e-w-1-0", has_text="is no regular expression").wait_for()
    shot(page, "form-wrong")
    value.fill("CHEST")
    value.press("Tab")
    page.locator("#e-w-1-0:empty").wait_for(state="attached")

    # It grows by a term; its effect on what came is seen, then it is saved.
    page.locator("#add-term-w").click()
    page.locator("#f-w-2-attribute:focus").wait_for()
    page.locator("#f-w-2-attribute").select_option("ViewPosition")
    page.locator("#f-w-2-kind").select_option("one_of")
    page.locator("#f-w-2-value").fill("PA, AP")
    page.locator("#f-w-0-value").fill("CR")
    page.get_by_label("Switched on").check()
    page.get_by_role("button", name="Replay").click()
    page.get_by_text("all would come out the same").wait_for()
    shot(page, "form")
    page.get_by_role("button", name="Save and put in force").click()
    page.get_by_text("In force as version 2").wait_for()
    page.get_by_role("button", name="Try rest sooner").click()
    page.get_by_role("status").get_by_text("rest is tried first").wait_for()
    assert [each.name for each in site.node.rules.now.routes] == ["rest", "chest"]

    # Somebody edits the file: the open page says so by itself.
    site.write("ae_title: CT}", "ae_title: MR}")
    page.get_by_text("Somebody changed the file").wait_for()
    shot(page, "moved-on")

    # As text, a slip is told with its line; then all is taken back.
    page.get_by_role("link", name="As text").click()
    text = page.locator("#text")
    text.fill(site.text.replace("one_of: [CR, DX]", "one_off: [CR, DX]"))
    page.get_by_role("button", name="Check").click()
    page.get_by_text("unknown key: did you mean one_of?").wait_for()
    shot(page, "text-wrong")
    page.get_by_role("link", name="Versions").click()
    page.get_by_role("link", name="1", exact=True).click()
    page.get_by_role("link", name="Go back to it").click()
    page.locator("dialog[open]").get_by_role("button", name="Go back to version 1").click()
    page.get_by_role("status").get_by_text("Back to version 1").wait_for()
    assert site.text == first
    page.get_by_role("link", name="Versions").click()
    shot(page, "versions")
    page.get_by_role("link", name="2", exact=True).click()
    page.get_by_role("heading", name="From version 1 to version 2").wait_for()
    shot(page, "version")
    assert complaints(page) == []


def test_a_conflict_is_settled_in_the_browser(desk: Desk, admin: Page) -> None:
    site, page = desk.site, admin
    page.goto("/routes/edit/chest")
    page.locator("#f-w-0-value").fill("CR")
    site.write("[CR, DX]", "[DX]")
    page.get_by_role("button", name="Save and put in force").click()
    page.get_by_role("heading", name="The file has changed meanwhile").wait_for()
    shot(page, "conflict")
    text = page.locator("#text")
    kept = [
        line
        for line in text.input_value().splitlines(keepends=True)
        if not line.startswith(("<<<<<<<", "=======", ">>>>>>>")) and "[DX]}" not in line
    ]
    text.fill("".join(kept))
    page.get_by_role("button", name="Save both").click()
    page.get_by_text("In force as version").wait_for()
    assert "one_of: [CR]}" in site.text
    assert complaints(page, but=("409",)) == []


@pytest.mark.parametrize("path", ["/routes", "/routes/edit/rest", "/routes/try", "/routes/text"])
def test_on_a_phone_nothing_is_wider_than_the_page(admin: Page, path: str) -> None:
    admin.set_viewport_size({"width": 390, "height": 800})
    try:
        admin.goto(path)
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert admin.evaluate(wide) <= 0
        shot(admin, f"phone{path.replace('/', '-')}")
    finally:
        admin.set_viewport_size({"width": 1280, "height": 720})
