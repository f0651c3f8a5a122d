"""The real node, a real archive and real radiographs, each in a process or file of its own."""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import io
import itertools
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import psutil
import sqlalchemy as sa
import yaml
from pydicom import Dataset, dcmread
from typer.testing import CliRunner

from dicom_node.cli import app
from dicom_node.settings.root import LEDGER_FILE
from tests.fakes.postgresql import PASSWORD
from tests.network.objects import free_port, tool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.fakes.postgresql import Cluster

VIEWS = 4
READY_S = 120.0


def radiograph(name: str) -> Path:
    """A file of pydicom-data."""
    found = importlib.util.find_spec("data_store")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "data" / name


def wait_until(what: Callable[[], Any], within_s: float, message: str) -> Any:
    """The first true value of a question that is asked again and again."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        value = what()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError(f"not within {within_s} s: {message}")


def configuration(*, port: int, archive_port: int, weights: Path) -> dict[str, Any]:
    """The node of the tests: a route for frontal chests, four views, one archive."""
    here = "127.0.0.1"
    return {
        "node": {"ae_title": "SYNTH", "host": here, "port": port, "data_dir": "data"},
        "peers": [
            {"name": "pacs", "ae_title": "ORTHANC", "host": here},
            {"name": "modality", "ae_title": "STORESCU", "host": here},
        ],
        "destinations": [
            {
                "name": "pacs",
                "ae_title": "ORTHANC",
                "host": here,
                "port": archive_port,
                "retry": {"first_s": 0.5, "factor": 1.5, "max_s": 2, "attempts": 500},
            }
        ],
        "view_sets": {
            "few": {"azimuth": {"from_deg": -60, "to_deg": 60, "step_deg": 40, "skip_source": True}}
        },
        "models": {"chest": {"path": str(weights)}},
        "routes": [
            {
                "name": "frontal-chest",
                "when": {
                    "all": [
                        {"attribute": "Modality", "one_of": ["CR", "DX"]},
                        {
                            "any": [
                                {"attribute": "BodyPartExamined", "matches": "CHEST|THORAX"},
                                {"attribute": "StudyDescription", "matches": "CHEST|THORAX"},
                            ]
                        },
                        {"attribute": "ViewPosition", "one_of": ["PA", "AP"]},
                    ]
                },
                "synthesize": {"model": "chest", "views": "few", "steps": 1},
                "send_to": ["pacs"],
            }
        ],
        "engine": {"device": "cpu", "deadline_s": 120},
        "retention": {"min_free_bytes": 0},
    }


class Node:
    """``dicom-node serve`` as users run it.

    Attributes:
        everywhere: The PostgreSQL of the nodes that are made; None: SQLite in their folders.
    """

    everywhere: ClassVar[Cluster | None] = None
    _databases = itertools.count(1)

    def __init__(self, folder: Path, values: dict[str, Any]) -> None:
        self.folder = folder
        self._server = self.everywhere
        if self._server is not None:
            self._database = f"node{next(self._databases)}"
            self.ledger_url = self._server.fresh(self._database)
            (folder / "password").write_text(PASSWORD + "\n")
            values["node"] |= {
                "database_url": f"postgresql://node@{self._server.host}:{self._server.port}/{self._database}",
                "database_password_file": "password",
            }
        else:
            self.ledger_url = f"sqlite:///{folder / values['node']['data_dir'] / LEDGER_FILE}"
        self.config = folder / "node.yaml"
        self.config.write_text(yaml.safe_dump(values))
        self.port: int = values["node"]["port"]
        self.lines: list[dict[str, Any]] = []
        self._process: subprocess.Popen[str] | None = None
        self._new: queue.Queue[dict[str, Any] | None] = queue.Queue()

    def start(
        self,
        command: Sequence[str] = ("-m", "dicom_node", "serve"),
        *,
        forget: bool = True,
        within_s: float = READY_S,
    ) -> float:
        """Seconds until it was ready. With ``forget``, waits look at what comes after that."""
        began = time.monotonic()
        self._launch(command)
        ready = self.wait_for("node_ready", within_s)
        if not forget:
            self._new.put(ready)
        self.port = ready["dicom_port"]
        self.web_port: int | None = ready["dicomweb_port"]
        self.console_port: int | None = ready["console_port"]
        return time.monotonic() - began

    def _launch(self, command: Sequence[str]) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(_ROOT)}
        self._new = queue.Queue()
        self._process = subprocess.Popen(
            [sys.executable, *command, "--config", str(self.config)],
            stdout=subprocess.PIPE,
            stderr=(self.folder / "stderr.txt").open("a"),
            text=True,
            cwd=self.folder,
            env=environment,
        )
        threading.Thread(target=self._listen, args=(self._process, self._new), daemon=True).start()

    def _listen(
        self, process: subprocess.Popen[str], new: queue.Queue[dict[str, Any] | None]
    ) -> None:
        assert process.stdout is not None
        with process.stdout:
            for text in process.stdout:
                line = json.loads(text)
                self.lines.append(line)
                new.put(line)
        new.put(None)

    def wait_for(self, event: str, within_s: float) -> dict[str, Any]:
        """The next log line of an event, from what was not looked at yet."""
        deadline = time.monotonic() + within_s
        while True:
            try:
                line = self._new.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {event!r} within {within_s} s: {self.tail()}") from None
            if line is None:
                raise AssertionError(f"the node ended before {event!r}: {self.tail()}")
            if line["event"] == event:
                return line

    def tail(self) -> str:
        errors = (self.folder / "stderr.txt").read_text()[-2000:]
        return f"{self.lines[-8:]}\n{errors}"

    @property
    def process(self) -> psutil.Process:
        assert self._process is not None
        return psutil.Process(self._process.pid)

    def engine(self) -> psutil.Process:
        """Its engine process, as soon as there is one."""

        def find() -> psutil.Process | None:
            return next(iter(self.process.children()), None)

        found: psutil.Process = wait_until(find, 60, "an engine process")
        return found

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def ended(self) -> bool:
        assert self._process is not None
        return self._process.poll() is not None

    def wait(self, within_s: float) -> int:
        assert self._process is not None
        return self._process.wait(within_s)

    def stop(self) -> int:
        """SIGTERM; its exit status."""
        self.signal(signal.SIGTERM)
        return self.wait(60)

    def kill(self) -> None:
        """``kill -9``, if it still runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def command(self, *arguments: str) -> Any:
        """What a command of ``dicom-node`` prints as JSON."""
        done = CliRunner().invoke(app, [*arguments, "--config", str(self.config)])
        assert done.exit_code == 0, done.output
        return json.loads(done.output)

    @contextlib.contextmanager
    def ledger(self, *, write: bool = False) -> Iterator[sa.Connection]:
        """Its database, behind its back, in one transaction."""
        url = self.ledger_url
        if self._server is None and not write:  # who may write would also tidy up after a crash
            url = f"{url.replace(':///', ':///file:')}?mode=ro&uri=true"
        with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
            yield connection

    def rows(self, sql: str, **values: str) -> list[tuple[Any, ...]]:
        """What its ledger answers; ``:name`` stands for each of the values."""
        with self.ledger() as connection:
            return [tuple(row) for row in connection.execute(sa.text(sql), values)]

    def states(self, table: str) -> set[str]:
        """Those of all its jobs or deliveries; quicker than a command, to ask again and again."""
        return {state for (state,) in self.rows(f"SELECT DISTINCT state FROM {table}")}

    def lose_data(self) -> None:
        """Its data folder and its ledger are gone, as on a new machine."""
        shutil.rmtree(self.folder / "data")
        if self._server is not None:
            self._server.fresh(self._database)

    def jobs(self) -> list[dict[str, Any]]:
        listed = self.command("jobs", "list", "--json")
        return listed["jobs"] if isinstance(listed, dict) else listed

    def images(self) -> list[dict[str, Any]]:
        listed = self.command("images", "list", "--json")
        return listed["images"] if isinstance(listed, dict) else listed


class Orthanc:
    """An archive that knows the node."""

    def __init__(self, folder: Path, *, node_port: int, **more: Any) -> None:
        """One with a storage of its own in the folder; ``more`` are settings of Orthanc."""
        self.folder = folder
        self.dicom_port = free_port()
        self.http_port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        settings = {
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "storage"),
            "Plugins": [],
            "HttpPort": self.http_port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomAet": "ORTHANC",
            "DicomPort": self.dicom_port,
            "DicomCheckCalledAet": True,
            "DicomModalities": {"node": ["SYNTH", "127.0.0.1", node_port]},
            "OverwriteInstances": False,
            "StableAge": 1,
            **more,
        }
        (folder / "orthanc.json").write_text(json.dumps(settings))

    def start(self) -> None:
        program = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
        self._process = subprocess.Popen(
            [program, str(self.folder / "orthanc.json")],
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / "log.txt").open("a"),
        )
        wait_until(lambda: self._answers(), 60, "Orthanc")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
            self._process = None

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _answers(self) -> bool:
        try:
            self.get("system")
        except OSError:
            return False
        return True

    def get(self, path: str) -> Any:
        return json.loads(self.read(path))

    def read(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/{path}") as answer:
            return bytes(answer.read())

    def post(self, path: str, body: bytes) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.http_port}/{path}", data=body, method="POST"
        )
        with urllib.request.urlopen(request) as answer:
            return json.loads(answer.read())

    def delete(self, path: str) -> None:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.http_port}/{path}", method="DELETE"
        )
        with urllib.request.urlopen(request) as answer:
            answer.read()

    def upload(self, path: Path) -> str:
        """Orthanc's name of the instance."""
        return str(self.post("instances", path.read_bytes())["ID"])

    def send_to_node(self, instance: str) -> None:
        """C-STORE by Orthanc itself; HTTPError when the node refused."""
        body = json.dumps({"Resources": [instance], "Synchronous": True, "Timeout": 60})
        self.post("modalities/node/store", body.encode())

    def instances(self) -> list[str]:
        return [str(name) for name in self.get("instances")]

    def file(self, instance: str) -> Dataset:
        return dcmread(io.BytesIO(self.read(f"instances/{instance}/file")))

    def synthetic(self, source_uid: str | None = None) -> list[Dataset]:
        """Its synthetic instances, of one source or of all, by Instance Number."""
        found = [
            dataset
            for dataset in map(self._kept, self.instances())
            if dataset.get("SyntheticData") == "YES"
            and source_uid in (None, dataset.SourceImageSequence[0].ReferencedSOPInstanceUID)
        ]
        return sorted(found, key=lambda d: int(d.InstanceNumber))

    def _kept(self, instance: str) -> Dataset:
        if instance not in _FILES:
            _FILES[instance] = self.file(instance)
        return _FILES[instance]

    def wait_for_series(
        self, source_uid: str, within_s: float = 60, views: int = VIEWS
    ) -> list[Dataset]:
        found: list[Dataset] = wait_until(
            lambda: len(made := self.synthetic(source_uid)) >= views and made,
            within_s,
            f"{views} views of {source_uid}",
        )
        return found


_FILES: dict[str, Dataset] = {}
"""Files by Orthanc's name, which is a hash over their UIDs."""

_ROOT = Path(__file__).parents[2]


def storescu(
    port: int, *files: Path, options: Sequence[str] = (), calling: str = "STORESCU"
) -> int:
    """DCMTK's storescu towards the node; its exit status."""
    return subprocess.run(
        [
            tool("storescu"),
            *options,
            "-R",
            "-aet",
            calling,
            "-aec",
            "SYNTH",
            "127.0.0.1",
            str(port),
            *map(str, files),
        ],
        capture_output=True,
        timeout=60,
        check=False,
    ).returncode


def stow(port: int, token: str, *files: Path) -> int:
    """A hand-made STOW-RS request towards the node; its HTTP status, 0 when it broke off."""
    parts = b"".join(
        b"--cut\r\nContent-Type: application/dicom\r\n\r\n" + file.read_bytes() + b"\r\n"
        for file in files
    )
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/dicom-web/studies",
        data=parts + b"--cut--\r\n",
        headers={
            "Authorization": f"Bearer {token}",
            "Content-Type": 'multipart/related; type="application/dicom"; boundary=cut',
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, http.client.HTTPException):
        return 0


def conformance_errors(path: Path) -> list[str]:
    """What dciodvfy calls an error in a file."""
    program = shutil.which("dciodvfy", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert program is not None, "dciodvfy is not installed"
    done = subprocess.run([program, str(path)], capture_output=True, text=True, check=False)
    report = (done.stdout + done.stderr).splitlines()
    assert report, "dciodvfy said nothing"
    return [line for line in report if line.startswith("Error")]
