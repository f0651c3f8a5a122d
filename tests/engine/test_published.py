"""The published weights behind the engine's process, as the node uses them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dicom_node.domain.errors import EngineInputError
from dicom_node.engine.client import ChildEngine
from synthesis.digest import weights_digest
from tests.engine.requests import request
from tests.svdrr import tiny_model

DEADLINE_S = 240.0


def test_a_folder_of_published_weights_synthesizes_in_the_engine_s_process(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "published")
    engine = ChildEngine(
        {"svdrr": str(folder), "broken": str(folder / "transformer")}, "cpu", threads=1
    )
    try:
        identity = engine.load("svdrr", deadline_s=DEADLINE_S)
        assert (identity.family, identity.resolution) == ("svdrr", 64)
        assert identity.digest == weights_digest(folder)  # what the node's job keys hold
        asked = replace(request(side=40), allow_ineligible=True)
        result = engine.synthesize("svdrr", asked, deadline_s=DEADLINE_S)
        assert [image.view for image in result.images] == list(asked.views)
        assert {image.pixels.shape for image in result.images} == {(64, 64)}
        with pytest.raises(EngineInputError, match=r"there is no .*model_index\.json"):
            engine.load("broken", deadline_s=DEADLINE_S)
    finally:
        engine.close()
