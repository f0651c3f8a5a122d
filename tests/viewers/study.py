"""A study with a known answer: a radiograph with one bright side, and views made of it.

What is seen in a viewer can be told from the pixels of the screen: a quarter of each image is
bright, the upper one on the patient's left of frontal views, the rest is grey.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from dicom_node.domain.writing import Document, Form
from dicom_node.iod.derived import SeriesIdentity, encode
from dicom_node.iod.documents import BUILDERS
from dicom_node.iod.referring import Account, Written, stub
from synthesis.types import Radiograph, View
from tests.iod.objects import AT, build, build_all, file_of, radiograph, read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom import Dataset

    from dicom_node.iod.reading import Source

ANGLES: Final = (-90.0, -45.0, 0.0, 45.0, 90.0)
GREY, BRIGHT, TOP = 1000, 3000, 4095
WINDOW: Final = {"WindowCenter": "2048", "WindowWidth": "4096"}
SERIES: Final = {
    Form.SC: ("2.25.901", 9001),
    Form.DX: ("2.25.902", 9002),
    Form.MULTIFRAME: ("2.25.903", 9003),
}


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
    """The radiograph and its views: as Secondary Captures, as DX images, and all in one object;
    and the documents that go with the first of these.
    """
    yield file_of(source())
    taken = read(stored(512), ImagerPixelSpacing=["0.6", "0.6"], StudyDescription="Chest", **WINDOW)
    views = [View(primary_deg=angle) for angle in ANGLES]
    written = []
    for form in (Form.SC, Form.DX):
        for index, view in enumerate(views):
            made, provenance = build(taken, view, form=form, index=index, image=_image(taken, view))
            yield encode(_named(made, SERIES[form], index))
            if form is Form.SC:
                written.append(Written(stub=stub(made), provenances=(provenance,)))
    whole, _ = build_all(taken, views, images=[_image(taken, view) for view in views])
    yield encode(_named(whole, SERIES[Form.MULTIFRAME], 0))
    for number, document in enumerate(Document):
        account = Account(
            source=taken,
            images=tuple(written),
            series=SeriesIdentity(
                series_instance_uid=f"2.25.91{number}",
                series_number=9010 + number,
                device_uid="2.25.222",
            ),
            sop_instance_uid=f"2.25.91{number}.1",
            synthesized_at=AT,
        )
        yield encode(BUILDERS[document](account))


def _image(taken: Source, view: View) -> Radiograph:
    return Radiograph(
        pixels=stored(256).astype(np.float32),
        spacing_mm=(1.2, 1.2),
        view=view,
        intensity=taken.radiograph.intensity,
    )


def _named(made: Dataset, series: tuple[str, int], index: int) -> Dataset:
    made.SeriesInstanceUID, made.SeriesNumber = series
    made.SOPInstanceUID = f"{made.SeriesInstanceUID}.{index + 1}"
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    return made
