"""What holds for every test: real peers, and no skip that nobody sees."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import pytest
import structlog

from tests.fakes.postgresql import INSTALLED, Cluster, cluster

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

PEER_PROGRAMS: Final = ("Orthanc", "storescu", "storescp", "echoscu", "dcmdump")
"""Programs of the real peers (Debian: orthanc, dcmtk)."""

os.environ["PATH"] += os.pathsep + "/usr/sbin"  # where Debian puts Orthanc


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Cluster]:
    """A PostgreSQL of our own; the test is skipped where there is none."""
    if not INSTALLED:
        pytest.skip("needs PostgreSQL (Debian: postgresql) on this machine")
    pytest.importorskip("psycopg")
    with cluster() as made:
        yield made


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """The command line sets up a log on the stream of the moment; the next test has another."""
    yield
    structlog.reset_defaults()


def _in_ci() -> bool:
    return os.environ.get("CI", "").lower() in ("1", "true", "yes")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Two workers take a file each in turn, and the last file is run while the other worker has
    # nothing to do. Where a file has few tests each takes long; where it has hundreds they are
    # quick. So those with few come first.
    sizes = Counter(item.path for item in items)
    items.sort(key=lambda item: sizes[item.path])
    for item in items:
        # Other programs, in real time, on a machine that others use too: a second try, which the
        # summary names (R). What is wrong fails twice.
        if item.get_closest_marker("peer") or item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.flaky(reruns=1))
    missing = [program for program in PEER_PROGRAMS if shutil.which(program) is None]
    if not missing:
        return
    skip = pytest.mark.skip(reason=f"needs {', '.join(missing)} on this machine")
    for item in items:
        if item.get_closest_marker("peer") is not None:
            item.add_marker(skip)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """In CI a peer test that is skipped has failed: the check did not run."""
    outcome: Any = yield
    report: pytest.TestReport = outcome.get_result()
    expected = hasattr(report, "wasxfail")
    if report.skipped and not expected and _in_ci() and item.get_closest_marker("peer"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{reason}: a test with a real peer must not be skipped in CI"


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Every skipped test by name, and how many they are."""
    skipped = terminalreporter.stats.get("skipped", [])
    if not skipped:
        return
    terminalreporter.section(f"{len(skipped)} tests did not run")
    for report in skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        terminalreporter.line(f"{report.nodeid}: {reason}")
