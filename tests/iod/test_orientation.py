"""Patient Orientation against a table written by hand from the Standard.

PS3.3 C.7.6.1.1.1: the first value is the direction of the rows (to the right), the second that of
the columns (down); within a value the principal direction comes first, refinements after it.
C.8.7.5.1.2: primary + is towards LAO, secondary + is cranial, and they say where the detector is.
"""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from dicom_node.domain.errors import ImageError
from dicom_node.iod.anatomy import view_code, view_position
from dicom_node.iod.orientation import hanging, patient_orientation, screen_axes
from dicom_node.iod.reading import read_source
from synthesis.types import SeenFrom, View
from tests.iod.objects import chest, file_of, radiograph

D, T = SeenFrom.DETECTOR, SeenFrom.TUBE

BY_HAND = [
    # primary, secondary, seen from -> rows, columns.
    # PA as hung: one looks at the patient's face; the left hand is on the right of the screen.
    (0, 0, D, "L", "F"),
    # AP as hung: the detector is at the back, one looks from the tube, again at the face.
    (180, 0, T, "L", "F"),
    # AP seen from the detector: one looks at the back, the right hand is on the right.
    (180, 0, D, "R", "F"),
    # Left lateral: the detector is at the left side; from there the face is on the left of the
    # screen, so the rows run to the back.
    (90, 0, D, "P", "F"),
    # The same seen from the tube: the face is on the right.
    (90, 0, T, "A", "F"),
    # Right lateral: from the right side the face is on the right of the screen.
    (-90, 0, D, "A", "F"),
    # LAO: the detector left of the face; to the right lies the left, a little to the back.
    (30, 0, D, "LP", "F"),
    (60, 0, D, "PL", "F"),
    (45, 0, D, "LP", "F"),
    # RAO: to the right lies the left, a little to the front.
    (-30, 0, D, "LA", "F"),
    (-60, 0, D, "AL", "F"),
    # Behind the patient, seen from the tube in front.
    (150, 0, T, "LA", "F"),
    (-150, 0, T, "LP", "F"),
    # Cranial PA: one looks down at the face; the bottom of the screen is the feet, and of the feet
    # the front (toes) are nearer to the bottom.
    (0, 30, D, "L", "FA"),
    (0, -30, D, "L", "FP"),
    # From straight above: the bottom of the screen is the front.
    (0, 90, D, "L", "A"),
    # Left lateral, cranial: one looks down at the left side; the bottom is the feet and the left.
    (90, 20, D, "P", "FL"),
    (-90, 20, D, "A", "FR"),
    # Cranial AP as hung, from the tube, which is then caudal in front: one looks up at the face.
    (180, 20, T, "L", "FP"),
    # Double oblique: three letters.
    (30, 20, D, "LP", "FAL"),
    (-30, -20, D, "LA", "FPL"),
]


@pytest.mark.parametrize(("primary", "secondary", "side", "rows", "columns"), BY_HAND)
def test_the_letters_of_a_view_are_those_of_the_standard(
    primary: float, secondary: float, side: SeenFrom, rows: str, columns: str
) -> None:
    view = View(primary_deg=primary, secondary_deg=secondary, seen_from=side)
    assert patient_orientation(view) == (rows, columns)


def test_the_screen_is_right_handed_with_the_onlooker() -> None:
    # An independent derivation: looking x up = right, in LPS.
    rng = random.Random(4)
    for _ in range(200):
        p, s = math.radians(rng.uniform(-180, 180)), math.radians(rng.uniform(-85, 85))
        detector = np.array([math.sin(p) * math.cos(s), -math.cos(p) * math.cos(s), math.sin(s)])
        for side, looking in ((D, -detector), (T, detector)):
            view = View(primary_deg=math.degrees(p), secondary_deg=math.degrees(s), seen_from=side)
            right, down = (np.array(axis) for axis in screen_axes(view))
            np.testing.assert_allclose(np.cross(looking, -down), right, atol=1e-12)
            assert down[2] < 0  # head up
            assert abs(down @ detector) < 1e-12


def test_the_letters_agree_with_the_geometry_that_renders() -> None:
    from synthesis.geometry import image_axes

    rng = random.Random(5)
    for _ in range(100):
        view = View(primary_deg=rng.uniform(-180, 180), secondary_deg=rng.uniform(-90, 90))
        for ours, theirs in zip(screen_axes(view), image_axes(view), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-12)


PHOTO = chest()  # a hung PA image: patient's left on the right, head up


@pytest.mark.parametrize(
    ("orientation", "stored"),
    [
        (["L", "F"], PHOTO),
        (["R", "F"], PHOTO[:, ::-1]),
        (["L", "H"], PHOTO[::-1, :]),
        (["R", "H"], PHOTO[::-1, ::-1]),
        # Rows run to the feet, columns to the left: the transposed image.
        (["F", "L"], PHOTO.T),
        (["F", "R"], PHOTO.T[::-1, :]),
        (["H", "L"], PHOTO.T[:, ::-1]),
        (["H", "R"], PHOTO.T[::-1, ::-1]),
        # Refinements and small letters do not matter.
        (["LP", "FA"], PHOTO),
        (None, PHOTO),
    ],
)
def test_an_image_stored_in_any_of_eight_ways_is_hung(
    orientation: list[str] | None, stored: np.ndarray
) -> None:
    ds = radiograph(stored, PatientOrientation=orientation, ImagerPixelSpacing=None)
    turned = stored.shape != PHOTO.shape
    ds.ImagerPixelSpacing = ["0.3", "0.2"] if turned else ["0.2", "0.3"]
    source = read_source(file_of(ds))
    np.testing.assert_array_equal(source.radiograph.pixels, PHOTO)
    assert source.radiograph.spacing_mm == (0.2, 0.3)


@pytest.mark.parametrize("letters", [["P", "F"], ["L", "R"], ["L"], ["X", "F"], ["L", "P"]])
def test_an_orientation_that_no_frontal_view_has_is_a_contradiction(letters: list[str]) -> None:
    with pytest.raises(ImageError, match="contradicts"):
        hanging(letters)


CODES = [
    # CID 4010 in SNOMED CT.
    (0, "PA", "272479007"),
    (180, "AP", "399348003"),
    (90, "LL", "399173006"),
    (-90, "RL", "399198007"),
    (30, "LLO", "399135007"),
    (-30, "RLO", "399356000"),
    (150, "LLO", "399006002"),
    (-150, "RLO", "399038007"),
    (179.8, "AP", "399348003"),
    (-179.8, "AP", "399348003"),
    (2, "LLO", "399135007"),
]


@pytest.mark.parametrize(("primary", "position", "code"), CODES)
def test_view_position_and_view_code_name_the_side_of_the_detector(
    primary: float, position: str, code: str
) -> None:
    view = View(primary_deg=primary)
    assert view_position(view) == position
    assert (view_code(view).value, view_code(view).scheme_designator) == (code, "SCT")
