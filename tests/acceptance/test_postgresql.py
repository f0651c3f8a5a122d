"""The ledger in PostgreSQL: a server that goes and comes back under load costs nothing.

Of the crash table the points where a transaction decides are run here too; the whole of it, and the
other suites, with DICOM_NODE_TEST_LEDGER=postgresql (`tests/acceptance/conftest.py`).
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.acceptance import test_crash_table as crash_table
from tests.acceptance.conftest import new_site
from tests.acceptance.harness import VIEWS, storescu, wait_until
from tests.acceptance.test_crashes import Sender, write_copies
from tests.fakes.postgresql import PASSWORD, Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.acceptance.conftest import Site

pytestmark = pytest.mark.peer

IMAGES = 5


@pytest.fixture
def site(tmp_path: Path, weights: Path, postgresql: Cluster) -> Iterator[Site]:
    made = new_site(tmp_path, weights, postgresql)
    try:
        yield made
    finally:
        made.node.kill()
        made.archive.stop()


@pytest.mark.slow
def test_a_server_that_restarts_under_load_loses_nothing(
    site: Site, tmp_path: Path, postgresql: Cluster
) -> None:
    node, archive = site.node, site.archive
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


@pytest.fixture(scope="module")
def bench(
    tmp_path_factory: pytest.TempPathFactory, weights: Path, postgresql: Cluster
) -> Iterator[crash_table.Bench]:
    folder = tmp_path_factory.mktemp("bench")
    with crash_table.new_bench(folder, weights, postgresql) as made:
        yield made


@pytest.mark.parametrize(
    "point",
    [
        "in the ledger, before 0x0000",
        "decided, jobs inserted",
        "derived files spooled, before the transaction",
        "some instances sent",
    ],
)
def test_a_node_killed_at_a_named_point_delivers_once(
    bench: crash_table.Bench, tmp_path: Path, point: str
) -> None:
    uid, path = crash_table.new_image(tmp_path)
    bench.arm((crash_table.UNANSWERED | crash_table.ANSWERED)[point])
    acknowledged = storescu(bench.node.port, path) == 0
    bench.await_death()
    bench.restart()
    if not acknowledged:
        assert storescu(bench.node.port, path) == 0
    crash_table.check_delivered_once(bench, uid)
