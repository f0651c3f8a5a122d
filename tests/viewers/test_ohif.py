"""OHIF opens the study, and what is synthetic in it can be read beside what was exposed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dicom_node.domain.writing import Document, Form
from synthesis.types import View
from tests.acceptance.harness import wait_until
from tests.iod.objects import STUDY_UID
from tests.viewers import ohif, reading, study

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from tests.acceptance.harness import Orthanc
    from tests.viewers.reading import Desk

pytestmark = pytest.mark.slow  # not peer: what it needs of a machine may not be had in CI


@pytest.fixture(scope="module")
def desk(archive: Orthanc, browser: Browser) -> Iterator[Desk]:
    """The radiograph on the left, the Secondary Captures on the right."""
    try:
        page = ohif.package()
    except ohif.UnavailableError as reason:
        pytest.skip(str(reason))
    address = f"http://127.0.0.1:{archive.http_port}"
    with ohif.serving(page, address) as url, reading.desk(browser, url, STUDY_UID) as made:
        made.two_panes()
        made.hang(study.SERIES[Form.SC][1], 1)
        yield made


def test_the_synthetic_series_has_a_thumbnail_of_its_own_that_says_so(desk: Desk) -> None:
    radiograph, *synthetic = desk.thumbnails()
    assert "AI SYNTHETIC" not in radiograph
    assert all("AI SYNTHETIC" in words for words in synthetic)
    # A stack of all views; OHIF takes every DX image by itself.
    stacks = [words for words in synthetic if "S:9001" in words]
    assert len(stacks) == 1 and stacks[0].endswith(str(len(study.ANGLES)))
    assert len([words for words in synthetic if "S:9002" in words]) == len(study.ANGLES)
    assert len([words for words in synthetic if "S:9003" in words]) == 1
    assert "AI SYNTHETIC" in desk.words(1)


def test_what_goes_with_the_images_says_so_too(desk: Desk) -> None:
    """Report, presentation state and key objects: listed without a picture, under their words."""
    found = desk.others()
    assert len(found) == len(Document)
    assert all("AI SYNTHETIC" in words for words in found)


def test_both_have_the_same_look_at_first_sight(desk: Desk) -> None:
    """The same stored values are the same grey on the screen."""
    left, right = desk.words(0), desk.words(1)
    for words in (left, right):
        assert "W: 4096" in words and "L: 2048" in words
    for index in (0, 1):
        picture = desk.seen(index)
        height, width = picture.shape
        bright = picture[height // 8 : height // 4, width * 5 // 8 : width * 7 // 8].mean()
        grey = picture[height * 3 // 4 :, width // 8 : width * 3 // 8].mean()
        assert bright == pytest.approx(255 * study.BRIGHT / study.TOP, abs=12)
        assert grey == pytest.approx(255 * study.GREY / study.TOP, abs=12)


def test_the_patients_left_is_on_the_right_of_both(desk: Desk) -> None:
    for index in (0, 1):
        picture = desk.seen(index).astype(float)
        upper, middle = picture[: picture.shape[0] // 4], picture.shape[1] // 2
        assert upper[:, middle + 20 :].mean() > upper[:, : middle - 20].mean() + 60


def test_the_wheel_turns_the_patient_in_order_of_angle(desk: Desk) -> None:
    assert desk.instance(1) == 1
    for number in range(2, len(study.ANGLES) + 1):
        desk.turn(1)
        wait_until(
            lambda wanted=number: desk.instance(1) == wanted, reading.WAIT_S, f"view {number}"
        )


def test_views_in_one_object_turn_and_play(desk: Desk) -> None:
    desk.hang(study.SERIES[Form.MULTIFRAME][1], 1)
    assert "AI SYNTHETIC" in desk.words(1)
    for number in range(2, len(study.ANGLES) + 1):
        desk.turn(1)
        wait_until(lambda wanted=number: desk.place(1) == wanted, reading.WAIT_S, f"frame {number}")
    seen: set[int] = set()
    desk.play_or_pause(1)
    wait_until(lambda: seen.add(desk.place(1)) or len(seen) > 2, reading.WAIT_S, "frames that play")
    desk.play_or_pause(1)


def test_lengths_in_secondary_captures_are_those_in_the_patient(desk: Desk) -> None:
    """Viewers call them plain millimetres, so they are shorter than those at the detector."""
    desk.hang(study.SERIES[Form.SC][1], 1)
    at_detector_mm, in_patient_mm = desk.length(0, "mm Proj"), desk.length(1, "mm")
    factor = View(primary_deg=0).magnification  # both panes are as wide as the same field
    assert in_patient_mm == pytest.approx(at_detector_mm / factor, rel=0.02)


def test_lengths_in_dx_are_called_those_of_a_projection(desk: Desk) -> None:
    """As in the radiograph: millimetres at the detector, not in the patient."""
    desk.hang(study.SERIES[Form.DX][1], 1)
    for index in (0, 1):
        assert desk.length(index, "mm Proj") > 0
