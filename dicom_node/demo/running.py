"""The demo from beginning to end."""

from __future__ import annotations

import importlib.util
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final, NoReturn

import yaml

from dicom_node.demo import results
from dicom_node.demo.configuration import ARCHIVE_AE_TITLE, configuration
from dicom_node.demo.display import Steps
from dicom_node.demo.processes import started
from dicom_node.demo.sending import read_identity, send
from dicom_node.demo.watching import Watch
from dicom_node.domain.errors import ConfigurationError
from dicom_node.iod.reading import read_header, source_view
from dicom_node.settings import load
from dicom_node.settings.sections import BUNDLED
from dicom_node.store.ledger import read_ledger

if TYPE_CHECKING:
    from rich.console import Console

    from dicom_node.ports import Ledger

__all__ = ["bundled_radiograph", "run"]

READY_S: Final = 60.0
"""How long node and archive may take to start."""


def bundled_radiograph() -> Path:
    """The real PA chest radiograph of the package pydicom-data (JPEG 2000, lossless).

    Raises:
        ConfigurationError: The package is not installed.
    """
    found = importlib.util.find_spec("data_store")
    for folder in (found.submodule_search_locations or ()) if found is not None else ():
        path = Path(folder) / "data" / "RG1_J2KR.dcm"
        if path.is_file():
            return path
    raise ConfigurationError(
        "the demo's radiograph is not installed: pip install pydicom-data, or give --source FILE"
    )


def run(
    *, out: Path, source: Path | None, views: str, model: Path | None, console: Console
) -> None:
    """Do the main job once, and leave archive, picture and report in a folder.

    Args:
        out: Folder to write to, made when it is not there.
        source: The radiograph; None is the bundled one.
        views: A key of `VIEW_SETS`.
        model: A checkpoint; None is the bundled weights.
        console: Where people watch.

    Raises:
        NodeError: A view did not arrive, and why.
    """
    radiograph = source if source is not None else bundled_radiograph()
    identity = read_identity(radiograph)
    archive_folder = _emptied(out)
    with _stopped_by_sigterm(), ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dicom-node-demo-")))
        steps = stack.enter_context(Steps(console).shown())
        started_at = time.monotonic()
        with steps.step("Starting a node and an archive") as step:
            archive = stack.enter_context(
                started(
                    "the archive",
                    "dicom_node.demo.archive",
                    str(archive_folder),
                    ARCHIVE_AE_TITLE,
                    log=out / "archive.log",
                )
            )
            archive_port = archive.wait_for("archive_ready", READY_S)["port"]
            config = work / "node.yaml"
            data = configuration(
                views=views,
                model=BUNDLED if model is None else str(model.absolute()),
                data_dir=work / "data",
                archive_port=archive_port,
            )
            config.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
            settings = load(config)
            settings.model_paths()  # a missing model is told at once, not by the node's log
            node = stack.enter_context(
                started(
                    "the node", "dicom_node", "serve", "--config", str(config), log=out / "node.log"
                )
            )
            archive.tell(str(node.pid))  # to be stopped if this process is killed
            port = node.wait_for("node_ready", READY_S)["dicom_port"]
            ready_s = time.monotonic() - started_at
            step.say(f"A node listens on port {port}, an archive on port {archive_port}")
        watch = Watch(node, archive, stack.enter_context(_closing(settings.database_url())))
        sent_at = time.time()
        with steps.step("Sending the radiograph") as step:
            send(radiograph, port=port)
            received = time.time() - sent_at
            step.say(f"{radiograph.name} was received and is safe")
        with steps.step("Deciding its route") as step:
            image = watch.decided()
            step.say(f"Its route: {image.decision.route if image.decision else ''}")
        with steps.step("Synthesizing views") as step:
            job = watch.synthesized()
            wanted = len(job.job.order.views)
            synthesized = job.job.updated_at - sent_at
            step.say(f"{wanted} views were synthesized")
        with steps.step("Storing them in the archive", total=wanted) as step:
            stored = watch.stored(wanted, step)
            step.say(f"{wanted} views are in the archive")
        names = [each.file for each in stored]
        timings = results.Timings(
            received=received,
            synthesized=synthesized,
            stored=max(each.at for each in stored) - sent_at,
        )
        view = source_view(read_header(radiograph))
        arrived = results.arrived_in(archive_folder, names, view)
        with steps.step("Drawing the contact sheet") as step:
            results.write_contact_sheet(out / "contact_sheet.png", radiograph, arrived)
            step.say("The contact sheet is drawn")
    results.write_report(
        out / "report.json",
        results.report(
            source_file=radiograph,
            source=identity,
            arrived=arrived,
            timings=timings,
            views=views,
            ready_s=ready_s,
        ),
    )
    console.print(results.table(arrived))
    console.print(
        f"After {timings.received:.1f} s received, {timings.synthesized:.1f} s synthesized, "
        f"{timings.stored:.1f} s stored.",
        highlight=False,
    )
    for name in ("contact_sheet.png", "report.json", "archive"):
        console.print(f"  {out / name}", highlight=False, soft_wrap=True)


def _emptied(out: Path) -> Path:
    """The archive's folder, without the results of a demo before."""
    archive = out / "archive"
    try:
        archive.mkdir(parents=True, exist_ok=True)
        for old in archive.glob("view-*.dcm"):
            old.unlink()
        for name in ("contact_sheet.png", "report.json"):
            (out / name).unlink(missing_ok=True)
    except OSError as error:
        raise ConfigurationError(f"--out: cannot write to {out}: {error.strerror}") from error
    return archive


@contextmanager
def _closing(url: str) -> Iterator[Ledger]:
    ledger = read_ledger(url)
    try:
        yield ledger
    finally:
        ledger.close()


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """SIGTERM unwinds the stack, so that children are stopped."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
