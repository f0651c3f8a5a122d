"""A bad morning: what is wrong is seen on the first page, understood, and put right by clicking.

Over night a destination went away, a rule lost a term, the disk filled up, one image makes the
engine hang whenever it is tried, and five hundred jobs wait behind it.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from dicom_node.domain.accounts import Role
from dicom_node.store import schema
from tests.acceptance.harness import Node, Orthanc, configuration, storescu, wait_until
from tests.acceptance.people import account
from tests.acceptance.radiographs import copy_of
from tests.console.browsing import (
    SHOTS,
    chromium,
    complaints,
    log_in,
    needs_chromium,
    open_page,
    shot,
)
from tests.network.objects import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from playwright.sync_api import Locator, Page

pytestmark = [pytest.mark.peer, pytest.mark.slow, needs_chromium]

RIGGED = ("-m", "tests.acceptance.rigged", "serve", "--worker", "tests.acceptance.poison")
MIB = 1 << 20
WAITING = 500
CHESTS = 4


def configure(values: dict[str, Any], disk: Path) -> dict[str, Any]:
    """Chests first, then the image that the engine cannot stand, then a batch of research."""
    values["node"]["data_dir"] = str(disk / "data")
    values["console"] = {"enabled": True, "port": 0}
    values["retention"]["min_free_bytes"] = 24 * MIB
    values["engine"]["deadline_s"] = 40 if SHOTS else 20  # pictures take their time
    values["destinations"][0]["retry"] = {"first_s": 900, "max_s": 900, "attempts": 50}
    values["models"]["hang"] = values["models"]["chest"]
    values["view_sets"] = {"lateral": {"views": [{"primary_deg": 90}]}}
    (chest,) = values["routes"]
    chest["when"]["all"].pop()  # somebody took View Position out of it
    made = {"model": "chest", "views": "lateral", "steps": 1}

    def described(name: str, priority: int, **more: str) -> dict[str, Any]:
        return chest | {
            "name": name,
            "when": {"attribute": "StudyDescription", "equals": name},
            "synthesize": made | more,
            "priority": priority,
        }

    values["routes"] = [
        described("research", 1),
        described("phantom", 8, model="hang"),
        chest | {"synthesize": made, "priority": 9},
    ]
    return values


@pytest.fixture
def site(tmp_path: Path, small_disk: Path, weights: Path) -> Iterator[tuple[Node, Orthanc]]:
    port = free_port()
    archive = Orthanc(tmp_path / "orthanc", node_port=port)
    values = configuration(port=port, archive_port=archive.dicom_port, weights=weights)
    node = Node(tmp_path, configure(values, small_disk))
    yield node, archive
    node.kill()
    archive.stop()


def write(folder: Path, description: str, view: str = "PA") -> Path:
    image = copy_of("RG1_UNCR.dcm", every=16)
    image.StudyDescription, image.ViewPosition = description, view
    image.save_as(path := folder / f"{image.SOPInstanceUID}.dcm")
    return path


def pile_up(node: Node, route: str) -> None:
    """Jobs of an hour ago like the one of this route, which is done, behind the node's back."""
    images, jobs = schema.images, schema.jobs
    with node.ledger(write=True) as ledger:
        query = sa.select(jobs).join(images).where(images.c.route == route)
        job = dict(ledger.execute(query).mappings().one())
        del job["id"]
        fresh = {"state": "queued", "attempts": 0, "created_at": job["created_at"] - 3600}
        ledger.execute(
            sa.insert(jobs),
            [job | fresh | {"key": f"{number:064x}"} for number in range(WAITING)],
        )


def over_night(node: Node, folder: Path, disk: Path) -> None:
    """All of it happens."""
    images = [write(folder, "research"), *(write(folder, "CHEST") for _ in range(CHESTS))]
    images += [write(folder, "CHEST", view="LL") for _ in range(3)]
    assert storescu(node.port, *images) == 0
    wait_until(lambda: states(node) == {"done": CHESTS + 1}, 60, "the views of what came")
    assert [image["state"] for image in node.images()].count("quarantined") == 3
    assert storescu(node.port, write(folder, "phantom")) == 0
    wait_until(lambda: "running" in states(node), 30, "the engine hangs")
    pile_up(node, "research")
    (disk / "something-else").write_bytes(bytes(46 * MIB))


def states(node: Node, route: str = "") -> dict[str, int]:
    """How many jobs are how, of one route or of all."""
    found = node.rows(
        "SELECT jobs.state, count(*) FROM jobs JOIN images ON images.id = jobs.image_id "
        "WHERE :route IN ('', images.route) GROUP BY jobs.state",
        route=route,
    )
    return dict(found)  # type: ignore[arg-type]


def trouble(page: Page, words: str) -> Locator:
    """The line of the first page that says so; it comes by itself."""
    found = page.locator(".verdict li", has_text=re.compile(words))
    deadline = time.monotonic() + 90
    while not found.count():
        assert time.monotonic() < deadline, page.locator(".verdict").inner_text()
        page.wait_for_timeout(200)
    return found


def confirm(page: Page, verb: str) -> str:
    """Answer the question that was opened, and what is said of it."""
    page.locator("dialog[open]").get_by_role("button", name=re.compile(verb)).click()
    notice = page.get_by_role("status")
    notice.wait_for()
    return notice.inner_text()


def today(page: Page) -> None:
    page.get_by_role("link", name="Today", exact=True).click()
    page.wait_for_selector("#today")


def test_five_troubles_are_seen_understood_and_put_right(
    site: tuple[Node, Orthanc], tmp_path: Path, small_disk: Path
) -> None:
    node, archive = site
    node.start(RIGGED, within_s=60)
    account(node, "ada", Role.ADMIN)
    with chromium() as browser:
        over_night(node, tmp_path, small_disk)
        page = log_in(open_page(browser, f"http://127.0.0.1:{node.console_port}"), "ada")

        # One glance: what is wrong, each with what to do and where.
        page.get_by_role("heading", name="Something is wrong").wait_for()
        poison = trouble(page, r"route phantom holds the others up: it failed \d times?.*deadline")
        disk = trouble(page, "The disk is too full")
        assert str(small_disk / "data") in disk.inner_text(), "it says which"
        trouble(page, r"Destination pacs does not answer.*Waiting for it: \d+ deliveries")
        trouble(page, "In quarantine, waiting for a person: 3 images")
        queue = trouble(page, r"Waiting for the engine: \d{3} jobs, the oldest for 6\d min")
        shot(page, "1-today")

        # The image that the engine hangs on: its job runs again at this moment.
        poison.get_by_role("link", name="That job").click()
        page.get_by_role("heading", name="What happened").wait_for()
        shot(page, "2-poison")
        page.get_by_role("link", name="Cancel", exact=True).click()
        assert confirm(page, "Cancel the job") == "Job cancelled."

        # Five hundred jobs that nobody needs this morning.
        today(page)
        queue.get_by_role("link", name="The queue").click()
        page.get_by_text("Route, sender, study, time").click()
        page.locator("select[name=route]").select_option("research")
        page.get_by_role("button", name="Search").click()
        shot(page, "3-queue")
        page.get_by_role("link", name="Cancel all of these").click()
        page.locator("dialog[open]").get_by_text("This cannot be undone").wait_for()
        shot(page, "4-cancel")
        assert re.fullmatch(r"\d{3} jobs cancelled\.", confirm(page, r"Cancel \d{3}"))

        # The rule: the reason leads to an image, the image to its route.
        today(page)
        trouble(page, "3 images").get_by_role("link", name="Reasons").click()
        reason = page.get_by_role("row").filter(has_text="View Position is neither PA nor AP")
        shot(page, "5-reasons")
        reason.get_by_role("link", name="3 images").click()
        page.locator("tbody a").first.click()
        page.get_by_role("heading", name="The terms that decided").wait_for()
        shot(page, "6-image")
        page.get_by_role("link", name="frontal-chest", exact=True).click()
        page.locator("#add-term-w").click()
        page.locator("#f-w-2-attribute:focus").wait_for()
        page.locator("#f-w-2-attribute").select_option("ViewPosition")
        page.locator("#f-w-2-kind").select_option("one_of")
        page.locator("#f-w-2-value").fill("PA, AP")
        page.get_by_role("button", name="Replay").click()
        page.get_by_text("3 would come out").wait_for()
        shot(page, "7-rule")
        page.get_by_role("button", name="Save and put in force").click()
        page.get_by_text("In force as version 2").wait_for()
        page.get_by_role("link", name="Quarantine", exact=True).click()
        reason.get_by_role("link", name="Release").click()
        assert confirm(page, "Release 3") == "3 images released."

        # The archive is started, and what waits for it need not wait for its time.
        archive.start()
        today(page)
        page.get_by_role("button", name="Try now").click()
        page.get_by_text("What waits for pacs is tried again now.").wait_for()

        # Somebody makes room, and the next chest comes.
        (small_disk / "something-else").unlink()
        wait_until(lambda: storescu(node.port, write(tmp_path, "CHEST")) == 0, 60, "it is taken")
        well, deadline = page.get_by_role("heading", name="All is well"), time.monotonic() + 120
        while not well.is_visible():
            assert time.monotonic() < deadline, page.locator(".verdict").inner_text()
            page.wait_for_timeout(200)
        shot(page, "8-well")
        assert complaints(page) == []
        page.context.close()
    assert states(node, "phantom") == {"cancelled": 1}
    chests = {"done": CHESTS + 1}
    wait_until(lambda: states(node, "frontal-chest") == chests, 60, "the next chest")
    research = states(node, "research")
    assert set(research) == {"done", "cancelled"}
    assert research["cancelled"] > WAITING - 50
    views = CHESTS + 1 + research["done"]
    wait_until(lambda: len(archive.synthetic()) == views, 60, "all views in the archive")
    assert [image["state"] for image in node.images()].count("ignored") == 3
