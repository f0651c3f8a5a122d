"""Models in the configuration: families, and what their paths have to be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dicom_node.domain.errors import ConfigurationError

PUBLISHED = "node: {ae_title: A}\nmodels: {m: {family: svdrr, path: weights}}"


def test_a_folder_of_published_weights_is_found_or_missed_by_name(
    load_text: Any, tmp_path: Path
) -> None:
    settings = load_text(PUBLISHED)
    with pytest.raises(ConfigurationError, match=r"^models\.m\.path: there is no model_index\.js"):
        settings.model_paths()
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/model_index.json").touch()
    assert settings.model_paths() == {"m": tmp_path / "weights"}


def test_a_folder_is_no_checkpoint_of_ours(load_text: Any, tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    settings = load_text(PUBLISHED.replace("family: svdrr, ", ""))
    with pytest.raises(ConfigurationError, match=r"is a folder: .*give family: svdrr"):
        settings.model_paths()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("path: weights", "path: bundled", r"models\.m.*the published weights do not come along"),
        ("svdrr", "unet", r"models\.m\.family.*(vcdit|svdrr)"),
    ],
)
def test_a_family_that_cannot_be_is_told(load_text: Any, old: str, new: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        load_text(PUBLISHED.replace(old, new))


@pytest.mark.parametrize(
    "text",
    [
        "node: {ae_title: A}\nmodels: {m: {path: '~nobody.has.this.name/x'}}",
        "node: {ae_title: A, data_dir: '~nobody.has.this.name/x'}",
    ],
)
def test_a_path_in_the_home_of_nobody_is_told(load_text: Any, text: str) -> None:
    with pytest.raises(ConfigurationError, match="the name of nobody here"):
        load_text(text)
