from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dicom_node.cli import main

SPECIFIED = Path(__file__).parents[1] / "settings" / "specified.yaml"


@dataclass(frozen=True, kw_only=True)
class Ran:
    """One command as a shell would see it."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run_it(*arguments: str | Path) -> Ran:
        capsys.readouterr()  # what the test itself made others write
        status = main([str(each) for each in arguments])
        out, err = capsys.readouterr()
        return Ran(status=status, out=out, err=err)

    return run_it


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The specified configuration in a folder of its own."""
    folder = tmp_path / "site"
    folder.mkdir()
    path = folder / "node.yaml"
    path.write_text(SPECIFIED.read_text(encoding="utf-8"), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def radiographs() -> Path:
    """The folder of real radiographs of the package pydicom-data."""
    found = importlib.util.find_spec("data_store")
    assert found is not None
    assert found.submodule_search_locations
    return Path(found.submodule_search_locations[0]) / "data"
