from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.rulebook.site import Site, a_site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with a_site(tmp_path) as made:
        yield made
