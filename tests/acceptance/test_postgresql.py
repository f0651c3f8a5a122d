"""The ledger in PostgreSQL: a server that goes and comes back under load costs nothing."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.acceptance.harness import VIEWS, Node, storescu, wait_until
from tests.acceptance.test_crashes import Sender, write_copies
from tests.fakes.postgresql import PASSWORD, Cluster

if TYPE_CHECKING:
    from pathlib import Path

    from tests.acceptance.conftest import Site

pytestmark = pytest.mark.peer

IMAGES = 5


def configure(node: Node, server: Cluster) -> None:
    values = yaml.safe_load(node.config.read_text())
    server.fresh("node")
    (node.folder / "password").write_text(PASSWORD + "\n")
    values["node"] |= {
        "database_url": f"postgresql://node@127.0.0.1:{server.port}/node",
        "database_password_file": "password",
    }
    node.config.write_text(yaml.safe_dump(values))


@pytest.mark.slow
def test_a_server_that_restarts_under_load_loses_nothing(
    fresh_site: Site, tmp_path: Path, postgresql: Cluster
) -> None:
    node, archive = fresh_site.node, fresh_site.archive
    configure(node, postgresql)
    archive.start()
    node.start()
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
