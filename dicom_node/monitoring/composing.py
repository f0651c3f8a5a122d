"""The monitoring of one node, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicom_node.monitoring.gauges import EngineProcess, NodeGauges
from dicom_node.monitoring.health import Beating, Readiness, engine_answers, enough_room
from dicom_node.monitoring.server import MonitoringServer
from dicom_node.network.loopback import loopback_echo
from dicom_node.network.tls import Credentials, own_credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dicom_node.monitoring.metrics import Metrics
    from dicom_node.network.scp import StorageScp
    from dicom_node.ports import Clock, Engine, NodeLedger, Spool
    from dicom_node.settings import Settings

__all__ = ["monitor"]


def monitor(
    settings: Settings,
    metrics: Metrics,
    *,
    clock: Clock,
    ledger: NodeLedger,
    spool: Spool,
    scp: StorageScp,
    engines: Sequence[Engine],
    stopping: Callable[[], bool],
) -> MonitoringServer | None:
    """The server, not started; None when none is wanted."""
    if not settings.monitoring.enabled:
        return None
    us, least = settings.node, settings.retention.min_free_bytes
    files, destinations = settings.to_tls(), settings.to_destinations()
    credentials = {each.files.where: each for each in own_credentials(destinations)}
    if files is not None:
        credentials[files.where] = Credentials(files, server_side=True)
    metrics.registry.register(
        NodeGauges(
            ledger=ledger,
            clock=clock,
            destinations=[each.name for each in destinations],
            free_bytes=spool.free_bytes,
            min_free_bytes=least,
            associations=lambda: scp.associations,
            engines=[each for each in engines if isinstance(each, EngineProcess)],
            expiries={where: each.expires_at for where, each in credentials.items()},
        )
    )
    parts: dict[str, Callable[[], object]] = {
        "dicom": loopback_echo(
            us.ae_title,
            us.host,
            port=lambda: scp.port,
            tls=lambda: files if settings.plain_port() is None else None,
        ),
        "ledger": ledger.try_write,
        "disk": enough_room(spool.free_bytes, least),
    }
    for number, engine in enumerate(engines):
        if isinstance(engine, Beating):
            parts[f"engine-{number}"] = engine_answers(engine)
    return MonitoringServer(
        host=settings.monitoring.host,
        port=settings.monitoring.port,
        registry=metrics.registry,
        ready=Readiness(parts=parts).check,
        stopping=stopping,
    )
