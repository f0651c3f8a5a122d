"""What the soak says of its samples."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.__main__ import Modality, Sample, summary


def samples(leak_mib_per_h: float, growing: int) -> list[Sample]:
    return [
        Sample(
            at_s=5.0 * number,
            rss_mib=150.0 + (30.0 if number < 20 else 0.0) + leak_mib_per_h * 5 * number / 3600,
            descriptors=40 + number % 3,
            threads=20,
            cpu_s=4.0 * number,
            load=1.5,
            unplanned=0,
            jobs=growing * number,
            deliveries=number % 2,
            sent=10 * number,
            delivered=10 * number - growing * number,
        )
        for number in range(361)
    ]


@pytest.mark.parametrize("leak", [0.0, 12.0])
def test_growth_is_that_of_the_run_without_its_beginning(leak: float) -> None:
    told = summary(samples(leak, 0), Modality(0, 2.0, Path("unused")))
    assert told["rss_mib"]["growth_per_h"] == pytest.approx(leak, abs=0.05)
    assert told["descriptors"]["growth_per_h"] == pytest.approx(0.0, abs=0.1)
    assert told["descriptors"]["most"] == 42
    assert told["sent_per_s"] == 2.0
    assert told["cpu_ms_per_radiograph"] == 400


def test_a_queue_that_grows_is_seen() -> None:
    told = summary(samples(0.0, 3), Modality(0, 2.0, Path("unused")))
    assert told["waiting"]["jobs"] == {"most": 1080, "last": 1080, "growth_per_h": 2160.0}
    assert told["waiting"]["deliveries"]["most"] == 1
