"""A reading room: an archive with a study, and a browser."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.harness import Orthanc
from tests.network.objects import free_port
from tests.viewers import study
from tests.viewers.room import CHROMIUM, PLUGINS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser


@pytest.fixture(scope="package")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """An archive with the study; Orthanc's plugins give DICOMweb and a viewer of its own."""
    for plugin in ("DicomWeb", "WebViewer"):
        if not any(Path(PLUGINS).glob(f"*{plugin}*")):
            pytest.skip("needs orthanc-dicomweb and orthanc-webviewer on this machine")
    folder = tmp_path_factory.mktemp("archive")
    made = Orthanc(folder, node_port=free_port(), Plugins=[PLUGINS])
    made.start()
    try:
        for index, data in enumerate(study.files()):
            path = folder / f"{index}.dcm"
            path.write_bytes(data)
            made.upload(path)
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api")
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("needs chromium on this machine")
    with playwright.sync_playwright() as started:
        made = started.chromium.launch(executable_path=program, args=list(CHROMIUM))
        yield made
        made.close()
