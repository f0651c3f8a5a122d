"""OHIF, as npm has it, in front of an archive's DICOMweb.

OHIF is a page that reads studies over DICOMweb. `package` fetches the published build once into a
cache outside the repository; `serving` gives it and the archive's DICOMweb out under one address,
as a reverse proxy does in a hospital.
"""

from __future__ import annotations

import base64
import hashlib
import json
import mimetypes
import os
import shutil
import subprocess
import tarfile
import tempfile
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSION: Final = "3.13.2"
SHA512: Final = (
    "WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA=="
)
"""Of the package's tar file, in base64, as the registry states it."""

FETCH_S: Final = 240

_ARCHIVE_PATHS: Final = ("/dicom-web", "/wado")


class UnavailableError(Exception):
    """OHIF cannot be had on this machine; the message says why."""


def package() -> Path:
    """The folder of OHIF's page, fetched if this machine does not have it yet.

    Raises:
        UnavailableError: There is no npm, or it reaches no registry.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    wanted = cache / "dicom-node" / f"ohif-{VERSION}"
    if not wanted.is_dir():
        wanted.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=wanted.parent) as folder:
            unpacked = _fetch(Path(folder))
            try:
                unpacked.rename(wanted)
            except OSError:
                if not wanted.is_dir():  # nobody else was faster
                    raise
    return wanted / "dist"


def _fetch(folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise UnavailableError("needs npm on this machine (to fetch OHIF)")
    command = [npm, "pack", f"@ohif/app@{VERSION}", "--pack-destination", str(folder), "--silent"]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=FETCH_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"npm did not fetch OHIF within {FETCH_S} s") from None
    packed = next(folder.glob("*.tgz"), None)
    if done.returncode or packed is None:
        raise UnavailableError(f"npm could not fetch OHIF: {done.stderr.strip()[-200:]}")
    digest = base64.b64encode(hashlib.sha512(packed.read_bytes()).digest()).decode()
    assert digest == SHA512, "this is not the OHIF that was looked at"
    with tarfile.open(packed) as tar:
        tar.extractall(folder, filter="data")
    return folder / "package"


@contextmanager
def serving(page: Path, archive: str) -> Iterator[str]:
    """OHIF's page beside an archive at this address; the address of both."""

    class Handler(_Handler):
        folder, upstream = page, archive

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    folder: Path
    upstream: str

    def do_GET(self) -> None:
        if self.path.startswith(_ARCHIVE_PATHS):
            self._archive()
        elif self.path == "/app-config.js":
            self._answer(200, "text/javascript", _configuration().encode())
        else:
            self._page()

    def _page(self) -> None:
        root = self.folder.resolve()
        found = (root / self.path.partition("?")[0].lstrip("/")).resolve()
        if not (found.is_file() and found.is_relative_to(root)):
            found = root / "index.html"  # the page finds its own way from the address
        kind = mimetypes.guess_type(found.name)[0] or "application/octet-stream"
        self._answer(200, kind, found.read_bytes())

    def _archive(self) -> None:
        request = urllib.request.Request(self.upstream + self.path)
        for name in ("Accept", "Host"):
            if name in self.headers:
                request.add_header(name, self.headers[name])
        try:
            with urllib.request.urlopen(request) as answer:
                kind = answer.headers.get("Content-Type", "application/octet-stream")
                self._answer(answer.status, kind, answer.read())
        except urllib.error.HTTPError as error:
            self._answer(error.code, "text/plain", b"")

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        # What shared memory between threads of a page needs.
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def _configuration() -> str:
    """Of OHIF: where studies are."""
    source = {
        "friendlyName": "archive",
        "name": "archive",
        "wadoUriRoot": "/wado",
        "qidoRoot": "/dicom-web",
        "wadoRoot": "/dicom-web",
        "qidoSupportsIncludeField": True,
        "imageRendering": "wadors",
        "thumbnailRendering": "wadors",
        "enableStudyLazyLoad": True,
        "supportsFuzzyMatching": False,
        "supportsWildcard": True,
        "omitQuotationForMultipartRequest": True,
        "bulkDataURI": {"enabled": True, "relativeResolution": "studies"},
    }
    config = {
        "routerBasename": "/",
        "extensions": [],
        "modes": [],
        "showStudyList": True,
        "showCPUFallbackMessage": False,
        "showWarningMessageForCrossOrigin": False,
        "investigationalUseDialog": {"option": "never"},
        "disableConfirmationPrompts": True,
        "maxNumberOfWebWorkers": 2,
        "defaultDataSourceName": "dicomweb",
        "dataSources": [
            {
                "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
                "sourceName": "dicomweb",
                "configuration": source,
            }
        ],
    }
    return f"window.config = {json.dumps(config)};"
