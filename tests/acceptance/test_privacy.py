"""A patient with a mark in every attribute goes through success and every failure; nothing the node
writes outside spool, ledger and the objects may show the mark.
"""

from __future__ import annotations

import os
import socket
import struct
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pydicom import Dataset, Sequence, config
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pynetdicom import AE, build_context
from pynetdicom import _config as pynetdicom_config
from typer.testing import CliRunner

from dicom_node.cli import app
from tests.acceptance.harness import Node, configuration, wait_until
from tests.acceptance.marks import MARK, NUMBER, files_of, marked, unmarked
from tests.acceptance.radiographs import new_uid
from tests.network.objects import dcmtk_archive, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.peer

EXPLICIT = "1.2.840.10008.1.2.1"
JPEG_2000 = "1.2.840.10008.1.2.4.90"
PUSH_MODEL = "1.2.840.10008.1.20.1"
PUSH_INSTANCE = "1.2.840.10008.1.20.1.1"
COMPUTED_RADIOGRAPHY = "1.2.840.10008.5.1.4.1.1.1"


def no_pixels(dataset: Dataset) -> None:
    del dataset.PixelData


def absurd_size(dataset: Dataset) -> None:
    dataset.Rows = dataset.Columns = 65535


def wrong_values(dataset: Dataset) -> None:
    for keyword in ("PatientAge", "PatientBirthDate", "StudyTime"):
        vr = dictionary_VR(keyword)
        dataset[keyword] = DataElement(keyword, vr, MARK, validation_mode=config.IGNORE)
    dataset.ImagerPixelSpacing = [NUMBER, NUMBER]


def wrong_study_uid(dataset: Dataset) -> None:
    dataset["StudyInstanceUID"] = DataElement(
        "StudyInstanceUID", "UI", MARK, validation_mode=config.IGNORE
    )


def wrong_character_set(dataset: Dataset) -> None:
    dataset["SpecificCharacterSet"] = DataElement(
        "SpecificCharacterSet", "CS", MARK, validation_mode=config.IGNORE
    )


def other_instance(dataset: Dataset) -> None:
    dataset.file_meta.MediaStorageSOPInstanceUID = new_uid()


def no_patient(dataset: Dataset) -> None:
    del dataset.PatientID


def not_a_chest(dataset: Dataset) -> None:
    dataset.BodyPartExamined = MARK


def black(dataset: Dataset) -> None:
    dataset.PixelData = np.zeros((dataset.Rows, dataset.Columns), np.uint16).tobytes()


def wrong_pixels(dataset: Dataset) -> None:
    dataset.PixelData = (MARK * 9).encode() + b"0"


DAMAGES: tuple[Callable[[Dataset], object], ...] = (
    no_pixels,
    absurd_size,
    wrong_values,
    wrong_study_uid,
    wrong_character_set,
    other_instance,
    no_patient,
    not_a_chest,
    black,
    wrong_pixels,
)


def send(port: int, path: Path, syntax: str = EXPLICIT, calling: str = "STORESCU") -> int | None:
    """Status of the answer; None when there was none."""
    ae = AE(ae_title=calling)
    ae.acse_timeout = ae.dimse_timeout = 20
    association = ae.associate(
        "127.0.0.1", port, contexts=[build_context(COMPUTED_RADIOGRAPHY, syntax)], ae_title="SYNTH"
    )
    if not association.is_established:
        return None
    status = association.send_c_store(path).get("Status")
    association.release()
    return None if status is None else int(status)


@pytest.fixture
def sender(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., int | None]]:
    monkeypatch.setattr(pynetdicom_config, "STORE_SEND_CHUNKED_DATASET", True)
    yield send


def test_nothing_about_a_patient_is_written_where_it_does_not_belong(
    tmp_path: Path,
    weights: Path,
    sender: Callable[..., int | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "archive").mkdir()
    (tmp_path / "sent").mkdir()
    monkeypatch.setenv("DICOM_NODE_LOG_LEVEL", "debug")
    with dcmtk_archive(tmp_path / "archive") as archive:
        values = configuration(port=free_port(), archive_port=archive, weights=weights)
        dead = {**values["destinations"][0], "name": "dead", "port": free_port()}
        values["destinations"].append(dead)
        values["routes"][0]["send_to"].append("dead")
        values["routes"].insert(
            0,
            {
                **values["routes"][0],
                "name": "old",
                "when": {"attribute": "PatientAge", "range": {"at_least": 120}},
            },
        )
        values["monitoring"] = {"enabled": True, "port": (watching := free_port())}
        node = Node(tmp_path, values)
        try:
            node.start(within_s=120)
            statuses = _send_everything(node, tmp_path / "sent", sender)
            wait_until(lambda: len(list((tmp_path / "archive").iterdir())) >= 4, 180, "views")
            node.engine().kill()
            again = marked()
            again.save_as(tmp_path / "sent" / "again.dcm")
            assert sender(node.port, tmp_path / "sent" / "again.dcm") == 0
            wait_until(lambda: len(list((tmp_path / "archive").iterdir())) >= 8, 180, "views again")
            wait_until(
                lambda: any("sent again" in str(line["event"]) for line in node.lines),
                90,
                "a delivery that fails",
            )
            seen = {tmp_path / name: _get(watching, name) for name in ("metrics", "health/ready")}
            found = CliRunner().invoke(app, ["verify-store", "--config", str(node.config)])
            seen[tmp_path / "verify-store"] = found.output.encode()
        finally:
            if node.process.is_running():
                node.stop()
            node.kill()
    assert 0 in statuses
    assert any(status not in (0, None) for status in statuses)
    written = seen | {path: path.read_bytes() for path in files_of(node)}
    assert b"dicom_node_" in written[tmp_path / "metrics"]
    assert any(path.name == "trail.log" for path in written)
    written[tmp_path / "stderr.txt"] = (tmp_path / "stderr.txt").read_bytes()
    written[tmp_path / "log"] = "\n".join(map(str, node.lines)).encode()
    assert len(node.lines) > 30
    unmarked({path.name: data for path, data in written.items()})
    _nobody_else_reads(node.folder / "data")


def _get(port: int, path: str) -> bytes:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=60) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.read()


def _ask_about(port: int) -> int:
    """Whether instances are committed whose identifiers are names; the status of the answer."""
    association = AE(ae_title="STORESCU").associate(
        "127.0.0.1", port, contexts=[build_context(PUSH_MODEL)], ae_title="SYNTH"
    )
    assert association.is_established
    item, demand = Dataset(), Dataset()
    for dataset, keywords in (
        (item, ("ReferencedSOPClassUID", "ReferencedSOPInstanceUID")),
        (demand, ("TransactionUID",)),
    ):
        for keyword in keywords:
            dataset[keyword] = DataElement(keyword, "UI", MARK, validation_mode=config.IGNORE)
    demand.ReferencedSOPSequence = Sequence([item])
    answer, _ = association.send_n_action(demand, 1, PUSH_MODEL, PUSH_INSTANCE)
    association.release()
    return int(answer.get("Status", -1))


def _send_everything(
    node: Node, folder: Path, sender: Callable[..., int | None]
) -> list[int | None]:
    statuses: list[int | None] = []

    def go(name: str, dataset: Dataset, syntax: str = EXPLICIT) -> Path:
        path = folder / f"{name}.dcm"
        dataset.save_as(path)
        # Numbers as text, which pydicom does not write when they are none.
        path.write_bytes(path.read_bytes().replace(NUMBER.encode(), f"{MARK}1".encode()))
        statuses.append(sender(node.port, path, syntax))
        return path

    good = marked()
    path = go("good", good)
    statuses.append(sender(node.port, path, calling="STRANGER"))
    good.PatientComments = f"{MARK} other content"
    go("conflict", good)
    for damage in DAMAGES:
        dataset = marked()
        damage(dataset)
        go(damage.__name__, dataset)
    whole = path.read_bytes()
    for cut in (len(whole) // 2, 1200, 700):
        half = folder / f"cut-{cut}.dcm"
        half.write_bytes(whole[:cut])
        statuses.append(sender(node.port, half))
    compressed = marked()
    compressed.compress(JPEG_2000, generate_instance_uid=False)
    data = bytes(compressed.PixelData)
    compressed.PixelData = data[:200] + (MARK * 20).encode() + data[340:]
    go("compressed", compressed, JPEG_2000)
    statuses.append(_ask_about(node.port))
    for kind in (1, 4, 9):
        with socket.create_connection(("127.0.0.1", node.port)) as connection:
            text = MARK.encode() * 30
            connection.sendall(struct.pack(">BBI", kind, 0, len(text)) + text)
            time.sleep(0.1)
    return statuses


def _nobody_else_reads(data: Path) -> None:
    for path in [data, *data.rglob("*")]:
        mode = os.lstat(path).st_mode & 0o777
        assert mode & 0o077 == 0, f"{path} has mode {mode:04o}"
