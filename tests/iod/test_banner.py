"""The burned-in mark: there, legible, in the right polarity, and never on the anatomy."""

from __future__ import annotations

import numpy as np
import pytest

from dicom_node.iod.banner import MARK, add_banner, banner_rows, letter_masks, view_words
from dicom_node.iod.orientation import side_letters
from synthesis.types import View

VIEW = View(primary_deg=90)


def test_the_mark_says_what_it_must() -> None:
    assert MARK == "SYNTHETIC - NOT FOR DIAGNOSIS"
    assert view_words(View(primary_deg=30)) == "LAO 30  (+30 / 0 deg)"
    assert view_words(View(primary_deg=90, secondary_deg=-10)) == (
        "LEFT LATERAL CAUD 10  (+90 / -10 deg)"
    )


@pytest.mark.parametrize("size", [(256, 256), (512, 512), (320, 256), (128, 128), (2000, 1500)])
def test_strips_are_narrow_and_filled_with_whole_letters(size: tuple[int, int]) -> None:
    height, width = size
    rows = banner_rows(width, height)
    assert 8 <= rows <= 0.14 * height
    above, below = letter_masks(VIEW, width, height)
    for mask in (above, below):
        assert mask.shape == (rows, width)
        inked = mask > 0.5
        assert 0.03 < inked.mean() < 0.5
        # Nothing touches the strip's edge, so no letter is cut.
        assert not inked[0].any() and not inked[-1].any()
        assert not inked[:, 0].any() and not inked[:, -1].any()
    columns = np.flatnonzero((above > 0.5).any(axis=0))
    assert columns[-1] - columns[0] > 0.75 * width


@pytest.mark.parametrize(("black", "white"), [(0, 4095), (4095, 0), (30000, 200)])
def test_letters_are_white_on_black_in_either_polarity(black: int, white: int) -> None:
    image = np.full((256, 256), 1234, np.uint16)
    marked = add_banner(image, VIEW, black=black, white=white)
    rows = banner_rows(256, 256)
    np.testing.assert_array_equal(marked[rows:-rows], image)
    for strip in (marked[:rows], marked[-rows:]):
        assert strip[0, 0] == black
        assert white in strip
        assert np.median(strip) == black


def test_different_views_have_different_marks() -> None:
    masks = {
        letter_masks(View(primary_deg=p), 256, 256)[1].tobytes() for p in (-90, -60, -30, 30, 31)
    }
    assert len(masks) == 5


@pytest.mark.parametrize(
    ("primary", "sides"),
    [(0, ("R", "L")), (-90, ("P", "A")), (90, ("A", "P")), (-60, ("PR", "AL")), (180, ("R", "L"))],
)
def test_side_letters_stand_at_the_ends_of_the_strip_below(
    primary: float, sides: tuple[str, str]
) -> None:
    """A left lateral faces the left of the screen, a right one the right."""
    view = View(primary_deg=primary)
    assert side_letters(view) == sides
    below = letter_masks(view, 256, 256)[1] > 0.5
    inked = below.any(axis=0)
    # Letters at both ends, then nothing up to the words in the middle.
    for half in (inked[:128], inked[:127:-1]):
        (begins,) = np.nonzero(np.diff(half.astype(int)) == 1)
        gaps = np.diff(np.flatnonzero(half))
        assert begins[0] < 0.04 * 256
        assert gaps.max() > 0.03 * 256


def test_the_strip_below_reads_as_the_view_and_not_as_another() -> None:
    # Template matching against every other view's letters: the own ones must fit best.
    image = np.zeros((256, 256), np.uint16)
    views = [View(primary_deg=p) for p in (-90, -60, -30, 30, 60, 90)]
    for view in views:
        rows = banner_rows(256, 256)
        strip = add_banner(image, view, black=0, white=1000)[-rows:] / 1000.0
        errors = [np.abs(letter_masks(other, 256, 256)[1] - strip).mean() for other in views]
        assert views[int(np.argmin(errors))] == view
