"""``dicom-node serve`` with parts that end the process where a file says: ``rigged.py --config``.

The parts are handed to the composition root; the product knows nothing of them. The file ``fuse``
in the current folder holds the point at which the process kills itself, once. ``--echo`` takes the
engine's place by one that answers at once, ``--worker MODULE`` that of the engine's process by
another, with short waits between the attempts of a job. With ``--no-synthesis`` no job is done,
``--descriptors N`` is a ulimit, and ``--patience S`` how long a destination may take to answer, and
for the rest of an answer that it began.
"""

from __future__ import annotations

import dataclasses
import os
import resource
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from dicom_node.bootstrap import SPOOL_FOLDER, Node, build
from dicom_node.domain.retry import RetryPolicy
from dicom_node.engine.client import ChildEngine
from dicom_node.network.associations import Timeouts
from dicom_node.network.scu import PynetStoreClient
from dicom_node.settings import load
from dicom_node.store.ledger import open_ledger
from dicom_node.store.spool import FileSpool
from dicom_node.supervisor import serve
from synthesis.digest import weights_digest
from tests.fakes.engine import FakeEngine

if TYPE_CHECKING:
    from dicom_node.settings import Settings
    from synthesis.types import SynthesisRequest, SynthesisResult

FUSE = Path("fuse")
_NONE_IS_NOTHING = ("lease_job", "lease_delivery", "ask_commitment")
"""Methods that often find nothing to do; then they did not pass the point."""


def doomed(point: str) -> bool:
    """Whether this is the point, and its turn; the file goes, so that it happens once."""
    try:
        wanted, _, left = FUSE.read_text().strip().partition(" x")
    except FileNotFoundError:
        return False
    if wanted != point:
        return False
    if left and int(left) > 1:
        FUSE.write_text(f"{wanted} x{int(left) - 1}")
        return False
    FUSE.unlink()
    return True


def die_at(point: str) -> None:
    """``kill -9`` of this process if the file says so."""
    if doomed(point):
        os.kill(os.getpid(), signal.SIGKILL)


class Fused:
    """A part that may die before and after each of its methods."""

    def __init__(self, target: Any, name: str) -> None:
        self._target, self._name = target, name

    def __getattr__(self, method: str) -> Any:
        real = getattr(self._target, method)
        if not callable(real):
            return real

        def call(*args: Any, **kwargs: Any) -> Any:
            die_at(f"before {self._name}.{method}")
            result = real(*args, **kwargs)
            if result is not None or method not in _NONE_IS_NOTHING:
                die_at(f"after {self._name}.{method}")
            return result

        return call


class FusedSpool(FileSpool):
    """Dies between the steps of one write too."""

    def _write(self, path: Path, data: bytes) -> None:
        if doomed("half of a temporary file"):
            path.write_bytes(data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        super()._write(path, data)
        die_at("a temporary file")


class Echo(FakeEngine):
    """Answers at once and remembers nothing, however long it runs."""

    def synthesize(
        self, model: str, request: SynthesisRequest, *, deadline_s: float
    ) -> SynthesisResult:
        self.requests.clear()
        return super().synthesize(model, request, deadline_s=deadline_s)


def rigged(settings: Settings, *, echo: bool, worker: str = "", patience_s: str = "") -> Node:
    """The node with fuses in spool, ledger and engine."""
    keep = settings.retention.min_free_bytes
    spool = FusedSpool(settings.node.data_dir / SPOOL_FOLDER, min_free_bytes=keep)
    parts: dict[str, Any] = {
        "spool": Fused(spool, "spool"),
        "ledger": Fused(open_ledger(settings.database_url()), "ledger"),
    }
    if echo:
        (path,) = settings.model_paths().values()
        parts["engines"] = [
            Fused(Echo(weights=weights_digest(path)), "engine")
            for _ in range(settings.engine.workers)
        ]
    if worker:
        paths = {name: str(path) for name, path in settings.model_paths().items()}
        rest = RetryPolicy(first_s=0.2, factor=2.0, max_s=1.0, attempts=10**9)
        parts["engines"] = [ChildEngine(paths, "cpu", module=worker, respawn=rest)]
    if patience_s:
        timeouts = Timeouts(dimse_s=float(patience_s), network_s=float(patience_s))
        parts["client"] = PynetStoreClient(settings.node.ae_title, timeouts=timeouts)
    node = build(settings, **parts)
    # Two hundred kills are no reason to suspect the job that happened to run.
    patient: dict[str, Any] = {"max_lost_leases": 10_000}
    if worker:
        patient["retry"] = RetryPolicy(first_s=0.3, factor=1.0, max_s=0.3, attempts=3)
    services = tuple(dataclasses.replace(each, **patient) for each in node.synthesizing)
    return dataclasses.replace(node, synthesizing=services)


def main(arguments: list[str]) -> NoReturn:
    settings = load(Path(option(arguments, "--config")))
    echo, worker = "--echo" in arguments, option(arguments, "--worker")
    patience_s = option(arguments, "--patience")
    if limit := option(arguments, "--descriptors"):
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(limit), int(limit)))

    def build_rigged(given: Settings) -> Node:
        node = rigged(given, echo=echo, worker=worker, patience_s=patience_s)
        if "--no-synthesis" in arguments:
            node = dataclasses.replace(node, synthesizing=())
        return node

    serve(settings, build=build_rigged)


def option(arguments: list[str], name: str) -> str:
    return arguments[arguments.index(name) + 1] if name in arguments else ""


if __name__ == "__main__":
    main(sys.argv[1:])
