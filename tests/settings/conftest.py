from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dicom_node.domain.errors import ConfigurationError
from dicom_node.settings import Settings, load

SPECIFIED = Path(__file__).with_name("specified.yaml")
"""The configuration the product was specified with, as it stands there."""

Load = Callable[[str], Settings]
Problems = Callable[[str], tuple[str, ...]]


@pytest.fixture
def specified() -> str:
    return SPECIFIED.read_text(encoding="utf-8")


@pytest.fixture
def load_text(tmp_path: Path) -> Load:
    def load_it(text: str) -> Settings:
        path = tmp_path / "node.yaml"
        path.write_text(text, encoding="utf-8")
        return load(path)

    return load_it


@pytest.fixture
def problems_in(load_text: Load) -> Problems:
    def find(text: str) -> tuple[str, ...]:
        with pytest.raises(ConfigurationError) as caught:
            load_text(text)
        return caught.value.problems

    return find
