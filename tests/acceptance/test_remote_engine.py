"""A node without PyTorch has its views made by an engine in another process, over the network."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.acceptance.harness import _ROOT
from tests.acceptance.test_lifecycle import BASE_INSTALLATION, send_one

if TYPE_CHECKING:
    from pathlib import Path

    from tests.acceptance.conftest import Site


@pytest.mark.peer
def test_a_node_without_torch_has_its_views_made_elsewhere(
    fresh_site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, archive = fresh_site.node, fresh_site.archive
    archive.start()
    values = yaml.safe_load(node.config.read_text())
    values["engine"] |= {"secret_env": "ENGINE_SECRET", "address": "127.0.0.1:1"}
    node.config.write_text(yaml.safe_dump(values))
    monkeypatch.setenv("ENGINE_SECRET", "open sesame")
    monkeypatch.setenv("PYTHONPATH", str(_ROOT))
    engine = subprocess.Popen(
        [
            *(sys.executable, "-m", "dicom_node", "serve-engine"),
            *("--port", "0", "--config", str(node.config)),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert engine.stdout is not None
        lines = (json.loads(line) for line in engine.stdout)
        port = next(line["port"] for line in lines if line["event"] == "engine_ready")
        threading.Thread(target=lambda: list(lines), daemon=True).start()
        values["engine"]["address"] = f"127.0.0.1:{port}"
        node.config.write_text(yaml.safe_dump(values))
        (tmp_path / "base.py").write_text(BASE_INSTALLATION)
        node.start([str(tmp_path / "base.py"), "serve"])
        node.wait_for("a model is loaded", 120)
        uid = send_one(node, tmp_path)
        assert len(archive.wait_for_series(uid, within_s=180)) == 4
        node.stop()
        engine.send_signal(signal.SIGTERM)
        assert engine.wait(60) == 0
    finally:
        engine.kill()
        engine.wait()
