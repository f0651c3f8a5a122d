"""Makes the pictures of this folder: a real radiograph and its views in the viewers people have.

``python -m tests.viewers.pictures`` from the root of the checkout, in the environment of the
tests. It takes some minutes. Look at what it makes.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.acceptance.harness import wait_until
from tests.acceptance.radiographs import copy_of
from tests.viewers import ohif, reading
from tests.viewers.room import CHROMIUM, VIEWS, archive_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.acceptance.harness import Orthanc

HERE = Path(__file__).parent
COLOURS = 256


def keep(page: Page, name: str) -> None:
    """The page as a small PNG of this folder."""
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(COLOURS).save(HERE / f"{name}.png", optimize=True)


def in_ohif(browser: Browser, archive: Orthanc, study: str, series: dict[str, int]) -> None:
    address = f"http://127.0.0.1:{archive.http_port}"
    with ohif.serving(ohif.package(), address) as url, reading.desk(browser, url, study) as desk:
        desk.two_panes()
        desk.hang(series["OT"], 1)
        keep(desk.page, "ohif-right-lateral")
        for number in range(2, 9):
            desk.turn(1)
            wait_until(
                lambda wanted=number: desk.instance(1) == wanted, reading.WAIT_S, f"view {number}"
            )
        desk.page.wait_for_timeout(3000)  # until the picture follows the number
        keep(desk.page, "ohif-oblique")
        desk.hang(series["DX"], 1)
        for index in (0, 1):
            desk.length(index, "mm Proj")
        desk.refuse_tracking()
        keep(desk.page, "ohif-lengths")


def in_orthanc(browser: Browser, archive: Orthanc, name: str) -> None:
    page = browser.new_page(viewport={"width": 1100, "height": 700})
    page.goto(f"http://127.0.0.1:{archive.http_port}/web-viewer/app/viewer.html?series={name}")
    page.wait_for_timeout(10_000)
    page.mouse.move(550, 350)
    for _ in range(6):
        page.mouse.wheel(0, 100)
        page.wait_for_timeout(1500)
    keep(page, "orthanc-oblique")
    page.close()


def main() -> None:
    """Everything."""
    source = copy_of("RG1_UNCR.dcm", every=2)
    del source.PixelSpacing  # it says 0
    source.ImagerPixelSpacing = ["0.4", "0.4"]
    with (
        tempfile.TemporaryDirectory() as folder,
        archive_of(Path(folder), source, {"form": "sc"}, {}, objects=2 * VIEWS) as archive,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=[*CHROMIUM])
        found = {
            described["MainDicomTags"]["Modality"]: described
            for described in (archive.get(f"series/{name}") for name in archive.get("series"))
        }
        numbers = {key: int(each["MainDicomTags"]["SeriesNumber"]) for key, each in found.items()}
        in_orthanc(browser, archive, found["OT"]["ID"])
        in_ohif(browser, archive, str(source.StudyInstanceUID), numbers)
        browser.close()


if __name__ == "__main__":
    main()
