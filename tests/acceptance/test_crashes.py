"""``kill -9`` at random moments, and an archive that is away: nothing is lost, nothing doubled."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.harness import VIEWS, Node, storescu, wait_until
from tests.acceptance.radiographs import copy_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.acceptance.conftest import Site

pytestmark = pytest.mark.peer

MOMENTS = (
    "node_ready",
    "the engine process has started",
    "an image was received",
    "an image was planned",
    "a job runs",
    "a job is done",
    "a delivery is complete",
)
"""A kill comes shortly after each of these, so that every step of an image's path is hit."""

AT_ONCE = 2
"""Images that begin to be sent between two kills, so that there is one for every step."""

IN_FLIGHT = AT_ONCE * len(MOMENTS)


def write_copies(folder: Path, count: int) -> dict[str, Path]:
    """Distinct copies of RG1, by SOP Instance UID."""
    copies = {}
    for number in range(count):
        dataset = copy_of("RG1_UNCR.dcm", every=4)
        pixels = dataset.pixel_array.copy()
        pixels[0, 0] = number
        dataset.PixelData = pixels.tobytes()
        dataset.save_as(path := folder / f"{number}.dcm")
        copies[str(dataset.SOPInstanceUID)] = path
    return copies


class Sender(threading.Thread):
    """A modality: sends each image until the node has acknowledged it, and never again."""

    def __init__(self, node: Node, files: list[Path]) -> None:
        super().__init__(daemon=True)
        self.node = node
        self.files = files
        self.acknowledged = 0

    def run(self) -> None:
        for path in self.files:
            while storescu(self.node.port, path) != 0:
                time.sleep(0.1)
            self.acknowledged += 1


@pytest.mark.slow
def test_a_node_killed_at_random_moments_delivers_every_image_exactly_once(
    fresh_site: Site, tmp_path: Path
) -> None:
    node, archive = fresh_site.node, fresh_site.archive
    archive.start()
    moments = random.Random(1)
    copies = write_copies(tmp_path, IN_FLIGHT)
    files = iter(copies.values())
    senders = []
    node.start(forget=False)
    for moment in MOMENTS:
        senders.append(Sender(node, list(itertools.islice(files, AT_ONCE))))
        senders[-1].start()
        node.wait_for(moment, 120)
        time.sleep(moments.uniform(0.0, 0.4))
        node.kill()
        node.start(forget=False)
    for sender in senders:
        sender.join(60)
    assert sum(sender.acknowledged for sender in senders) == IN_FLIGHT

    wait_until(
        lambda: len(archive.instances()) >= IN_FLIGHT * VIEWS, 120, "all views in the archive"
    )
    wait_until(lambda: node.states("deliveries") == {"closed"}, 60, "all deliveries closed")
    made = archive.synthetic()
    by_source = Counter(d.SourceImageSequence[0].ReferencedSOPInstanceUID for d in made)
    assert by_source == dict.fromkeys(copies, VIEWS)
    views = {
        (d.SourceImageSequence[0].ReferencedSOPInstanceUID, int(d.InstanceNumber)) for d in made
    }
    assert len(views) == len(made) == IN_FLIGHT * VIEWS
    assert len({d.SeriesInstanceUID for d in made}) == IN_FLIGHT
    jobs = node.jobs()
    assert len(jobs) == IN_FLIGHT
    assert {job["state"] for job in jobs} == {"done"}
    assert node.stop() == 0


def test_an_archive_that_is_away_gets_everything_when_it_returns_and_nothing_is_made_twice(
    fresh_site: Site, tmp_path: Path
) -> None:
    node, archive = fresh_site.node, fresh_site.archive
    node.start()
    copies = write_copies(tmp_path, 3)
    for path in copies.values():
        assert storescu(node.port, path) == 0
    for _ in range(3):
        node.wait_for("a job is done", 60)
    for _ in range(3):
        node.wait_for("a delivery failed and is sent again", 60)
    assert node.stop() == 0
    node.start()
    archive.start()
    for uid in copies:
        assert len(archive.wait_for_series(uid, within_s=240)) == VIEWS  # after the backoff
    events = Counter(line["event"] for line in node.lines)
    assert events["a job runs"] == 3
    wait_until(lambda: node.states("deliveries") == {"closed"}, 60, "all deliveries closed")


def test_an_archive_killed_in_the_middle_of_deliveries_ends_with_all_of_them(
    fresh_site: Site, tmp_path: Path
) -> None:
    node, archive = fresh_site.node, fresh_site.archive
    archive.start()
    node.start()
    copies = write_copies(tmp_path, 6)
    for path in copies.values():
        assert storescu(node.port, path) == 0
    node.wait_for("a delivery is complete", 60)
    archive.stop()
    time.sleep(1)
    archive.start()
    for uid in copies:
        assert len(archive.wait_for_series(uid, within_s=40)) == VIEWS
    events = Counter(line["event"] for line in node.lines)
    assert events["a job runs"] == 6
