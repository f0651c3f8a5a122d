"""Commands that keep the data safe: ``backup``, ``restore`` and ``verify-store``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from dicom_node.terminal import EXIT_NEGATIVE, ConfigOption, JsonOption, load, print_json, terminal

__all__ = ["backup", "restore", "verify_store"]


def backup(
    config: ConfigOption,
    to: Annotated[
        Path,
        typer.Option(
            metavar="FILE|DIR",
            help="A folder to make, or a file to make when it ends in .tar.",
            show_default=False,
        ),
    ],
    copy: Annotated[
        bool,
        typer.Option("--copy", help="Copy files, though they could be hard links."),
    ] = False,
) -> None:
    """Back up ledger and spool, while the node runs or not; it is there once it is whole.

    Exit status 1 when files that rows claim are missing or not whole in the spool: everything else
    was backed up.
    """
    from dicom_node.backup import take
    from dicom_node.bootstrap import SPOOL_FOLDER
    from dicom_node.store.belonging import require_own

    settings, output = load(config), terminal()
    require_own(settings.database_url(), settings.node.data_dir)
    taken = take(
        settings.database_url(),
        settings.node.data_dir / SPOOL_FOLDER,
        to,
        link=not copy,
        clock=time.time,
    )
    made = taken.manifest
    rows = sum(table.rows for table in made.tables)
    output.print(
        f"{taken.path}: {rows} rows and {made.files} files ({made.files_bytes} bytes)",
        highlight=False,
        soft_wrap=True,
    )
    for digest in made.damaged:
        output.print(f"missing or damaged in the spool: {digest}", style="red", highlight=False)
    if made.damaged:
        raise typer.Exit(EXIT_NEGATIVE)


def restore(
    config: ConfigOption,
    backup: Annotated[
        Path, typer.Argument(metavar="FILE|DIR", help="A backup.", show_default=False)
    ],
) -> None:
    """Restore a backup into the empty data_dir and ledger of a configuration.

    One that was cut goes on where it stopped when it is run again; until it has ended, no node
    starts on that folder. Exit status 1 when files that rows claim are missing or not whole in the
    backup: everything else was restored.
    """
    from dicom_node.backup import restore as bring_back
    from dicom_node.bootstrap import SPOOL_FOLDER

    settings, output = load(config), terminal()
    data_dir = settings.node.data_dir
    restored = bring_back(
        backup,
        data_dir=data_dir,
        url=settings.database_url(),
        spool_root=data_dir / SPOOL_FOLDER,
        min_free_bytes=settings.retention.min_free_bytes,
        clock=time.time,
    )
    of = restored.manifest
    rows = sum(table.rows for table in of.tables)
    output.print(
        f"{data_dir}: {rows} rows and {of.files} files, as they were at "
        f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(of.taken_at))}",
        highlight=False,
        soft_wrap=True,
    )
    for digest in restored.lost:
        output.print(f"not in the backup: {digest}", style="red", highlight=False)
    if restored.lost:
        raise typer.Exit(EXIT_NEGATIVE)


def verify_store(config: ConfigOption, as_json: JsonOption = False) -> None:
    """Find every mismatch between ledger and spool, while the node runs or not. Changes nothing.

    Every file is read. Exit status 1 when there is a mismatch.
    """
    from dicom_node.bootstrap import SPOOL_FOLDER
    from dicom_node.store.belonging import require_own
    from dicom_node.supervisor.locking import has_owner
    from dicom_node.verifying import verify

    settings = load(config)
    data_dir = settings.node.data_dir
    require_own(settings.database_url(), data_dir)
    report = verify(settings.database_url(), data_dir / SPOOL_FOLDER, running=has_owner(data_dir))
    if as_json:
        print_json(report.to_json())
    else:
        output = terminal()
        for finding in report.findings:
            output.print(str(finding), style="red", markup=False, highlight=False, soft_wrap=True)
        what = f"{len(report.findings)} mismatches" if report.findings else "no mismatch"
        output.print(
            f"{report.rows} rows and {report.files} files ({report.files_bytes} bytes): {what}",
            highlight=False,
            soft_wrap=True,
        )
    if report.findings:
        raise typer.Exit(EXIT_NEGATIVE)
