"""Pixel spacing at the detector, by whichever attribute states it."""

from __future__ import annotations

import pytest

from tests.iod.objects import read, real

MAGNIFICATION = 1800.0 / 1650.0  # of the training geometry


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"ImagerPixelSpacing": ["0.2", "0.3"]}, (0.2, 0.3)),
        ({"ImagerPixelSpacing": ["0.2", "0.2"], "PixelSpacing": ["0.1", "0.1"]}, (0.2, 0.2)),
        ({"PixelSpacing": ["0.15", "0.15"]}, (0.15, 0.15)),
        (
            {"PixelSpacing": ["0.15", "0.15"], "PixelSpacingCalibrationType": "GEOMETRY"},
            (0.15 * MAGNIFICATION, 0.15 * MAGNIFICATION),
        ),
        (
            {
                "PixelSpacing": ["0.1", "0.1"],
                "PixelSpacingCalibrationType": "FIDUCIAL",
                "EstimatedRadiographicMagnificationFactor": "1.2",
            },
            (0.12, 0.12),
        ),
        ({"NominalScannedPixelSpacing": ["0.17", "0.17"]}, (0.17, 0.17)),
        ({"PixelSpacing": ["0.000", "0.000"]}, None),
        ({"PixelSpacing": ["-1", "1"]}, None),
        ({"PixelSpacing": "0.2"}, None),
        ({}, None),
    ],
)
def test_the_spacing_at_the_detector(
    attributes: dict[str, object], expected: tuple[float, float] | None
) -> None:
    found = read(**({"ImagerPixelSpacing": None} | attributes)).radiograph.spacing_mm
    assert found == (None if expected is None else pytest.approx(expected))


def test_the_zero_spacing_of_the_real_radiograph_is_unknown() -> None:
    from dicom_node.iod.reading import read_source

    assert read_source(real("RG1_UNCR")).radiograph.spacing_mm is None
