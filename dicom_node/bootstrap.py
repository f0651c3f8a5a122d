"""The composition root: settings in, a node of wired parts out. Nothing runs yet."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import threading
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dicom_node.audit.life import NodeLife
from dicom_node.audit.messages import AuditMessage, Source
from dicom_node.audit.trail import AuditTrail
from dicom_node.domain.errors import ConfigurationError
from dicom_node.domain.retry import RetryPolicy
from dicom_node.engine.client import ChildEngine, remote_engine
from dicom_node.monitoring.composing import monitor
from dicom_node.monitoring.metering import (
    MeteredCommitment,
    MeteredEngine,
    MeteredReceiver,
    MeteredStoreClient,
)
from dicom_node.monitoring.metrics import Metrics
from dicom_node.network.associations import Timeouts
from dicom_node.network.auditing import AuditedStoreClient, ReceptionAudit, fetch_audit
from dicom_node.network.choosing import AnyStoreClient, archive_client
from dicom_node.network.commitment import PynetCommitment
from dicom_node.network.loopback import ourselves
from dicom_node.network.peers import PeerList
from dicom_node.network.scp import StorageScp
from dicom_node.network.scu import PynetStoreClient
from dicom_node.network.storing import Storing
from dicom_node.network.syslog import SyslogShipper, SyslogTarget
from dicom_node.network.tls import CertificateWatch, Credentials, own_credentials
from dicom_node.network.web import DicomWebClient
from dicom_node.network.webserver import WebServer
from dicom_node.notifying.composing import notifying_of
from dicom_node.rulebook import Applying, Desk, Previewing, Rulebook, prepare, written_down
from dicom_node.services.committing import Committing, Hearing
from dicom_node.services.delivering import Delivering
from dicom_node.services.fetching import Fetching
from dicom_node.services.outlets import Outlet, Outlets
from dicom_node.services.planning import Planning
from dicom_node.services.queueing import FetchQueue
from dicom_node.services.receiving import Backlog, Receiving
from dicom_node.services.recovering import Recovering
from dicom_node.services.reporting import Demanding, Reporting
from dicom_node.services.retaining import Retaining
from dicom_node.services.ruling import DestinationNames, Policies, Rules
from dicom_node.services.synthesizing import Synthesizing
from dicom_node.settings.secrets import read_secret
from dicom_node.store.ledger import open_ledger
from dicom_node.store.spool import FileSpool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from dicom_node.domain.routes import Destination
    from dicom_node.monitoring.server import MonitoringServer
    from dicom_node.notifying.service import Notifying
    from dicom_node.ports import Clock, Engine, NodeLedger, Spool, StoreClient
    from dicom_node.settings import Settings

__all__ = ["SPOOL_FOLDER", "Bell", "Node", "build"]

SPOOL_FOLDER: Final = "spool"
"""Where the spool lies in data_dir."""


class Bell:
    """Wakes every loop that listens: there may be something to do."""

    def __init__(self) -> None:
        self._events: list[threading.Event] = []

    def listen(self) -> threading.Event:
        """An event that is set by every ring from now on; the listener clears it."""
        event = threading.Event()
        self._events.append(event)
        return event

    def forget(self, event: threading.Event) -> None:
        """Set an event no more."""
        with contextlib.suppress(ValueError):
            self._events.remove(event)

    def ring(self) -> None:
        """Wake all."""
        for event in tuple(self._events):
            event.set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """Every part of a node, wired to each other.

    Attributes:
        settings: It was built from.
        clock: Unix seconds.
        bell: Rung when there may be work.
        stopping: Set once the node shuts down.
        spool: Files.
        ledger: Rows.
        engines: One a worker.
        client: Towards destinations.
        scp: Towards peers.
        web: Towards peers that store by HTTP; None when nobody is to.
        planning: Service.
        synthesizing: Service, one an engine.
        rules: In force.
        outlets: Services of each destination.
        rulebook: Keeps configuration file and node together; None without a file.
        desk: Where people try things out; None without a file.
        reporting: Service.
        recovering: Service.
        retaining: Service.
        life: Audits start and stop; None without an audit trail.
        shipper: Brings the audit trail to a syslog receiver; None without one.
        certificates: Tells when one of ours ends.
        fetches: Service; fetches studies from archives for people of the console.
        metrics: Counts what happens.
        monitoring: Answers those who watch; None when nobody is to.
        notifying: Tells people what is wrong; None when nobody is to be told.
        record: Takes audit messages; to nowhere without an audit trail.
    """

    settings: Settings
    clock: Clock
    bell: Bell
    stopping: threading.Event
    spool: Spool
    ledger: NodeLedger
    engines: tuple[Engine, ...]
    client: StoreClient
    scp: StorageScp
    web: WebServer | None
    planning: Planning
    synthesizing: tuple[Synthesizing, ...]
    rules: Rules
    outlets: Outlets
    rulebook: Rulebook | None
    desk: Desk | None
    reporting: Reporting
    recovering: Recovering
    retaining: Retaining
    life: NodeLife | None
    shipper: SyslogShipper | None
    certificates: CertificateWatch
    fetches: FetchQueue
    metrics: Metrics
    monitoring: MonitoringServer | None
    notifying: Notifying | None
    record: Callable[[AuditMessage], None]


def _random_uid() -> str:
    """A UID that was never used before (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid4().int}"


def build(
    settings: Settings,
    *,
    clock: Clock = time.time,
    jitter: Callable[[], float] = random.random,
    spool: Spool | None = None,
    ledger: NodeLedger | None = None,
    engines: Sequence[Engine] | None = None,
    client: StoreClient | None = None,
    new_uid: Callable[[], str] = _random_uid,
) -> Node:
    """Wire a node. What is left out is the real thing, as configured.

    The ledger is opened and brought up to date, the spool's folder is made; nothing else happens.

    Raises:
        ConfigurationError: Weights, ledger or spool are not usable.
        CapacityError: The ledger does not answer.
    """
    prepared = prepare(settings)
    models, destinations = prepared.models, prepared.destinations
    with contextlib.ExitStack() as undo:
        if ledger is None:
            ledger = open_ledger(settings.database_url())
            undo.callback(ledger.close)
        if spool is None:
            spool = _spool(settings, clock)
        if engines is None:
            engines = _engines(settings, models)
        caller = PynetStoreClient(settings.node.ae_title)
        if client is None:
            client = AnyStoreClient(caller, DicomWebClient())
        bell, stopping = Bell(), threading.Event()
        metrics = Metrics()
        version = written_down(ledger, settings, clock())
        rules = Rules(prepared.rule_set(version))
        trail = _trail(settings, clock, bell.ring)
        record = _nobody if trail is None else trail.record
        us, ids = settings.node.ae_title, settings.audit.patient_ids
        files = settings.to_tls()
        tls = None if files is None else Credentials(files, server_side=True)
        hearing = Hearing(
            ledger=ledger,
            policies=Policies(rules),
            otherwise=RetryPolicy(),
            clock=clock,
            wake=bell.ring,
            on_heard=lambda heard: metrics.reports.labels(heard.value).inc(),
        )
        commitment = PynetCommitment(
            caller,
            hear=hearing.hear,
            demanding=Demanding(ledger=ledger, clock=clock),
            may_ask=[peer.ae_title for peer in settings.to_peers() if peer.may_commit],
            report_ports=settings.report_ports(),
        )
        receiver = MeteredReceiver(
            receiver=Receiving(
                ledger=ledger,
                spool=spool,
                clock=clock,
                wake=bell.ring,
                backlog=Backlog(ledger=ledger, clock=clock, at_most=settings.engine.max_waiting),
            ),
            metrics=metrics,
        )

        def outlet(destination: Destination) -> Outlet:
            return Outlet(
                destination=destination,
                delivering=Delivering(
                    ledger=ledger,
                    spool=spool,
                    client=MeteredStoreClient(
                        client=AuditedStoreClient(client, record, ae_title=us, patient_ids=ids),
                        metrics=metrics,
                    ),
                    destination=destination,
                    clock=clock,
                    jitter=jitter,
                    stopping=stopping.is_set,
                ),
                committing=Committing(
                    ledger=ledger,
                    client=MeteredCommitment(client=commitment, metrics=metrics),
                    hearing=hearing,
                    destination=destination,
                    clock=clock,
                    jitter=jitter,
                    new_uid=new_uid,
                    stopping=stopping.is_set,
                ),
            )

        reception = ReceptionAudit(record, ae_title=us, patient_ids=ids)
        scp = StorageScp(
            ae_title=settings.node.ae_title,
            host=settings.node.host,
            port=settings.plain_port(),
            peers=_peers(settings),
            receiver=receiver,
            max_associations=settings.node.max_associations,
            tls=tls,
            tls_port=settings.tls_port(),
            commitment=commitment,
            max_image_bytes=settings.node.max_image_bytes,
            receive_memory_bytes=settings.node.receive_memory_bytes,
            audit=reception,
            timeouts=Timeouts(
                acse_s=settings.node.request_timeout_s,
                network_s=settings.node.idle_timeout_s,
            ),
        )
        outlets = Outlets(outlet, destinations)
        rulebook = desk = None
        if settings.origin is not None:
            rulebook = Rulebook(
                settings,
                Applying(
                    running=settings,
                    peers=_peers,
                    rules=rules,
                    outlets=outlets,
                    scp=scp,
                    commitment=commitment,
                    engines=engines,
                    ledger=ledger,
                    audit=record,
                    clock=clock,
                    wake=bell.ring,
                ),
                version=version,
            )
            desk = Desk(
                book=rulebook,
                rules=rules,
                ledger=ledger,
                spool=spool,
                previewing=Previewing(
                    engines[0], clock=clock, deadline_s=settings.engine.deadline_s
                ),
                ae_title=us,
            )
        node = Node(
            settings=settings,
            clock=clock,
            bell=bell,
            stopping=stopping,
            spool=spool,
            ledger=ledger,
            engines=tuple(engines),
            client=client,
            scp=scp,
            web=_web(settings, scp, metrics, tls, reception),
            planning=Planning(
                ledger=ledger,
                spool=spool,
                rules=rules,
                wake=bell.ring,
                on_decision=metrics.decision,
            ),
            synthesizing=tuple(
                Synthesizing(
                    ledger=ledger,
                    spool=spool,
                    engine=MeteredEngine(engine=engine, metrics=metrics),
                    clock=clock,
                    wake=bell.ring,
                    deadline_s=settings.engine.deadline_s,
                    stopping=stopping.is_set,
                )
                for engine in engines
            ),
            rules=rules,
            outlets=outlets,
            rulebook=rulebook,
            desk=desk,
            reporting=Reporting(
                ledger=ledger, spool=spool, client=commitment, clock=clock, jitter=jitter
            ),
            recovering=Recovering(
                ledger=ledger,
                spool=spool,
                wake=bell.ring,
                destinations=DestinationNames(rules),
            ),
            retaining=Retaining(ledger=ledger, spool=spool, keep_s=settings.retention.keep_s),
            life=None
            if trail is None
            else NodeLife(trail, ae_title=us, configuration=settings.digest()),
            shipper=None if trail is None else _shipper(settings, trail.path),
            certificates=CertificateWatch(
                [*([tls] if tls is not None else []), *own_credentials(destinations)]
            ),
            fetches=FetchQueue(
                fetching=Fetching(
                    archive=archive_client(us, max_object_bytes=settings.node.max_image_bytes),
                    receiver=receiver,
                    on_fetched=fetch_audit(record, ae_title=us),
                ),
                ledger=ledger,
                archives=lambda: rules.now.destinations,
                clock=clock,
                wake=bell.ring,
                stopping=stopping.is_set,
                on_end=lambda state: metrics.fetches.labels(state.value).inc(),
            ),
            metrics=metrics,
            monitoring=monitor(
                settings,
                metrics,
                clock=clock,
                ledger=ledger,
                spool=spool,
                scp=scp,
                engines=engines,
                stopping=stopping.is_set,
            ),
            notifying=notifying_of(
                settings,
                ledger=ledger,
                spool=spool,
                client=client,
                engines=engines,
                jitter=jitter,
                stopping=stopping.is_set,
            ),
            record=record,
        )
        undo.pop_all()
        return node


def _peers(settings: Settings) -> PeerList:
    """Those of the configuration; last, where health is watched, the node itself."""
    us = settings.node
    own = (ourselves(us.ae_title, us.host),) if settings.monitoring.enabled else ()
    return PeerList(peers=(*settings.to_peers(), *own))


def _web(
    settings: Settings,
    scp: StorageScp,
    metrics: Metrics,
    tls: Credentials | None,
    audit: ReceptionAudit,
) -> WebServer | None:
    """The port for STOW-RS, not listening; it shares peers, limits and memory with the SCP."""
    web, node = settings.dicomweb, settings.node
    if not web.enabled:
        return None
    return WebServer(
        host=web.host,
        port=web.port,
        storing=Storing(
            taking=scp.taking,
            audit=audit,
            max_object_bytes=node.max_image_bytes,
            trusted_proxies=web.trusted_proxies,
        ),
        intake=scp.intake,
        max_request_bytes=web.max_request_bytes,
        requests_at_most=web.max_requests,
        request_s=node.request_timeout_s,
        idle_s=node.idle_timeout_s,
        credentials=tls if web.tls else None,
        audit=audit,
        on_answer=lambda status: metrics.web_requests.labels(str(status)).inc(),
    )


def _spool(settings: Settings, clock: Clock) -> Spool:
    root = settings.node.data_dir / SPOOL_FOLDER
    try:
        return FileSpool(root, min_free_bytes=settings.retention.min_free_bytes, clock=clock)
    except OSError as error:
        raise ConfigurationError(
            f"node.data_dir: {root} cannot be used: {error.strerror}"
        ) from error


def _engines(settings: Settings, models: Mapping[str, Path]) -> Sequence[Engine]:
    engine = settings.engine
    workers = engine.workers
    paths = {name: str(path) for name, path in models.items()}
    if engine.address is not None:
        secret = read_secret("engine.secret", engine.secret_file, engine.secret_env)
        return [remote_engine(paths, engine.address, secret) for _ in range(workers)]
    # Alone, the engine decides by itself how many CPU threads it uses; together they share.
    threads = None if workers == 1 else max(1, (os.cpu_count() or 1) // workers)
    return [ChildEngine(paths, engine.device, threads=threads) for _ in range(workers)]


def _nobody(message: AuditMessage) -> None:
    """Takes audit messages where no trail is kept."""


def _trail(settings: Settings, clock: Clock, wake: Callable[[], None]) -> AuditTrail | None:
    path = settings.audit_file()
    if path is None:
        return None
    source = Source(ae_title=settings.node.ae_title, machine=socket.gethostname())
    return AuditTrail(path, source=source, clock=clock, wake=wake)


def _shipper(settings: Settings, trail: Path) -> SyslogShipper | None:
    syslog, tls = settings.audit.syslog, settings.syslog_tls()
    if syslog is None or tls is None:
        return None
    target = SyslogTarget(host=syslog.host, port=syslog.port, tls=tls)
    return SyslogShipper(trail, target, machine=socket.gethostname())
