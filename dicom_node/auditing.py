"""The audit trail at the command line: proving it, and leaving in it what a person did."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from dicom_node.audit.messages import AuditMessage
    from dicom_node.settings import Settings

__all__ = ["app", "recorded", "settled"]

EXIT_NEGATIVE: Final = 1

app = typer.Typer(help="Look at the audit trail.", no_args_is_help=True)


@app.callback()
def _group() -> None: ...


@app.command()
def verify(
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            envvar="DICOM_NODE_CONFIG",
            metavar="FILE",
            help="The node's configuration.",
            show_default=False,
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="A trail; left out, that of the configuration."),
    ] = None,
) -> None:
    """Prove that the audit trail is whole and unchanged. Exit status 1 when it is not."""
    from dicom_node.audit.trail import verify_file
    from dicom_node.domain.errors import ConfigurationError
    from dicom_node.settings import load

    if file is None and config is None:
        raise typer.BadParameter("name a trail, or a configuration with --config")
    path = file or (load(config).audit_file() if config is not None else None)
    if path is None:
        raise ConfigurationError("audit.enabled: this node keeps no audit trail")
    found = verify_file(path)
    if found.torn:
        typer.echo("note: the last record is only half there")
    if found.problem:
        typer.echo(f"{path}: {found.problem}")
        raise typer.Exit(EXIT_NEGATIVE)
    typer.echo(f"{path}: {found.records} records, whole and unchanged")


def settled(settings: Settings, what: str, words: str) -> None:
    """Leave in the trail that a person released or cancelled something.

    Args:
        settings: Of the node.
        what: Which thing.
        words: What was done.
    """
    from dicom_node.audit.events import quarantine_settled
    from dicom_node.audit.life import operator

    us = settings.node.ae_title
    recorded(settings, quarantine_settled(us, operator(), what, words))


def recorded(settings: Settings, message: AuditMessage) -> None:
    """Leave a message in the trail of a node that may be running; nothing where it keeps none."""
    import socket
    import time

    from dicom_node.audit.messages import Source
    from dicom_node.audit.trail import AuditTrail

    path = settings.audit_file()
    if path is None:
        return
    source = Source(ae_title=settings.node.ae_title, machine=socket.gethostname())
    trail = AuditTrail(path, source=source, clock=time.time)
    trail.record(message)
    trail.close()
