from __future__ import annotations

import ctypes
import dataclasses
import os
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.harness import Node, Orthanc, configuration
from tests.network.objects import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


LEDGER = os.environ.get("DICOM_NODE_TEST_LEDGER", "sqlite")
"""``postgresql``: the nodes of all these suites keep their ledgers in PostgreSQL."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests that share a node share its ledger, so each is told of one, or of both in turn."""
    told = (mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    if "ledger" in metafunc.fixturenames and "ledger" not in told:
        twice = metafunc.definition.get_closest_marker("on_both") is not None
        kinds = sorted({LEDGER, "postgresql"}) if twice else [LEDGER]
        metafunc.parametrize("ledger", kinds, indirect=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A mark that names values takes these alone to the second kind of ledger."""
    items[:] = [item for item in items if _wanted(item)]


def _wanted(item: pytest.Item) -> bool:
    mark, call = item.get_closest_marker("on_both"), getattr(item, "callspec", None)
    if mark is None or not mark.args or call is None or call.params["ledger"] == LEDGER:
        return True
    return not set(mark.args).isdisjoint(call.params.values())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Site:
    """A node and the archive it sends to, both running."""

    node: Node
    archive: Orthanc


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of the real kind, too small to have learnt anything: what it draws does not matter
    here, what becomes of it does.
    """
    import torch

    from synthesis import checkpoint
    from synthesis.model import PRESETS, ViewTransformer

    torch.manual_seed(7)
    config = dataclasses.replace(PRESETS["tiny"], resolution=256, cell=16)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    card = checkpoint.Card(name="tiny", version="0", steps=1, trained={})
    checkpoint.write(path, ViewTransformer(config), card)
    return path


@pytest.fixture(scope="module", autouse=True)
def ledger(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where every node of a test keeps its ledger."""
    kind = str(request.param)
    if kind == "postgresql":
        Node.everywhere = request.getfixturevalue("postgresql")
    yield kind
    Node.everywhere = None


def new_site(folder: Path, weights: Path) -> Site:
    """A node and an archive that know each other, not started."""
    node_port = free_port()
    archive = Orthanc(folder / "orthanc", node_port=node_port)
    values = configuration(port=node_port, archive_port=archive.dicom_port, weights=weights)
    return Site(node=Node(folder, values), archive=archive)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, weights: Path, ledger: str) -> Iterator[Site]:
    made = new_site(tmp_path_factory.mktemp("site"), weights)
    made.archive.start()
    try:
        made.node.start()
        yield made
    finally:
        made.node.kill()
        made.archive.stop()


@pytest.fixture
def fresh_site(tmp_path: Path, weights: Path, ledger: str) -> Iterator[Site]:
    """One for tests that stop, kill or start its parts: nothing runs yet."""
    made = new_site(tmp_path, weights)
    try:
        yield made
    finally:
        made.node.kill()
        made.archive.stop()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MiB in memory."""
    folder = tmp_path / "disk"
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, b"size=64m") != 0:
        pytest.skip(f"a small disk cannot be mounted here: {os.strerror(ctypes.get_errno())}")
    yield folder
    libc.umount2(os.fsencode(folder), 2)
