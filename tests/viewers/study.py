"""A study with a known answer: a radiograph with one bright side, and views made of it.

What is seen in a viewer can be told from the pixels of the screen: a quarter of each image is
bright, the upper one on the patient's left of frontal views, the rest is grey.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from dicom_node.domain.writing import Form
from dicom_node.iod.derived import encode
from synthesis.types import Radiograph, View
from tests.iod.objects import build, file_of, radiograph, read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom import Dataset

    from dicom_node.iod.reading import Source

ANGLES: Final = (-90.0, -45.0, 0.0, 45.0, 90.0)
GREY, BRIGHT, TOP = 1000, 3000, 4095
WINDOW: Final = {"WindowCenter": "2048", "WindowWidth": "4096"}
SERIES: Final = {Form.SC: ("2.25.901", 9001), Form.DX: ("2.25.902", 9002)}


def stored(side: int) -> np.ndarray:
    """Upper right quarter bright, with a little grain, and darkness and density to scale by."""
    values = np.full((side, side), GREY)
    values[: side // 2, side // 2 :] = BRIGHT
    values += np.random.default_rng(3).integers(-30, 30, values.shape)
    values[:4, :], values[-4:, :] = 100, TOP
    return values


def source() -> Dataset:
    """The radiograph, of which 512 pixels are 307 mm."""
    return radiograph(
        stored(512), ImagerPixelSpacing=["0.6", "0.6"], StudyDescription="Chest", **WINDOW
    )


def files() -> Iterator[bytes]:
    """The radiograph and its views: a series of Secondary Captures and one of DX images."""
    yield file_of(source())
    taken = read(stored(512), ImagerPixelSpacing=["0.6", "0.6"], StudyDescription="Chest", **WINDOW)
    for form in SERIES:
        for index, angle in enumerate(ANGLES):
            yield encode(_view(taken, View(primary_deg=angle), form, index))


def _view(taken: Source, view: View, form: Form, index: int) -> Dataset:
    image = Radiograph(
        pixels=stored(256).astype(np.float32),
        spacing_mm=(1.2, 1.2),
        view=view,
        intensity=taken.radiograph.intensity,
    )
    made, _ = build(taken, view, form=form, index=index, image=image)
    made.SeriesInstanceUID, made.SeriesNumber = SERIES[form]
    made.SOPInstanceUID = f"{made.SeriesInstanceUID}.{index + 1}"
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    return made
