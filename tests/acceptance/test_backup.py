"""Backups of a node that receives, and a node that starts on one."""

from __future__ import annotations

import subprocess
import sys
import threading
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.harness import Node, storescu, wait_until
from tests.acceptance.radiographs import copy_of, new_uid

if TYPE_CHECKING:
    from tests.acceptance.conftest import Site

pytestmark = [
    pytest.mark.peer,
    pytest.mark.slow,
]

RIGGED = ("-m", "tests.acceptance.rigged", "serve", "--echo")


class Sender(threading.Thread):
    """Sends one radiograph after the other, each under its own UID, until it is told to end."""

    def __init__(self, node: Node, folder: Path) -> None:
        super().__init__(daemon=True)
        self._node = node
        self._folder = folder
        self._dataset = copy_of("RG1_UNCR.dcm", every=8)
        self.acknowledged: list[str] = []
        self.end = threading.Event()

    def run(self) -> None:
        self._folder.mkdir()
        while not self.end.is_set():
            uid = new_uid()
            self._dataset.SOPInstanceUID = uid
            self._dataset.file_meta.MediaStorageSOPInstanceUID = uid
            self._dataset.save_as(self._folder / "image.dcm")
            if storescu(self._node.port, self._folder / "image.dcm") == 0:
                self.acknowledged.append(uid)


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dicom_node", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def in_ledger(node: Node) -> dict[str, str]:
    """Digest by SOP Instance UID of received images."""
    return dict(node.rows("SELECT sop_instance_uid, digest FROM images"))


@pytest.mark.on_both
def test_a_backup_of_a_node_under_load_holds_all_that_was_acknowledged_before_and_starts_as_a_node(
    fresh_site: Site, tmp_path: Path
) -> None:
    node = fresh_site.node
    node.start(RIGGED, within_s=120)
    sender = Sender(node, tmp_path / "outbox")
    sender.start()
    wait_until(lambda: len(sender.acknowledged) >= 5, 60, "five images")
    before = list(sender.acknowledged)
    backups = [tmp_path / name for name in ("first", "second.tar")]
    for backup in backups:
        done = run("backup", "--config", node.config, "--to", backup)
        assert done.returncode == 0, done.stderr
    busy = len(sender.acknowledged)
    sender.end.set()
    sender.join(60)
    assert busy > len(before), "nothing was received while the backups were taken"
    assert node.stop() == 0

    spool = node.folder / "data" / "spool"
    everything = in_ledger(node)
    held = []
    for backup in backups:
        node.lose_data()
        done = run("restore", "--config", node.config, backup)
        assert done.returncode == 0, done.stderr
        restored = in_ledger(node)
        held.append(len(restored))
        assert set(before) <= set(restored) <= set(everything)
        for digest in restored.values():
            file = spool / digest[:2] / f"{digest}.dcm"
            assert sha256(file.read_bytes()).hexdigest() == digest
    assert held == sorted(held)

    archive = fresh_site.archive
    archive.start()
    node.start(RIGGED, within_s=120)
    archive.wait_for_series(before[0], within_s=240)
    assert node.stop() == 0
