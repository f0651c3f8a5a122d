"""Fetching a study from an archive by the command line, beside the running node."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from dicom_node import auditing
from dicom_node.terminal import EXIT_NEGATIVE, ConfigOption, load, terminal

if TYPE_CHECKING:
    from dicom_node.domain.routes import Destination
    from dicom_node.ports import NodeLedger, Retrieved
    from dicom_node.services.fetching import Fetching
    from dicom_node.settings import Settings

__all__ = ["archive_of", "fetch"]


def fetch(
    config: ConfigOption,
    study: Annotated[str, typer.Option(metavar="UID", help="Study Instance UID.")],
    source: Annotated[
        str, typer.Option("--from", metavar="NAME", help="A destination; left out, the only one.")
    ] = "",
) -> None:
    """Fetch a study from an archive, to have views made of it as if it had been sent.

    Exit status 1 when an image did not arrive.
    """
    from dicom_node.store.belonging import require_own
    from dicom_node.store.ledger import open_ledger, read_ledger

    settings = load(config)
    archive = archive_of(settings, source)
    with closing(read_ledger(settings.database_url())):
        pass  # so that no ledger is made where there is none
    require_own(settings.database_url(), settings.node.data_dir)
    output = terminal(stderr=True)
    with closing(open_ledger(settings.database_url())) as ledger, output.status("asking") as line:

        def progress(now: Retrieved) -> None:
            left = f", {now.remaining} to come" if now.remaining else ""
            line.update(f"{now.completed} arrived, {now.failed} failed{left}")

        fetched = _fetching(settings, ledger).fetch(archive, study, progress)
    terminal().print(
        f"{fetched.completed} instances of {fetched.series} series arrived from {archive.name}, "
        f"{fetched.failed} failed; {fetched.passed_over} series were passed over.",
        highlight=False,
        soft_wrap=True,
    )
    if fetched.failed:
        raise typer.Exit(EXIT_NEGATIVE)


def archive_of(settings: Settings, name: str = "") -> Destination:
    """The destination of that name; without a name the only one.

    Raises:
        ConfigurationError: There is none, or there are several.
    """
    from dicom_node.domain.errors import ConfigurationError
    from dicom_node.settings.problems import did_you_mean

    known = {each.name: each for each in settings.to_destinations()}
    if name in known:
        return known[name]
    if name:
        hint = did_you_mean(name, known, otherwise="there are")
        raise ConfigurationError(f"no destination is named {name!r}{hint}")
    if len(known) != 1:
        raise ConfigurationError(f"--from: name one of the destinations: {', '.join(known)}")
    return next(iter(known.values()))


def _fetching(settings: Settings, ledger: NodeLedger) -> Fetching:
    """The service beside a running node, over its ledger and spool."""
    from dicom_node.bootstrap import SPOOL_FOLDER
    from dicom_node.network.auditing import fetch_audit
    from dicom_node.network.choosing import archive_client
    from dicom_node.services.fetching import Fetching
    from dicom_node.services.receiving import Backlog, Receiving
    from dicom_node.store.spool import FileSpool

    us, least = settings.node, settings.retention.min_free_bytes
    return Fetching(
        archive=archive_client(us.ae_title, max_object_bytes=us.max_image_bytes),
        receiver=Receiving(
            ledger=ledger,
            spool=FileSpool(us.data_dir / SPOOL_FOLDER, min_free_bytes=least, clock=time.time),
            clock=time.time,
            wake=lambda: None,  # the node looks by itself, once a second
            backlog=Backlog(ledger=ledger, clock=time.time, at_most=settings.engine.max_waiting),
        ),
        on_fetched=fetch_audit(
            lambda message: auditing.recorded(settings, message), ae_title=us.ae_title
        ),
    )
