"""Radiographs that come by STOW-RS: the real node, and Orthanc's DICOMweb plugin as the sender."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from pydicom import dcmread
from pynetdicom import AE
from pynetdicom import _config as pynetdicom_config

from tests.acceptance.harness import Node, Orthanc, configuration, stow, wait_until
from tests.acceptance.radiographs import copy_of, new_uid
from tests.network.archives import PLUGIN
from tests.network.objects import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.peer

TOKEN = "a token that nobody guesses"


class WebSite:
    """A node that takes by HTTP alone from the archive it sends to by C-STORE."""

    def __init__(self, folder: Path, weights: Path) -> None:
        dicom, web, self.monitoring = free_port(), free_port(), free_port()
        self.archive = Orthanc(
            folder / "orthanc",
            node_port=dicom,
            Plugins=[str(PLUGIN)],
            DicomWeb={
                "Enable": True,
                "Servers": {
                    "node": {
                        "Url": f"http://127.0.0.1:{web}/dicom-web/",
                        "HttpHeaders": {"Authorization": f"Bearer {TOKEN}"},
                    },
                    "stranger": {"Url": f"http://127.0.0.1:{web}/dicom-web/"},
                },
            },
        )
        values = configuration(port=dicom, archive_port=self.archive.dicom_port, weights=weights)
        values["peers"] = [
            {"name": "web", "ae_title": "WEB", "host": "127.0.0.0/8", "token_file": "token"},
            {"name": "modality", "ae_title": "STORESCU", "host": "127.0.0.1"},
        ]
        only_web = {"attribute": "CallingAETitle", "equals": "WEB"}
        values["routes"][0]["when"]["all"].append(only_web)
        values["dicomweb"] = {"enabled": True, "port": web}
        values["monitoring"] = {"enabled": True, "port": self.monitoring}
        (folder / "token").write_text(f"{TOKEN}\n")
        self.node = Node(folder, values)

    @property
    def port(self) -> int:
        assert self.node.web_port is not None
        return self.node.web_port

    def send(self, instance: str, server: str = "node") -> Any:
        body = json.dumps({"Resources": [instance], "Synchronous": True})
        return self.archive.post(f"dicom-web/servers/{server}/stow", body.encode())

    def metric(self, line: str) -> float:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.monitoring}/metrics") as answer:
            found = [
                each.rpartition(" ")[2]
                for each in answer.read().decode().splitlines()
                if each.startswith(f"dicom_node_{line} ")
            ]
        return float(found[0]) if found else 0.0


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Iterator[WebSite]:
    made = WebSite(tmp_path_factory.mktemp("web"), weights)
    made.archive.start()
    try:
        made.node.start()
        yield made
    finally:
        made.node.kill()
        made.archive.stop()


def new_image(folder: Path) -> tuple[str, Path]:
    dataset = copy_of("RG1_UNCR.dcm")
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = new_uid()
    dataset.save_as(path := folder / "image.dcm")
    return str(dataset.SOPInstanceUID), path


def c_store(port: int, path: Path) -> int:
    """The bytes of a file by C-STORE; DCMTK's storescu would write sequences anew."""
    meta = dcmread(path, stop_before_pixels=True).file_meta
    ae = AE("STORESCU")
    ae.add_requested_context(meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID)
    association = ae.associate("127.0.0.1", port, ae_title="SYNTH")
    status = int(association.send_c_store(path).Status)
    association.release()
    return status


def test_orthanc_stores_by_stow_rs_and_gets_the_views(web: WebSite, tmp_path: Path) -> None:
    uid, path = new_image(tmp_path)
    web.send(web.archive.upload(path))
    series = web.archive.wait_for_series(uid)
    assert {made.StudyInstanceUID for made in series} == {dcmread(path).StudyInstanceUID}
    (row,) = [row for row in web.node.images() if row["sop_instance_uid"] == uid]
    assert row["calling_ae_title"] == "WEB"
    assert web.metric('images_received_total{outcome="new"}') >= 1
    assert web.metric('dicomweb_requests_total{status="200"}') >= 1


def test_orthanc_without_a_token_is_turned_away_and_audited(web: WebSite, tmp_path: Path) -> None:
    _, path = new_image(tmp_path)
    instance = web.archive.upload(path)
    with pytest.raises(urllib.error.HTTPError):
        web.send(instance, "stranger")
    assert web.metric('dicomweb_requests_total{status="401"}') >= 1
    trail = (web.node.folder / "data" / "audit" / "trail.log").read_text()
    assert "the request bears no token" in trail
    assert TOKEN not in trail


def test_a_request_by_hand_is_one_image_however_often_and_by_whichever_way_it_comes(
    web: WebSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pynetdicom_config, "STORE_SEND_CHUNKED_DATASET", True)
    uid, path = new_image(tmp_path)
    assert stow(web.port, TOKEN, path) == 200
    assert stow(web.port, TOKEN, path) == 200
    assert c_store(web.node.port, path) == 0x0000
    series = web.archive.wait_for_series(uid)
    assert len(web.node.rows("SELECT id FROM images WHERE sop_instance_uid = :uid", uid=uid)) == 1
    jobs = web.node.rows(
        "SELECT jobs.state FROM jobs JOIN images ON images.id = jobs.image_id"
        " WHERE images.sop_instance_uid = :uid",
        uid=uid,
    )
    assert len(jobs) == 1
    made = tmp_path / "made.dcm"
    series[0].save_as(made)
    assert stow(web.port, TOKEN, made) == 200

    def decided() -> str | None:
        (row,) = [
            row for row in web.node.images() if row["sop_instance_uid"] == series[0].SOPInstanceUID
        ]
        reason: str | None = row["reason"]
        return reason

    assert "guard" in wait_until(decided, 20, "a decision about our own output")


def test_a_token_changes_while_the_node_runs(web: WebSite, tmp_path: Path) -> None:
    _, path = new_image(tmp_path)
    (web.node.folder / "token").write_text("another\n")
    assert stow(web.port, TOKEN, path) == 401
    assert stow(web.port, "another", path) == 200
    (web.node.folder / "token").write_text(f"{TOKEN}\n")
    values = yaml.safe_load(web.node.config.read_text())
    values["peers"][0]["may_send"] = False
    web.node.config.write_text(yaml.safe_dump(values))
    wait_until(lambda: stow(web.port, TOKEN, path) == 403, 30, "the changed peer is in force")
