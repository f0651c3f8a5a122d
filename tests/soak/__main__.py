"""Send radiographs to a node for a long time and watch what it holds on to.

    python -m tests.soak --minutes 30 --rate 2 --out soak

The node is ``dicom-node serve`` in a process of its own with an engine that answers at once; a
modality sends so many radiographs of a flat-panel detector's size a second, an archive in this
process takes the views. Written are OUT.json, every sample and a summary, and OUT.png, a plot.
A radiograph takes 7 MB in a temporary folder: 26 GB for half an hour at two a second.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import sqlite3
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from pynetdicom import AE, _config, build_context

from tests.acceptance.harness import VIEWS, Node, configuration
from tests.acceptance.radiographs import copy_of
from tests.acceptance.recorder import Recorder
from tests.network.objects import free_port

RIGGED = ("-m", "tests.acceptance.rigged", "serve", "--echo")
COMPUTED_RADIOGRAPHY = "1.2.840.10008.5.1.4.1.1.1"
EXPLICIT = "1.2.840.10008.1.2.1"
PER_ASSOCIATION = 20
WORKERS = 2
"""Engines, and with each a thread that reads radiographs and writes views."""
HEADER_BYTES = 4096
WARM_UP = 0.25
"""Share of the run whose samples do not count: caches fill, threads start."""

WAITING = """
    SELECT (SELECT count(*) FROM images WHERE decided_as IS NULL),
           (SELECT count(*) FROM jobs WHERE state IN ('queued', 'running')),
           (SELECT count(*) FROM deliveries WHERE state IN ('pending', 'sending'))
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample:
    """What was seen of the node at one moment."""

    at_s: float
    rss_mib: float
    descriptors: int
    threads: int
    cpu_s: float
    load: float
    unplanned: int
    jobs: int
    deliveries: int
    sent: int
    delivered: int


class Modality(threading.Thread):
    """Sends radiographs at a rate; each has pixels and a UID of its own.

    Its file is written once and changed in place, so that the machine is the node's.
    """

    def __init__(self, port: int, rate: float, path: Path) -> None:
        super().__init__(daemon=True)
        self.port, self.rate, self.path = port, rate, path
        self.enough = threading.Event()
        self.sent = self.failed = 0
        self.longest_s = 0.0

    def run(self) -> None:
        dataset = copy_of("RG1_UNCR.dcm")
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = self.uid()
        dataset.save_as(self.path)
        association: Any = None
        began = time.monotonic()
        while not self.enough.wait(max(0.0, began + self.sent / self.rate - time.monotonic())):
            if association is None or not association.is_established:
                association = self.associate()
                continue
            before = time.monotonic()
            status = association.send_c_store(self.path)
            self.longest_s = max(self.longest_s, time.monotonic() - before)
            if status.get("Status") == 0x0000:
                self.next()
            else:
                self.failed += 1
            if self.sent % PER_ASSOCIATION == 0:
                association.release()

    def uid(self) -> str:
        return f"2.25.1{self.sent:038d}"

    def next(self) -> None:
        """Make another radiograph of the file."""
        old = self.uid().encode()
        self.sent += 1
        with self.path.open("r+b") as file:
            header = file.read(HEADER_BYTES)
            file.seek(0)
            file.write(header.replace(old, self.uid().encode()))
            file.seek(-8, os.SEEK_END)
            file.write(np.array([*divmod(self.sent, 4096), 0, 0], "<u2").tobytes())

    def associate(self) -> Any:
        ae = AE(ae_title="STORESCU")
        contexts = [build_context(COMPUTED_RADIOGRAPHY, EXPLICIT)]
        return ae.associate("127.0.0.1", self.port, contexts=contexts, ae_title="SYNTH")


def look(node: Node, modality: Modality, archive: Recorder, at_s: float) -> Sample:
    file = node.folder / "data" / "ledger.sqlite"
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        unplanned, jobs, deliveries = connection.execute(WAITING).fetchone()
    process = node.process
    return Sample(
        at_s=round(at_s, 1),
        rss_mib=round(process.memory_info().rss / 2**20, 1),
        descriptors=process.num_fds(),
        threads=process.num_threads(),
        cpu_s=round(sum(process.cpu_times()[:2]), 2),
        load=round(os.getloadavg()[0], 2),
        unplanned=unplanned,
        jobs=jobs,
        deliveries=deliveries,
        sent=modality.sent,
        delivered=len(archive.stored) // VIEWS,
    )


def summary(samples: list[Sample], modality: Modality) -> dict[str, Any]:
    settled = samples[int(len(samples) * WARM_UP) :]
    hours = np.array([each.at_s for each in settled]) / 3600

    def growth(name: str) -> float:
        values = np.array([getattr(each, name) for each in settled], float)
        return round(float(np.polyfit(hours, values, 1)[0]), 2)

    first, last = settled[0], settled[-1]
    return {
        "seconds": last.at_s,
        "sent": last.sent,
        "sent_per_s": round(last.sent / last.at_s, 2),
        "not_taken": modality.failed,
        "longest_answer_s": round(modality.longest_s, 2),
        "delivered": last.delivered,
        "cpu_ms_per_radiograph": round(
            1000 * (last.cpu_s - first.cpu_s) / max(1, last.delivered - first.delivered)
        ),
        "load": {
            "mean": round(float(np.mean([each.load for each in settled])), 1),
            "most": max(each.load for each in settled),
            "cores": os.cpu_count(),
        },
        "rss_mib": {
            "first": first.rss_mib,
            "last": last.rss_mib,
            "growth_per_h": growth("rss_mib"),
        },
        "descriptors": {
            "first": first.descriptors,
            "last": last.descriptors,
            "most": max(each.descriptors for each in settled),
            "growth_per_h": growth("descriptors"),
        },
        "threads": {"first": first.threads, "last": last.threads},
        "waiting": {
            name: {
                "most": max(getattr(each, name) for each in settled),
                "last": getattr(last, name),
                "growth_per_h": growth(name),
            }
            for name in ("unplanned", "jobs", "deliveries")
        },
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
    }


def plot(samples: list[Sample], path: Path, title: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    minutes = [each.at_s / 60 for each in samples]
    figure, axes = pyplot.subplots(4, 1, sharex=True, figsize=(8, 9), layout="constrained")
    for axis, names, label in (
        (axes[0], ("rss_mib",), "RSS (MiB)"),
        (axes[1], ("descriptors", "threads"), "count"),
        (axes[2], ("unplanned", "jobs", "deliveries"), "waiting"),
        (axes[3], ("sent", "delivered"), "radiographs"),
    ):
        for name in names:
            axis.plot(minutes, [getattr(each, name) for each in samples], label=name)
        axis.set_ylabel(label)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
        if len(names) > 1:
            axis.legend(loc="upper left", fontsize="small")
    axes[0].set_title(title, fontsize="medium")
    axes[-1].set_xlabel("minutes")
    figure.savefig(path, dpi=110)


def run(folder: Path, minutes: float, rate: float, every_s: float) -> dict[str, Any]:
    port = free_port()
    archive = Recorder("ORTHANC", node_port=port)
    weights = folder / "weights.safetensors"
    weights.write_bytes(b"the engine of the soak needs none")
    values = configuration(port=port, archive_port=archive.port, weights=weights)
    values["engine"]["workers"] = WORKERS
    node = Node(folder, values)
    node.start(RIGGED, within_s=120)
    _config.STORE_SEND_CHUNKED_DATASET = True
    modality = Modality(port, rate, folder / "radiograph.dcm")
    modality.start()
    began = time.monotonic()
    samples: list[Sample] = []
    try:
        while (at_s := time.monotonic() - began) < minutes * 60:
            samples.append(look(node, modality, archive, at_s))
            node.lines.clear()
            time.sleep(every_s)
        modality.enough.set()
        modality.join(60)
        drained = time.monotonic()
        while len(archive.stored) < modality.sent * VIEWS and time.monotonic() - drained < 600:
            time.sleep(0.1)
        drained_s = round(time.monotonic() - drained, 1)
        samples.append(look(node, modality, archive, time.monotonic() - began))
        told = summary(samples[:-1], modality) | {
            "rate_asked_per_s": rate,
            "delivered_in_the_end": len(archive.stored) // VIEWS,
            "sent_in_the_end": modality.sent,
            "seconds_until_all_was_delivered": drained_s,
            "came_twice": sum(len(times) > 1 for times in archive.stored.values()),
            "exit_status": node.stop(),
        }
    finally:
        node.kill()
        archive.stop()
    return {"summary": told, "samples": [dataclasses.asdict(each) for each in samples]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=2.0, help="radiographs a second")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between samples")
    parser.add_argument("--out", type=Path, default=Path("soak"), help="without a suffix")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        result = run(Path(folder), arguments.minutes, arguments.rate, arguments.every)
    arguments.out.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    told = result["summary"]
    title = f"{told['sent_per_s']} radiographs a second for {told['seconds'] / 60:.0f} minutes"
    plot([Sample(**each) for each in result["samples"]], arguments.out.with_suffix(".png"), title)
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
