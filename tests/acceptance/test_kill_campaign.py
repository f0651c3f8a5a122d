"""``kill -9`` again and again at random moments under load, with a real archive.

Ten kills by default, and four with PostgreSQL: what differs there is the ledger, and that is cut at
each of its methods in ``test_crash_table.py``. A longer campaign:
``DICOM_NODE_TEST_KILLS=200 pytest tests/acceptance/test_kill_campaign.py -s``;
``DICOM_NODE_TEST_SEED`` chooses other moments. Its figures are printed as one line of JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from pydicom import dcmread

from tests.acceptance.harness import VIEWS, Node, storescu, wait_until
from tests.acceptance.radiographs import copy_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.acceptance.conftest import Site
    from tests.acceptance.harness import Orthanc

pytestmark = [pytest.mark.peer, pytest.mark.slow]

SEED = int(os.environ.get("DICOM_NODE_TEST_SEED", "1"))
RIGGED = ("-m", "tests.acceptance.rigged", "serve", "--echo")

MOMENTS = (
    "an image was received",
    "an image was planned",
    "a job runs",
    "a job is done",
    "a delivery is complete",
)
"""Half of the kills come within a blink after one of these; the others by the clock."""

STARTS_WITHIN_S = 120.0
"""A campaign shares its machine with others for long."""

BEHIND = 40
"""Images a modality may be ahead of the archive, so that the load follows what can be done."""


class Modality(threading.Thread):
    """Sends images, each until it is acknowledged and never again, until it is told to stop."""

    def __init__(self, site: Site, folder: Path, number: int) -> None:
        super().__init__(daemon=True)
        self.site, self.folder, self.number = site, folder, number
        self.enough = threading.Event()
        self.acknowledged: list[str] = []
        self.refused = 0
        self._pixels = self._done = 0

    def run(self) -> None:
        while not self.enough.is_set():
            if len(self.acknowledged) - self.done() >= BEHIND:
                time.sleep(0.2)
                continue
            uid, path = self.new_image()
            while storescu(self.site.node.port, path) != 0:
                self.refused += 1
                time.sleep(0.3)
            self.acknowledged.append(uid)

    def done(self) -> int:
        """Its share of the series in the archive, as far as that answers."""
        with contextlib.suppress(OSError):
            self._done = len(self.site.archive.instances()) // VIEWS // 2
        return self._done

    def new_image(self) -> tuple[str, Path]:
        dataset = copy_of("RG1_UNCR.dcm", every=16)
        pixels = dataset.pixel_array.copy()
        self._pixels += 1
        pixels[0, :2] = self._pixels, self.number
        dataset.PixelData = pixels.tobytes()
        dataset.save_as(path := self.folder / f"{self.number}.dcm")
        return str(dataset.SOPInstanceUID), path


def kill_again_and_again(node: Node, kills: int, moments: random.Random) -> Counter[str]:
    when: Counter[str] = Counter()
    for number in range(kills):
        print(f"\rkill {number + 1} of {kills}", end="", flush=True)
        kind = moments.random()
        if kind < 0.1:  # while it starts
            node._launch(RIGGED)
            time.sleep(moments.uniform(0.0, 2.0))
            when["while it starts"] += 1
        else:
            node.start(RIGGED, forget=False, within_s=STARTS_WITHIN_S)
            moment = moments.choice(MOMENTS) if kind < 0.55 else ""
            if moment and seen(node, moment):
                time.sleep(moments.uniform(0.0, 0.03))
                when[moment] += 1
            else:
                time.sleep(moments.uniform(0.0, 3.0))
                when["at any time"] += 1
        node.kill()
    return when


def seen(node: Node, moment: str) -> bool:
    try:
        node.wait_for(moment, 5)
    except AssertionError:
        return False
    return True


def check_archive(node: Node, archive: Orthanc, acknowledged: list[str]) -> int:
    """Every acknowledged image has its series there, once and whole; how many instances."""
    derived = node.rows(
        "SELECT derived.sop_instance_uid, derived.digest, images.sop_instance_uid FROM derived "
        "JOIN jobs ON jobs.id = derived.job_id JOIN images ON images.id = jobs.image_id",
    )
    digests = {made: digest for made, digest, _ in derived}
    assert Counter(source for _, _, source in derived) == dict.fromkeys(acknowledged, VIEWS)
    found: Counter[str] = Counter()
    for name in archive.instances():
        kept = archive.file(name)
        found[str(kept.SOPInstanceUID)] += 1
        digest = digests[str(kept.SOPInstanceUID)]
        ours = dcmread(node.folder / "data" / "spool" / digest[:2] / f"{digest}.dcm")
        assert kept == ours, "the archive holds something else than what was made"
        assert len(kept.PixelData) >= kept.Rows * kept.Columns * kept.BitsAllocated // 8
    assert found == dict.fromkeys(digests, 1)
    return len(found)


@pytest.mark.on_both
def test_a_node_that_is_killed_at_random_under_load_loses_doubles_and_halves_nothing(
    fresh_site: Site, tmp_path: Path, ledger: str
) -> None:
    node, archive = fresh_site.node, fresh_site.archive
    kills = int(os.environ.get("DICOM_NODE_TEST_KILLS", "4" if ledger == "postgresql" else "10"))
    archive.start()
    began = time.monotonic()
    modalities = [Modality(fresh_site, tmp_path, number) for number in (1, 2)]
    for modality in modalities:
        modality.start()
    when = kill_again_and_again(node, kills, random.Random(SEED))
    node.start(RIGGED, forget=False, within_s=STARTS_WITHIN_S)
    for modality in modalities:
        modality.enough.set()
    for modality in modalities:
        modality.join(STARTS_WITHIN_S)
        assert not modality.is_alive()
    acknowledged = [uid for modality in modalities for uid in modality.acknowledged]
    wait_until(
        lambda: (
            node.rows("SELECT count(*) FROM deliveries WHERE state = 'closed'")
            == [(len(acknowledged),)]
        ),
        STARTS_WITHIN_S + 2 * len(acknowledged),
        "all deliveries closed",
    )
    assert node.rows("SELECT DISTINCT state FROM jobs") == [("done",)]
    assert node.rows("SELECT count(*) FROM images") == [(len(acknowledged),)]
    instances = check_archive(node, archive, acknowledged)
    attempts, again = node.rows(
        "SELECT sum(attempts), sum(CASE WHEN attempts > 1 THEN 1 ELSE 0 END) FROM jobs"
    )[0]
    figures = {
        "ledger": ledger,
        "kills": kills,
        "seed": SEED,
        "moments": dict(when),
        "acknowledged": len(acknowledged),
        "not_acknowledged_and_sent_again": sum(each.refused for each in modalities),
        "instances_in_the_archive": instances,
        "lost": len(acknowledged) * VIEWS - instances,
        "job_attempts": int(attempts),
        "jobs_that_ran_again": int(again),
        "seconds": round(time.monotonic() - began),
    }
    print(f"\n{json.dumps(figures)}")
    assert len(acknowledged) >= kills / 4, "hardly any load: the campaign proves nothing"
    assert node.stop() == 0
