"""Archives that can be asked: Orthanc with its DICOMweb plugin, and DCMTK's dcmqrscp."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pynetdicom import AE

from tests.network.objects import free_port, tool

if TYPE_CHECKING:
    from collections.abc import Iterator

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


@dataclass(frozen=True, kw_only=True)
class OrthancWeb:
    """Where an Orthanc is."""

    dicom_port: int
    http_port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}/dicom-web"

    def ask(self, path: str, body: bytes | None = None) -> Any:
        url = f"http://127.0.0.1:{self.http_port}/{path}"
        request = urllib.request.Request(url, data=body, method="POST" if body else "GET")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")


@contextmanager
def orthanc(folder: Path, *, node_port: int) -> Iterator[OrthancWeb]:
    """An Orthanc that lets SYNTH ask for everything and knows where it is."""
    where = OrthancWeb(dicom_port=free_port(), http_port=free_port())
    settings = {
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [str(PLUGIN)],
        "HttpPort": where.http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAet": "ORTHANC",
        "DicomPort": where.dicom_port,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowMove": True,
        "DicomModalities": {"node": ["SYNTH", "127.0.0.1", node_port]},
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "orthanc.json").write_text(json.dumps(settings))
    program = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
    with (folder / "log.txt").open("a") as log:
        process = subprocess.Popen(
            [program, str(folder / "orthanc.json")], stdout=subprocess.DEVNULL, stderr=log
        )
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                where.ask("dicom-web/studies?limit=1")
                break
            except (OSError, ValueError):
                time.sleep(0.1)
        yield where
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def dcmqrscp(folder: Path) -> Iterator[int]:
    """DCMTK's archive, which takes, tells and gives everything to SYNTH; its port."""
    port = free_port()
    (folder / "storage").mkdir(parents=True)
    (folder / "dcmqrscp.cfg").write_text(
        f"""NetworkTCPPort = {port}
MaxPDUSize = 131072
MaxAssociations = 16
HostTable BEGIN
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
QRSCP {folder / "storage"} RW (200, 1024mb) ANY
AETable END
"""
    )
    process = subprocess.Popen(
        [tool("dcmqrscp"), "-c", str(folder / "dcmqrscp.cfg")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        ae = AE()
        ae.add_requested_context("1.2.840.10008.1.1")
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            association = ae.associate("127.0.0.1", port, ae_title="QRSCP")
            if association.is_established:
                association.release()
                break
            time.sleep(0.1)
        yield port
    finally:
        process.kill()
        process.wait()
