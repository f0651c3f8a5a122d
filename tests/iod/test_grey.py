"""Grey levels: which way attenuation runs, and that what is written looks like its source."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicom_node.domain.errors import ImageError
from tests.iod.objects import DX_PRESENTATION, DX_PROCESSING, chest, file_of, radiograph, read

STORED = chest()


def lut(entries: np.ndarray, *, first: int = 0, bits: int = 12) -> Sequence:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries) % 65536, first, bits])
    item.add_new("LUTData", "OW", np.asarray(entries, "<u2").tobytes())
    return Sequence([item])


def test_white_is_more_attenuation_in_a_presentation_image() -> None:
    source = read(STORED)
    np.testing.assert_array_equal(source.radiograph.pixels, STORED)
    assert source.grey.photometric_interpretation == "MONOCHROME2"


def test_monochrome1_shows_small_values_white_so_they_are_more_attenuation() -> None:
    source = read(STORED, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(source.radiograph.pixels, 4095 - STORED)
    assert source.grey.photometric_interpretation == "MONOCHROME1"


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_plain_source_comes_back_as_the_very_values_it_had(photometric: str) -> None:
    source = read(STORED, PhotometricInterpretation=photometric)
    np.testing.assert_array_equal(source.grey.to_stored(source.radiograph.pixels), STORED)
    assert source.grey.bits_stored == 12


def test_values_beyond_the_bits_are_clipped_and_never_wrap() -> None:
    grey = read(STORED).grey
    np.testing.assert_array_equal(
        grey.to_stored(np.array([-5.0, 4095.4, 1e9], np.float32)), [0, 4095, 4095]
    )


def test_a_source_without_presentation_intent_is_for_presentation() -> None:
    ds = radiograph(STORED, PixelIntensityRelationship="LIN", PixelIntensityRelationshipSign=1)
    assert "PresentationIntentType" not in ds
    np.testing.assert_array_equal(
        read(STORED, PixelIntensityRelationship="LIN").radiograph.pixels, STORED
    )


def test_rescale_with_an_offset_keeps_the_stored_values_in_the_derived_image() -> None:
    source = read(
        STORED, RescaleSlope="2", RescaleIntercept="-1000", WindowCenter="3000", WindowWidth="4001"
    )
    np.testing.assert_allclose(source.radiograph.pixels, STORED * 2.0 - 1000.0)
    np.testing.assert_array_equal(source.grey.to_stored(source.radiograph.pixels), STORED)
    # Shown black at 3000 - 0.5 - 2000 = 999.5, that is stored (999.5 + 1000) / 2.
    assert source.grey.windows[0].low == pytest.approx(999.75)
    assert source.grey.windows[0].high == pytest.approx((4999.5 + 1000) / 2)


def test_signed_values_are_written_unsigned_with_the_same_look() -> None:
    signed = STORED - 2048
    source = read(
        signed.astype(np.int16).astype(np.uint16).astype(np.int64) & 0xFFFF,
        PixelRepresentation=1,
        WindowCenter="0",
        WindowWidth="1001",
    )
    np.testing.assert_array_equal(source.radiograph.pixels, signed)
    np.testing.assert_array_equal(source.grey.to_stored(source.radiograph.pixels), STORED)
    assert source.grey.windows[0].center == pytest.approx(2048.0)
    assert source.grey.windows[0].width == pytest.approx(1001.0)


def test_a_modality_table_is_applied_entry_by_entry() -> None:
    table = np.linspace(0, 1000, 4096).astype(int)
    source = read(STORED, ModalityLUTSequence=lut(table, bits=10))
    np.testing.assert_array_equal(source.radiograph.pixels, table[STORED])
    assert source.grey.bits_stored == 10


def test_a_voi_table_gives_the_values_that_are_shown() -> None:
    table = np.linspace(4095, 0, 3000).astype(int)  # a negative: dense is small before it
    source = read(STORED, VOILUTSequence=lut(table, first=200))
    np.testing.assert_array_equal(source.radiograph.pixels, table[np.clip(STORED - 200, 0, 2999)])
    (window,) = source.grey.windows
    assert (window.low, window.high) == (0.0, 4095.0)


def test_a_voi_table_of_65536_entries_writes_its_count_as_0() -> None:
    table = np.arange(65536) // 16
    source = read(STORED, VOILUTSequence=lut(table))
    np.testing.assert_array_equal(source.radiograph.pixels, STORED // 16)


def test_a_table_whose_data_do_not_fit_its_descriptor_is_refused() -> None:
    sequence = lut(np.arange(100))
    sequence[0].LUTDescriptor = [200, 0, 12]
    with pytest.raises(ImageError, match="LUT Data"):
        read(STORED, VOILUTSequence=sequence)


def test_a_sigmoid_window_is_applied_by_its_formula() -> None:
    source = read(STORED, WindowCenter="2000", WindowWidth="1500", VOILUTFunction="SIGMOID")
    expected = 4095 / (1 + np.exp(-4 * (STORED - 2000.0) / 1500.0))
    np.testing.assert_allclose(source.radiograph.pixels, expected, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("function", [None, "LINEAR", "LINEAR_EXACT"])
def test_a_straight_window_is_handed_on_and_takes_no_values_away(function: str | None) -> None:
    source = read(STORED, WindowCenter="2000", WindowWidth="500", VOILUTFunction=function)
    np.testing.assert_array_equal(source.radiograph.pixels, STORED)
    (window,) = source.grey.windows
    # PS3.3 C.11.2.1.2.1 and .3.2: black at c - 0.5 - (w - 1) / 2, exactly c - w / 2.
    low, high = (1750.0, 2250.0) if function == "LINEAR_EXACT" else (1750.0, 2249.0)
    assert (window.low, window.high) == pytest.approx((low, high))


def test_every_window_with_its_explanation_is_handed_on() -> None:
    windows = read(
        STORED,
        WindowCenter=["2000", "1000"],
        WindowWidth=["500", "300"],
        WindowCenterWidthExplanation=["BONE", "LUNG"],
    ).grey.windows
    assert [(w.center, w.width, w.explanation) for w in windows] == [
        (2000.0, 500.0, "BONE"),
        (1000.0, 300.0, "LUNG"),
    ]


def test_without_a_window_the_look_is_from_the_smallest_to_the_largest_value() -> None:
    (window,) = read(STORED).grey.windows
    assert (window.low, window.high) == (STORED.min(), STORED.max())


PROCESSING = {"SOPClassUID": DX_PROCESSING, "PresentationIntentType": "FOR PROCESSING"}


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_beer_and_lambert_get_line_integrals_out_of_a_linear_detector(photometric: str) -> None:
    path = np.linspace(0.0, 4.0, 96 * 80).reshape(96, 80)  # mu * d
    counts = np.rint(60000 * np.exp(-path)).astype(np.int64)
    for sign, stored in ((1, counts), (-1, 65535 - counts)):
        source = read(
            stored,
            **PROCESSING,
            BitsStored=16,
            HighBit=15,
            PhotometricInterpretation=photometric,
            PixelIntensityRelationship="LIN",
            PixelIntensityRelationshipSign=sign,
        )
        difference = source.radiograph.pixels - source.radiograph.pixels[0, 0]
        np.testing.assert_allclose(difference, path, atol=2e-3)


def test_the_line_integrals_of_a_linear_detector_are_written_white_for_dense() -> None:
    source = read(
        STORED, **PROCESSING, PixelIntensityRelationship="LIN", PixelIntensityRelationshipSign=1
    )
    stored = source.grey.to_stored(source.radiograph.pixels).astype(int)
    assert source.grey.photometric_interpretation == "MONOCHROME2"
    dense, air = STORED.min() == STORED, STORED.max() == STORED
    assert stored[dense].min() > stored[air].max() + 10000
    window = source.grey.windows[0]
    assert stored[air].max() <= window.low + 1 < window.high - 1 <= stored[dense].min()


@pytest.mark.parametrize(
    ("sign", "photometric", "dense_is_large"),
    [(-1, "MONOCHROME2", True), (1, "MONOCHROME1", False), (1, "MONOCHROME2", False)],
)
def test_a_logarithmic_detector_is_taken_as_it_is_turned_by_its_sign(
    sign: int, photometric: str, dense_is_large: bool
) -> None:
    source = read(
        STORED,
        **PROCESSING,
        PixelIntensityRelationship="LOG",
        PixelIntensityRelationshipSign=sign,
        PhotometricInterpretation=photometric,
    )
    expected = STORED if dense_is_large else 4095 - STORED
    np.testing.assert_array_equal(source.radiograph.pixels, expected)
    np.testing.assert_array_equal(source.grey.to_stored(source.radiograph.pixels), STORED)
    assert source.grey.photometric_interpretation == (
        "MONOCHROME2" if dense_is_large else "MONOCHROME1"
    )


def test_without_a_sign_the_photometric_interpretation_decides() -> None:
    source = read(
        STORED,
        **PROCESSING,
        PixelIntensityRelationship="LOG",
        PhotometricInterpretation="MONOCHROME1",
    )
    np.testing.assert_array_equal(source.radiograph.pixels, 4095 - STORED)


def test_the_relationship_of_a_presentation_image_is_kept() -> None:
    given = {"SOPClassUID": DX_PRESENTATION, "PresentationIntentType": "FOR PRESENTATION"}
    assert read(**given, PixelIntensityRelationship="LIN").grey.relationship == "LIN"
    assert read(**given, PixelIntensityRelationship="DISP").grey.relationship == "LOG"


def test_padding_is_cut_off_and_does_not_move_the_scale() -> None:
    padded = STORED.copy()
    padded[:20] = 4095
    source = read(padded, PixelPaddingValue=4095)
    plain = read(STORED[20:])
    assert source.radiograph.intensity == plain.radiograph.intensity
    np.testing.assert_array_equal(source.radiograph.pixels, STORED[20:])


def test_a_range_of_padding_is_padding() -> None:
    padded = STORED.copy()
    padded[:10] = 7
    padded[10:20] = 20
    source = read(padded, PixelPaddingValue=5, PixelPaddingRangeLimit=25)
    np.testing.assert_array_equal(source.radiograph.pixels, STORED[20:])


def test_flat_masks_do_not_stretch_the_scale_although_nothing_calls_them_padding() -> None:
    masked = STORED.copy()
    masked[:8], masked[-8:] = 0, 4095
    scale, inner = read(masked).radiograph.intensity, read(STORED[8:-8]).radiograph.intensity
    assert scale == inner


def test_the_scale_runs_from_air_to_dense_and_ignores_a_marker() -> None:
    marked = STORED.copy()
    marked[:5, :5] = 4095  # a lead letter: 25 of 7680 pixels
    low, high = np.percentile(STORED, (0.5, 99.5))
    scale = read(marked).radiograph.intensity
    assert scale.low == pytest.approx(low, abs=0.01 * (high - low))
    # The densest parts of a frontal view lie in the middle of the model's range.
    dense = scale.from_model(np.array([0.0]))[0]
    assert dense == pytest.approx(high, abs=0.03 * (high - low))


def test_an_image_that_shows_nothing_is_refused() -> None:
    with pytest.raises(ImageError, match="constant"):
        read(np.full((96, 80), 700))
    with pytest.raises(ImageError, match="padding"):
        padded = np.full((96, 80), 4095)
        padded[:4] = STORED[:4]
        read(padded, PixelPaddingValue=4095)
    with pytest.raises(ImageError, match="flatten"):
        read(STORED, RescaleSlope="0", RescaleIntercept="5")


def test_overlays_in_the_bits_above_are_not_taken_for_grey() -> None:
    with_overlay = STORED | (1 << 13) * (np.indices(STORED.shape)[0] % 2)
    np.testing.assert_array_equal(read(with_overlay).radiograph.pixels, STORED)


def test_bits_that_sit_high_are_brought_down() -> None:
    source = read(STORED << 4, HighBit=15)
    np.testing.assert_array_equal(source.radiograph.pixels, STORED)


def test_eight_bits_stay_eight_bits() -> None:
    small = STORED // 16
    source = read(small, BitsAllocated=8, BitsStored=8, HighBit=7)
    np.testing.assert_array_equal(source.radiograph.pixels, small)
    assert source.grey.bits_stored == 8


def test_a_value_that_is_no_number_is_ignored_like_an_absent_one() -> None:
    data = file_of(radiograph(STORED, WindowCenter="2000", WindowWidth="500"))
    from dicom_node.iod.reading import read_source

    source = read_source(data.replace(b"2000", b"2x00"))
    (window,) = source.grey.windows
    assert (window.low, window.high) == (STORED.min(), STORED.max())
