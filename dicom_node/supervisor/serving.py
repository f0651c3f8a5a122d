"""The life of a node: lock, build, recover, listen, work, drain."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Final, NoReturn, Protocol, runtime_checkable

import structlog

from dicom_node import __version__
from dicom_node.bootstrap import SPOOL_FOLDER
from dicom_node.bootstrap import build as build_node
from dicom_node.consoling import serve_console
from dicom_node.store.belonging import sole_ledger
from dicom_node.supervisor import logs
from dicom_node.supervisor.locking import sole_owner
from dicom_node.supervisor.loops import ServiceLoop
from dicom_node.supervisor.memory import give_back_large_blocks
from dicom_node.supervisor.periodic import keep_time, schedule
from dicom_node.supervisor.sending import OutletLoops
from dicom_node.supervisor.signals import stop_on_signal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from apscheduler.schedulers.background import BackgroundScheduler

    from dicom_node.bootstrap import Node
    from dicom_node.settings import Settings

__all__ = ["EXIT_WITHIN_S", "serve"]

EXIT_WITHIN_S: Final = 13.0
"""From the first signal to the end of the process, at the latest. Orchestrators kill after 15 s or
more; all work is safe to cut, so nothing is worth waiting longer for."""

_OWNER_ALONE: Final = 0o077
"""Whatever is written by this process or its children, nobody else reads it: files 0600 and folders
0700, also where a library makes them."""

_CALLERS_END_WITHIN_S: Final = 3.0
_WORK_ENDS_WITHIN_S: Final = 6.0
_CUT_WORK_ENDS_WITHIN_S: Final = 3.0
_LAST_WORDS_S: Final = 0.5

_log = structlog.get_logger(__name__)


@runtime_checkable
class _WarmsUp(Protocol):
    def warm_up(self) -> threading.Thread: ...


@runtime_checkable
class _Closes(Protocol):
    def close(self) -> None: ...


def serve(settings: Settings, *, build: Callable[[Settings], Node] = build_node) -> NoReturn:
    """Run a node until SIGTERM or SIGINT, and end the process: with status 0 after an orderly end,
    with 1 when another node took the ledger over.

    Call it from the main thread. A second signal ends the process at once.

    Args:
        settings: Of the node.
        build: Makes the node; another one may replace parts.

    Raises:
        ConfigurationError: The node cannot start as configured, or another one runs on its data.
        CapacityError: The ledger does not answer.
    """
    os.umask(_OWNER_ALONE)
    logs.configure()
    give_back_large_blocks()
    stop, data_dir = threading.Event(), settings.node.data_dir
    with (
        stop_on_signal(stop),
        _no_later_than(EXIT_WITHIN_S, stop),
        sole_owner(data_dir),
        sole_ledger(settings.database_url(), data_dir, data_dir / SPOOL_FOLDER, stop=stop) as hold,
    ):
        node = build(settings)
        try:
            node.recovering.at_start(node.clock())
            _run(node, stop)
        finally:
            node.ledger.close()
    _leave(1 if hold.lost else 0)


def _run(node: Node, stop: threading.Event) -> None:
    scheduler = schedule(node)
    loops, outlets = _loops(node, scheduler), OutletLoops(node)
    node.certificates.run_once(node.clock())
    console = serve_console(node)
    try:
        node.scp.start()
        if node.web is not None:
            node.web.start()
        if node.monitoring is not None:
            node.monitoring.start()
        if node.life is not None:
            node.life.starts()
        for loop in loops:
            loop.start()
        outlets.follow()
        scheduler.start()
        # A line for programs: they wait for this event and read the ports.
        _log.info(
            "node_ready",
            dicom_port=node.scp.port,
            tls_port=node.scp.tls_port,
            dicomweb_port=None if node.web is None else node.web.port,
            monitoring_port=None if node.monitoring is None else node.monitoring.port,
            console_port=console.port if console is not None else None,
            ae_title=node.settings.node.ae_title,
            version=__version__,
            pid=os.getpid(),
        )
        for engine in node.engines:
            if isinstance(engine, _WarmsUp):
                engine.warm_up()
        stop.wait()
    finally:
        stop.set()  # also when something failed: the time there is runs from now on
        if scheduler.running:
            scheduler.shutdown(wait=False)
        if console is not None:
            console.stop()
        _drain(node, loops, outlets)


def _loops(node: Node, scheduler: BackgroundScheduler) -> list[ServiceLoop]:
    services: list[tuple[str, Callable[[float], bool]]] = [("planning", node.planning.run_once)]
    services += [
        (f"synthesizing-{number}", service.run_once)
        for number, service in enumerate(node.synthesizing)
    ]
    services.append(("reporting", node.reporting.run_once))
    services.append(("fetching", node.fetches.run_once))
    services.append(("keeping-time", lambda now: keep_time(scheduler)))
    if node.rulebook is not None:
        services.append(("configuring", node.rulebook.run_once))
    if node.shipper is not None:
        services.append(("auditing", node.shipper.run_once))
    if node.notifying is not None:
        services.append(("notifying", node.notifying.run_once))
    return [
        ServiceLoop(
            name, run_once, clock=node.clock, wake=node.bell.listen(), stopping=node.stopping
        )
        for name, run_once in services
    ]


def _drain(node: Node, loops: list[ServiceLoop], outlets: OutletLoops) -> None:
    """Take nothing new, finish what is short, give back the rest."""
    _log.info("the node stops: what runs is finished or given back")
    node.stopping.set()
    node.bell.ring()
    _stop_listening(node)
    loops = [*loops, *outlets.loops]
    _join(loops, _WORK_ENDS_WITHIN_S)
    for part in (*node.engines, node.client):
        if isinstance(part, _Closes):
            part.close()
    if node.life is not None:
        node.life.stops()
    if node.monitoring is not None:
        node.monitoring.stop()
    left = _join(loops, _CUT_WORK_ENDS_WITHIN_S)
    if left:
        _log.warning("some work was cut; its lease is given back at the next start", services=left)
    else:
        _log.info("the node has stopped")


def _stop_listening(node: Node) -> None:
    """Both ways in at once, so that the grace is given once."""
    web = None
    if node.web is not None:
        web = threading.Thread(
            target=node.web.stop, kwargs={"grace_s": _CALLERS_END_WITHIN_S}, name="dicomweb-stops"
        )
        web.start()
    node.scp.stop(grace_s=_CALLERS_END_WITHIN_S)
    if web is not None:
        web.join(_CALLERS_END_WITHIN_S)


def _join(loops: list[ServiceLoop], within_s: float) -> list[str]:
    """Wait for all together; the names of those that still run."""
    until = time.monotonic() + within_s
    return [loop.name for loop in loops if loop.started and not loop.join(until - time.monotonic())]


@contextlib.contextmanager
def _no_later_than(seconds: float, stop: threading.Event) -> Iterator[None]:
    """End the process so long after it was to stop, whatever it does, also while it starts: it is
    made to be cut at any point.
    """
    ended = threading.Event()

    def watch() -> None:
        stop.wait()
        if not ended.wait(seconds):
            _exit_now(
                lambda: _log.error(
                    "the node could not stop in time and leaves; its work is given back at start"
                )
            )

    threading.Thread(target=watch, name="end", daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        stop.set()


def _leave(status: int) -> NoReturn:
    """End the process. Everything is closed: what the interpreter would tidy up yet takes seconds
    on a busy machine, and a thread of a dead association may hang in its socket for ever.
    """
    others = [
        thread
        for thread in threading.enumerate()
        if thread is not threading.main_thread() and not thread.daemon
    ]
    until = time.monotonic() + 1.0
    for thread in others:
        thread.join(max(0.0, until - time.monotonic()))
    left = sum(thread.is_alive() for thread in others)

    def last_words() -> None:
        if left:
            _log.warning("threads of broken associations are left behind", count=left)

    _exit_now(last_words, status)


def _exit_now(last_words: Callable[[], None], status: int = 0) -> NoReturn:
    """Leave without looking back; whoever reads the log may have stopped to do so."""

    def speak() -> None:
        last_words()
        sys.stdout.flush()
        sys.stderr.flush()

    speaker = threading.Thread(target=speak, name="last-words", daemon=True)
    speaker.start()
    speaker.join(_LAST_WORDS_S)
    os._exit(status)
