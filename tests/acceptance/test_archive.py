"""An archive that is away, or killed in the middle: nothing is lost, nothing doubled."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.harness import VIEWS, storescu, wait_until
from tests.acceptance.radiographs import write_copies

if TYPE_CHECKING:
    from pathlib import Path

    from tests.acceptance.conftest import Site

pytestmark = pytest.mark.peer


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
