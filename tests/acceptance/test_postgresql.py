"""The ledger in PostgreSQL: a server that goes and comes back under load costs nothing.

What else runs on both kinds of ledger says so by the mark ``on_both``; all these
suites run on PostgreSQL with DICOM_NODE_TEST_LEDGER=postgresql in the environment.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.harness import VIEWS, Node, storescu, wait_until
from tests.acceptance.radiographs import write_copies
from tests.fakes.postgresql import PASSWORD

if TYPE_CHECKING:
    from pathlib import Path

    from tests.acceptance.conftest import Site
    from tests.fakes.postgresql import Cluster

pytestmark = pytest.mark.peer

IMAGES = 5


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
@pytest.mark.parametrize("ledger", ["postgresql"], indirect=True)
def test_a_server_that_restarts_under_load_loses_nothing(
    fresh_site: Site, tmp_path: Path, postgresql: Cluster
) -> None:
    node, archive = fresh_site.node, fresh_site.archive
    archive.start()
    node.start(within_s=120)
    copies = write_copies(tmp_path, IMAGES)
    paths = list(copies.values())
    sender = Sender(node, paths)
    sender.start()
    node.wait_for("a job runs", 60)

    for _ in range(2):
        postgresql.stop()
        refused = threading.Event()
        if storescu(node.port, paths[0]) != 0:
            refused.set()
        time.sleep(1)
        postgresql.start()
        assert refused.is_set()
        time.sleep(3)

    sender.join(120)
    assert sender.acknowledged == IMAGES
    wait_until(lambda: len(archive.instances()) >= IMAGES * VIEWS, 240, "all views in the archive")
    wait_until(
        lambda: all(d["state"] == "closed" for job in node.jobs() for d in job["deliveries"]),
        60,
        "all deliveries closed",
    )
    assert len(archive.synthetic()) == len(archive.instances()) == IMAGES * VIEWS
    assert len(node.jobs()) == IMAGES
    assert any(
        line["event"] == "a received object is refused" and line["error"] == "CapacityError"
        for line in node.lines
    )
    told = "".join(map(str, node.lines)) + (node.folder / "stderr.txt").read_text()
    assert PASSWORD not in told
    assert node.stop() == 0
