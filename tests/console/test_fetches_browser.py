"""An operator has a study fetched: a real browser, a real archive, the real queue between them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from dicom_node.domain.accounts import Role
from dicom_node.domain.routes import Destination
from dicom_node.network.choosing import archive_client
from tests.console.browsing import chromium, logged_in, needs_chromium, served
from tests.console.conftest import FACTS, Bench
from tests.fakes.radiographs import STUDY, radiograph
from tests.network.archives import OrthancWeb, orthanc
from tests.network.objects import free_port
from tests.services.test_queueing import fetching

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [needs_chromium, pytest.mark.peer, pytest.mark.slow]


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[OrthancWeb]:
    with orthanc(tmp_path / "orthanc", node_port=free_port()) as found:
        yield found


def test_a_study_of_the_archive_is_fetched_and_its_images_are_decided_about(
    bench: Bench, archive: OrthancWeb
) -> None:
    for number in (1, 2):
        archive.ask("instances", radiograph(number))
    away = Destination(name="away", ae_title="AWAY", host="127.0.0.1", port=free_port())
    there = replace(away, name="pacs", ae_title="ORTHANC", port=archive.dicom_port)
    bench.facts = replace(FACTS, destinations=(away, there))
    fetches = bench.fetches(archive_client("SYNTH", max_object_bytes=1 << 28))
    bench.more["fetches"] = fetches
    with chromium() as browser, served(bench) as address, fetching(fetches):
        page = logged_in(browser, bench, address, "otto", Role.OPERATOR)
        page.get_by_role("link", name="Fetch", exact=True).click()
        page.get_by_label("Study Instance UID").fill(STUDY)
        page.get_by_role("button", name="Fetch and synthesize").click()
        told = page.locator(".notice.bad")
        told.get_by_text(re.compile("away .*(cannot be reached|gave no association)")).wait_for()
        assert "ask it for an echo" in told.inner_text()

        page.get_by_role("link", name="Fetch again").click()
        assert page.get_by_label("Study Instance UID").input_value() == STUDY
        page.get_by_label("from").select_option("pacs")
        page.get_by_role("button", name="Fetch and synthesize").click()
        page.get_by_text("2 instances of 1 series arrived from pacs.").wait_for()
        bench.node.plan(), bench.node.plan()
        # By itself, without being loaded again: both were taken by the route.
        page.locator("tr", has_text="accepted").nth(1).wait_for()
        assert page.locator("tr", has_text="ORTHANC").count() == 2

        page.locator("tbody a").first.click()
        page.get_by_role("link", name="Synthesize from this study in the archive").click()
        assert page.get_by_label("Study Instance UID").input_value() == STUDY
        assert page.said == []  # type: ignore[attr-defined]
        page.set_viewport_size({"width": 360, "height": 740})
        for path in ("/fetch", "/fetch/2"):
            page.goto(path)
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= 360, f"{path} is {width} wide"
        page.context.close()
