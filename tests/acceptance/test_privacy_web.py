"""The same patient over the web: archives that echo what they were sent, studies that are fetched,
people who search by identifier, and those who are told of trouble. The audit trail may name the
Patient ID where it is configured to, as PS3.15 asks, and nothing else of a patient.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from pynetdicom import _config as pynetdicom_config

from dicom_node.domain.accounts import Role
from dicom_node.settings import load
from tests.acceptance.harness import Node, configuration, wait_until
from tests.acceptance.marks import BIRTH, MARK, files_of, marked, unmarked
from tests.acceptance.people import account
from tests.acceptance.test_privacy import no_pixels, not_a_chest, send, wrong_pixels
from tests.console.conftest import PASSWORD
from tests.network.objects import free_port
from tests.notifying.servers import mail_server, webhook

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom import Dataset

    from tests.notifying.servers import Hook, Mailbox

ECHO = ("-m", "tests.acceptance.rigged", "serve", "--echo")
ROOT = Path(__file__).parents[2]
PATIENT_ID = "PIDZQX-7"
STUDY = "1.2.3"
ECHOING = {"answers500": 500, "answers400": 400, "answers409": 409, "answers202": 202}
"""Destination -> the status it answers every store with, and the patient's data beside it."""


class Archive(BaseHTTPRequestHandler):
    """A DICOMweb service that says more than it should; what it does stands in its path."""

    protocol_version = "HTTP/1.1"
    asked: list[str]
    study: bytes

    def do_POST(self) -> None:
        while size := int(self.rfile.readline(), 16):
            self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        where = self.path.split("/")[1]
        self.asked.append(where)
        if where == "hangs-up":
            self.close_connection = True
            return
        told = {
            "00081198": {
                "vr": "SQ",
                "Value": [
                    {
                        "00081155": {"vr": "UI", "Value": [f"{MARK}.1"]},
                        "00081197": {"vr": "US", "Value": [f"{MARK}"]},
                        "00000902": {"vr": "LO", "Value": [f"{MARK} IS NO PATIENT"]},
                    }
                ],
            },
            "00100010": {"vr": "PN", "Value": [{"Alphabetic": f"{MARK}^NAME"}]},
        }
        self._answer(ECHOING[where], json.dumps(told).encode(), "application/dicom+json")

    def do_GET(self) -> None:
        where = self.path.split("/")[1]
        self.asked.append(where)
        if where == "angry":
            self._answer(500, f"no study of {MARK}^NAME born {BIRTH}".encode(), "text/plain")
        elif self.path.partition("?")[0].endswith("/series"):
            series = [
                {
                    "0020000E": {"vr": "UI", "Value": ["1.2.3.4"]},
                    "00080060": {"vr": "CS", "Value": ["CR"]},
                    "0008103E": {"vr": "LO", "Value": [f"{MARK} SERIES"]},
                }
            ]
            self._answer(200, json.dumps(series).encode(), "application/dicom+json")
        elif "/series/" in self.path:
            parts = (self.study, f"{MARK} is no object".encode(), self.study[:900])
            body = b"".join(
                b"--edge\r\nContent-Type: application/dicom\r\n\r\n" + each + b"\r\n"
                for each in parts
            )
            kind = 'multipart/related; type="application/dicom"; boundary=edge'
            self._answer(200, body + b"--edge--\r\n", kind)
        else:
            self._answer(200, f'["{MARK}"]'.encode(), "application/dicom+json")

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status, f"{MARK} reason")
        self.send_header("Warning", f'299 - "{MARK} warning"')
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@contextmanager
def archives(study: bytes) -> Iterator[tuple[int, list[str]]]:
    """Their port, and who of them was asked."""
    asked: list[str] = []
    handler = type("Handler", (Archive,), {"asked": asked, "study": study})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server.server_address[1], asked
    finally:
        server.shutdown()
        server.server_close()


def site(folder: Path, weights: Path, web: int, hook: Hook, box: Mailbox) -> Node:
    """A node before these archives, with a console, that tells of everything."""
    values = configuration(port=free_port(), archive_port=free_port(), weights=weights)
    retry = {"first_s": 0.2, "factor": 1, "max_s": 0.2, "attempts": 3}
    names = (*ECHOING, "hangs-up", "angry", "vna")
    values["destinations"] = [
        {"name": name, "url": f"http://127.0.0.1:{web}/{name}", "retry": retry} for name in names
    ]
    values["destinations"][0] |= {
        "label": "presentation_state",
        "report": True,
        "key_objects": True,
    }
    values["routes"][0]["send_to"] = [*ECHOING, "hangs-up"]
    values["monitoring"] = {"enabled": True, "port": free_port()}
    values["console"] = {"enabled": True, "port": free_port()}
    values["audit"] = {"patient_ids": True}
    (folder / "webhook.key").write_text("a key\n")
    events = ["quarantine", "destination", "engine"]
    values["notifications"] = {
        "webhooks": [{"name": "duty", "url": hook.url, "secret_file": "webhook.key"}],
        "emails": [
            {
                "name": "people",
                "host": "127.0.0.1",
                "port": box.port,
                "security": "none",
                "sender": "node@hospital.example",
                "to": ["ada@hospital.example"],
            }
        ],
        "rules": [{"name": "all", "events": events, "after_s": 0, "to": ["duty", "people"]}],
        "look_every_s": 1,
    }
    return Node(folder, values)


def patient(number: int) -> Dataset:
    dataset = marked()
    dataset.PatientID = PATIENT_ID
    dataset.AccessionNumber = f"{MARK}-ACC"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"2.25.77{number}"
    return dataset


def send_all(node: Node, folder: Path) -> Path:
    """One that goes through and three that do not; the file of the first."""
    folder.mkdir()
    for number, damage in enumerate((None, no_pixels, not_a_chest, wrong_pixels)):
        dataset = patient(number)
        if damage is not None:
            damage(dataset)
        dataset.save_as(folder / f"{number}.dcm")
        assert send(node.port, folder / f"{number}.dcm") == 0
    return folder / "0.dcm"


def fetched(node: Node, source: str) -> subprocess.CompletedProcess[str]:
    """What ``dicom-node fetch`` says, at the level that says most."""
    command = f"-m dicom_node fetch --study {STUDY} --from {source}"
    return subprocess.run(
        [sys.executable, *command.split(), "--config", str(node.config)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "DICOM_NODE_LOG_LEVEL": "debug"},
    )


def look_around(node: Node, port: int, image: bytes) -> list[int]:
    """Log in, search by identifier, open pages, try files; the statuses of the answers."""
    text = account(node, "ada", Role.ADMIN)
    paths = (
        "/",
        f"/images?accession={MARK}-ACC",
        f"/images?text={MARK}%5ENAME",
        f"/images/live?study={MARK}",
        f"/jobs?accession={MARK}-ACC&text={MARK}",
        f"/jobs/{MARK}",
        f"/images?before={MARK}",
        "/images/1",
        "/images/1/file.dcm",
        "/jobs",
        "/quarantine",
        f"/nothing/{MARK}",
        f"/login?next=/images%3Faccession%3D{MARK}",
    )
    programs = (
        ("GET", f"/images?accession={MARK}-ACC", b""),
        ("GET", f"/jobs?since={MARK}", b""),
        ("POST", f"/trials?caller={MARK}", image),
        ("POST", "/trials", image[:900] + MARK.encode()),
        ("POST", "/previews", image[: len(image) // 2]),
        ("POST", "/configuration/check", json.dumps({"text": f"{MARK}: 1"}).encode()),
        ("POST", "/quarantine", json.dumps({"kind": MARK, "deed": "cancel"}).encode()),
    )
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as browser:
        form = browser.get("/login").text
        before = form.partition('name="before" value="')[2].partition('"')[0]
        data = {"name": "ada", "password": PASSWORD, "before": before, "next": "/"}
        assert browser.post("/login", data=data).status_code == 303
        told = [browser.get(path).status_code for path in paths]
        headers = {"Authorization": f"Bearer {text}"}
        for method, path, body in programs:
            kind = "application/json" if body.startswith(b"{") else "application/dicom"
            answer = browser.request(
                method,
                f"/api/v1{path}",
                content=body,
                headers={**headers, "Content-Type": kind},
            )
            told.append(answer.status_code)
    return told


def settled(node: Node, asked: list[str], hook: Hook) -> bool:
    """Whether every archive failed in its way, and somebody was told."""
    causes = {json.loads(body)["cause"] for _, body in hook.posted}
    return set(asked) >= {*ECHOING, "hangs-up"} and {"quarantine", "destination"} <= causes


def test_nothing_about_a_patient_comes_back_over_the_web(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DICOM_NODE_LOG_LEVEL", "debug")
    monkeypatch.setattr(pynetdicom_config, "STORE_SEND_CHUNKED_DATASET", True)
    patient(9).save_as(tmp_path / "study.dcm")
    study = (tmp_path / "study.dcm").read_bytes()
    with archives(study) as (web, asked), webhook() as hook, mail_server() as box:
        node = site(tmp_path, weights, web, hook, box)
        try:
            node.start(ECHO, within_s=180)
            image = send_all(node, tmp_path / "sent")
            ready = next(line for line in node.lines if line["event"] == "node_ready")
            fetches = {name: fetched(node, name) for name in ("vna", "angry")}
            wait_until(lambda: settled(node, asked, hook), 240, f"trouble: {asked}, {hook.posted}")
            statuses = look_around(node, ready["console_port"], image.read_bytes())
            watching = load(node.config).monitoring.port
            metrics = httpx.get(f"http://127.0.0.1:{watching}/metrics", timeout=120).content
            wait_until(lambda: box.letters, 120, "a letter")
        finally:
            if node.process.is_running():
                node.stop()
            node.kill()
    assert fetches["vna"].returncode == 1
    assert "2 instances of 1 series arrived from vna, 1 failed" in fetches["vna"].stdout
    assert fetches["angry"].returncode == 2
    assert {200, 303, 404, 422} <= set(statuses)
    assert 500 not in statuses
    assert len(node.lines) > 30
    written = {path.name: path.read_bytes() for path in files_of(node)}
    trail = written.pop("trail.log")
    written |= {
        "metrics": metrics,
        "stderr": (tmp_path / "stderr.txt").read_bytes(),
        "log": "\n".join(map(str, node.lines)).encode(),
        "webhooks": b"\n".join(body for _, body in hook.posted),
        "letters": b"\n".join(letter.as_bytes() for letter in box.letters),
    }
    for name, done in fetches.items():
        written[f"fetch from {name}"] = (done.stdout + done.stderr).encode()
    unmarked(written, PATIENT_ID)
    unmarked({"trail": trail})
    assert PATIENT_ID.encode() in trail, "PS3.15 A.5.3.7 asks for it, and it is configured"
