"""Orthanc's own viewer shows the series as one that turns."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from tests.acceptance.harness import wait_until
from tests.viewers import study
from tests.viewers.reading import WAIT_S

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from playwright.sync_api import Browser, Page

    from tests.acceptance.harness import Orthanc

pytestmark = pytest.mark.slow  # not peer: what it needs of a machine may not be had in CI


def seen(page: Page) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("L"))


def test_orthancs_viewer_shows_each_view_with_its_words(archive: Orthanc, browser: Browser) -> None:
    (series,) = (
        name
        for name in archive.get("series")
        if archive.get(f"series/{name}")["MainDicomTags"]["SeriesNumber"] == "9001"
    )
    page = browser.new_page(viewport={"width": 700, "height": 700})
    page.set_default_timeout(WAIT_S * 1000)
    page.goto(f"http://127.0.0.1:{archive.http_port}/web-viewer/app/viewer.html?series={series}")
    wait_until(lambda: (seen(page) > 40).mean() > 0.3, WAIT_S, "a picture")
    words = page.locator("body").inner_text()
    assert "AI SYNTHETIC" in words
    assert "4096/2048" in words  # the window of the radiograph
    pictures = [seen(page)[150:550, 150:550].astype(float)]
    assert pictures[0][:150, 250:].mean() > pictures[0][:150, :150].mean() + 60
    below = [seen(page)[600:, :].copy()]
    page.mouse.move(350, 350)
    for _ in study.ANGLES[1:]:
        page.mouse.wheel(0, 100)
        wait_until(
            lambda: np.abs(seen(page)[600:, :].astype(float) - below[-1]).max() > 100,
            WAIT_S,
            "the next view",
        )
        below.append(seen(page)[600:, :].copy())
    assert len({picture.tobytes() for picture in below}) == len(study.ANGLES)
    page.close()
