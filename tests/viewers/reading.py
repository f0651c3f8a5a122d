"""OHIF as a radiologist uses it: thumbnails, two panes, the wheel, the ruler."""

from __future__ import annotations

import io
import re
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from tests.acceptance.harness import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from playwright.sync_api import Browser, Locator, Page

WAIT_S: Final = 180
"""A page of 60 MB of scripts and software rendering, on a machine that does other things."""

_DRAWN_WITHIN_S: Final = 10

_SETTLED_MS: Final = 1000

_NO_TOUR: Final = "localStorage.setItem('shownTours', '[\"basicViewerTour\"]')"


class Desk:
    """OHIF with a study open: the first series in the left pane, the right one empty."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def thumbnails(self) -> list[str]:
        """What is written below each, in order."""
        found = self.page.locator('[data-cy="study-browser-thumbnail"]')
        return [" ".join(text.split()) for text in found.all_inner_texts()]

    def others(self) -> list[str]:
        """What is written of series without a picture, in order."""
        found = self.page.locator('[data-cy="study-browser-thumbnail-no-image"]')
        return [" ".join(text.split()) for text in found.all_inner_texts()]

    def pane(self, index: int) -> Locator:
        return self.page.locator('[data-cy="viewport-pane"]').nth(index)

    def words(self, index: int) -> str:
        """What the viewer writes over a pane."""
        return " ".join(self.pane(index).inner_text().split())

    def two_panes(self) -> None:
        self.page.locator('[data-cy="Layout"]').click()
        self.page.locator('[data-cy="Layout-1-0"]').click()
        self.pane(1).wait_for()

    def choose(self, index: int) -> None:
        """Click into a pane.

        OHIF loses what is pressed within 400 ms after a click, which might become a double click,
        unless the mouse has moved in the pane in between.
        """
        self.pane(index).click()
        box = self.pane(index).bounding_box()
        assert box is not None
        self.page.mouse.move(box["x"] + box["width"] / 2 + 10, box["y"] + box["height"] / 2)

    def hang(self, series: int, index: int) -> None:
        """The first thumbnail of a series number into a pane."""
        self.choose(index)
        shown = self.page.locator('[data-cy="study-browser-thumbnail"]')
        shown.filter(has_text=f"S:{series}").first.dblclick()
        wait_until(lambda: self.lit(index), WAIT_S, f"series {series} in pane {index}")

    def lit(self, index: int) -> bool:
        """Whether there is a picture, by the light in it."""
        return bool((self.seen(index) > 40).mean() > 0.3)

    def seen(self, index: int) -> NDArray[np.uint8]:
        """The middle of a pane as it is on the screen, in grey, without its written rim."""
        box = self.pane(index).bounding_box()
        assert box is not None
        clip = {
            "x": box["x"] + box["width"] * 0.1,
            "y": box["y"] + box["height"] * 0.25,
            "width": box["width"] * 0.8,
            "height": box["height"] * 0.5,
        }
        picture = self.page.screenshot(clip=clip)  # type: ignore[arg-type]
        return np.asarray(Image.open(io.BytesIO(picture)).convert("L"))

    def turn(self, index: int) -> None:
        """One notch of the wheel over a pane."""
        box = self.pane(index).bounding_box()
        assert box is not None
        self.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        self.page.mouse.wheel(0, 100)

    def place(self, index: int) -> int:
        """Which of its images or frames a pane says it shows, from 1."""
        found = re.search(r"\((\d+)/\d+\)", self.words(index))
        return int(found[1]) if found else 0

    def play_or_pause(self, index: int) -> None:
        """The button of the player that OHIF shows over Secondary Captures."""
        self.pane(index).locator('[data-cy="cine-player-play-pause"]').click()

    def instance(self, index: int) -> int:
        """Number of the image that a pane says it shows."""
        found = re.search(r"I: ?(\d+)", self.words(index))
        return int(found[1]) if found else 0

    def length(self, index: int, unit: str) -> float:
        """What the ruler says of a line across a pane, when it says so in this unit.

        The line is drawn anew until it is there: OHIF loses one that comes while a series does,
        and takes a mere click for one of no length.
        """

        def read() -> float:
            texts = self.pane(index).locator("svg text").all_text_contents()
            found = (re.fullmatch(rf"([\d.]+) {unit}", text.strip()) for text in texts)
            return max((float(each[1]) for each in found if each), default=0.0)

        def drawn() -> float:
            self.refuse_tracking()
            self._draw(index)
            with suppress(AssertionError):
                wait_until(read, _DRAWN_WITHIN_S, "a length")
                self.page.wait_for_timeout(_SETTLED_MS)  # it grows with the line
            return read()

        return float(wait_until(drawn, WAIT_S, f"a length in pane {index} in {unit}"))

    def _draw(self, index: int) -> None:
        box = self.pane(index).bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] * 0.35, box["y"] + box["height"] * 0.6
        # The first click into a pane only chooses it, so it is made with another tool.
        self.page.locator('[data-cy="WindowLevel-btn"]').click()
        self.choose(index)
        self.page.locator('[data-cy="MeasurementTools-split-button-primary"]').click()
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x + 80, y, steps=4)
        self.page.mouse.up()

    def refuse_tracking(self) -> None:
        """OHIF asks over the picture whether it shall keep measurements: no."""
        asked = self.page.get_by_role("button", name="No, do not ask again")
        if asked.count():
            asked.first.dispatch_event("click")
            asked.first.wait_for(state="detached")


@contextmanager
def desk(browser: Browser, url: str, study: str) -> Iterator[Desk]:
    """OHIF at an address with a study open."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(WAIT_S * 1000)
    page.add_init_script(_NO_TOUR)
    page.goto(f"{url}/viewer?StudyInstanceUIDs={study}", wait_until="commit")
    made = Desk(page)
    made.pane(0).wait_for()
    wait_until(lambda: made.lit(0), WAIT_S, "the first series on the screen")
    yield made
    page.close()
