from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.harness import Node, Orthanc, configuration
from tests.network.objects import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fakes.postgresql import Cluster


LEDGER = os.environ.get("DICOM_NODE_TEST_LEDGER", "sqlite")
"""``postgresql``: the nodes of all these suites keep their ledgers in PostgreSQL."""


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


@pytest.fixture(scope="session", autouse=True)
def _ledgers(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every node of these suites keeps its ledger where the environment says."""
    if LEDGER == "postgresql":
        Node.everywhere = request.getfixturevalue("postgresql")
    yield
    Node.everywhere = None


def new_site(folder: Path, weights: Path, server: Cluster | None = None) -> Site:
    """A node and an archive that know each other, not started."""
    node_port = free_port()
    archive = Orthanc(folder / "orthanc", node_port=node_port)
    values = configuration(port=node_port, archive_port=archive.dicom_port, weights=weights)
    return Site(node=Node(folder, values, server=server), archive=archive)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Iterator[Site]:
    made = new_site(tmp_path_factory.mktemp("site"), weights)
    made.archive.start()
    try:
        made.node.start()
        yield made
    finally:
        made.node.kill()
        made.archive.stop()


@pytest.fixture
def fresh_site(tmp_path: Path, weights: Path) -> Iterator[Site]:
    """One for tests that stop, kill or start its parts: nothing runs yet."""
    made = new_site(tmp_path, weights)
    try:
        yield made
    finally:
        made.node.kill()
        made.archive.stop()
