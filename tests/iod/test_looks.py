"""One chest in the many ways in which units store it: read, it is the same to the model.

What is known is the line integrals; every object is written by pydicom by the Standard's rules.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dicom_node.iod.reading import read_source
from synthesis.types import FRONTAL_DENSE
from tests.iod.objects import DX_PRESENTATION, DX_PROCESSING, file_of, radiograph, read
from tests.iod.test_grey import lut
from tests.synthesis.test_exposure import chest

LINE = (chest(2.0) - 250.0).clip(0.0) / 500.0
"""Line integrals, 0 to about 5.5."""

LOW, HIGH = np.percentile(LINE, (0.5, 99.5))
EXPECTED = (LINE - LOW) / (HIGH - LOW) * FRONTAL_DENSE * 2.0 - 1.0
"""On the model's scale: air at -1, the densest half percent where rendered ones have it."""

PRESENTATION = {"SOPClassUID": DX_PRESENTATION, "PresentationIntentType": "FOR PRESENTATION"}
PROCESSING = {"SOPClassUID": DX_PROCESSING, "PresentationIntentType": "FOR PROCESSING"}


def bits(count: int) -> dict[str, object]:
    return {"BitsAllocated": 8 if count == 8 else 16, "BitsStored": count, "HighBit": count - 1}


def levels(count: int) -> np.ndarray:
    """The line integrals over nine tenths of the values there are."""
    return np.rint(LINE / LINE.max() * 0.9 * 2**count + 0.02 * 2**count).astype(np.int64)


def inverse(values: np.ndarray, count: int) -> np.ndarray:
    return (1 << count) - 1 - values


LOOKS: dict[str, tuple[np.ndarray, dict[str, object]]] = {
    **{f"{n} bits": (levels(n), {**PRESENTATION, **bits(n)}) for n in (8, 10, 12, 14, 16)},
    "MONOCHROME1": (
        inverse(levels(12), 12),
        {**PRESENTATION, **bits(12), "PhotometricInterpretation": "MONOCHROME1"},
    ),
    "MONOCHROME1, inverse shape": (
        inverse(levels(12), 12),
        {
            **PRESENTATION,
            **bits(12),
            "PhotometricInterpretation": "MONOCHROME1",
            "PresentationLUTShape": "INVERSE",
        },
    ),
    "signed": (
        levels(12) - 2048 & 0xFFFF,
        {**PRESENTATION, **bits(12), "BitsStored": 16, "HighBit": 15, "PixelRepresentation": 1},
    ),
    "rescaled": (
        levels(12),
        {**PRESENTATION, "RescaleSlope": "0.25", "RescaleIntercept": "-1024", "RescaleType": "US"},
    ),
    "narrow window": (
        levels(12),
        {**PRESENTATION, "WindowCenter": ["1800", "900"], "WindowWidth": ["700", "300"]},
    ),
    "VOI table of a negative": (
        inverse(levels(12), 12),
        {**PRESENTATION, "VOILUTSequence": lut(np.arange(4095, -1, -1))},
    ),
    "logarithmic detector": (
        inverse(levels(14), 14),
        {
            **PROCESSING,
            **bits(14),
            "PixelIntensityRelationship": "LOG",
            "PixelIntensityRelationshipSign": 1,
            "PhotometricInterpretation": "MONOCHROME1",
        },
    ),
    "linear detector": (
        np.rint(60000 * np.exp(-LINE)).astype(np.int64),
        {
            **PROCESSING,
            **bits(16),
            "PixelIntensityRelationship": "LIN",
            "PixelIntensityRelationshipSign": 1,
        },
    ),
    "turned": (
        levels(12)[::-1, ::-1],
        {**PRESENTATION, "PatientOrientation": ["R", "H"]},
    ),
    "transposed": (
        levels(12).T,
        {**PRESENTATION, "PatientOrientation": ["F", "L"], "ImagerPixelSpacing": ["0.2", "0.2"]},
    ),
}


@pytest.mark.parametrize("look", LOOKS)
def test_every_look_of_a_chest_is_the_same_chest_to_the_model(look: str) -> None:
    values, attributes = LOOKS[look]
    source = read(values, **attributes).radiograph
    seen = 2.0 * source.intensity.to_unit(source.pixels) - 1.0
    step = 2.0 / 230 if look == "8 bits" else 0.004
    np.testing.assert_allclose(seen, EXPECTED, atol=step)
    # What is for processing is attenuation; what is for presentation went through some curve.
    processing = attributes["PresentationIntentType"] == "FOR PROCESSING"
    assert (source.intensity.tone == ()) == processing


NEGATIVE = {"PhotometricInterpretation": "MONOCHROME1"}


def shown(values: np.ndarray, folder: Path, *switches: str, **attributes: object) -> np.ndarray:
    """Grey 0 to 1 as DCMTK displays the object."""
    path = folder / "image.dcm"
    path.write_bytes(file_of(radiograph(values, **attributes)))
    out = folder / "image.pgm"
    subprocess.run(["dcm2pnm", "+op", *switches, path, out], check=True, capture_output=True)
    return np.asarray(Image.open(out), np.float64) / 255.0


@pytest.mark.peer
@pytest.mark.parametrize(
    ("switches", "attributes"),
    [
        (("+Wm",), {}),
        (("+Wm",), NEGATIVE),
        (("+Wm",), {**NEGATIVE, "PresentationLUTShape": "INVERSE"}),
        (("+Wm",), {"PresentationLUTShape": "IDENTITY"}),
        (("+Wm",), {"RescaleSlope": "2", "RescaleIntercept": "-300"}),
        (("+Wi", "1"), {"WindowCenter": ["1800", "900"], "WindowWidth": ["1500", "300"]}),
        (("+Wl", "1"), {"VOILUTSequence": lut(np.sqrt(np.arange(4096) / 4095) * 4095)}),
        (
            ("+Wi", "1"),
            {"WindowCenter": "1800", "WindowWidth": "1500", "VOILUTFunction": "SIGMOID"},
        ),
    ],
)  # fmt: skip
def test_what_another_toolkit_shows_whiter_is_more_attenuation(
    tmp_path: Path, switches: tuple[str, ...], attributes: dict[str, object]
) -> None:
    values = levels(12)
    if attributes.get("PhotometricInterpretation") == "MONOCHROME1":
        values = inverse(values, 12)
    theirs = shown(values, tmp_path, *switches, **attributes)
    source = read_source(file_of(radiograph(values, **attributes)))
    stored = source.grey.to_stored(source.radiograph.pixels).astype(float)
    window = source.grey.windows[0]
    ours = np.clip((stored - window.low) / (window.high - window.low), 0.0, 1.0)
    if source.grey.photometric_interpretation == "MONOCHROME1":
        ours = 1.0 - ours
    np.testing.assert_allclose(ours, theirs, atol=0.012)
