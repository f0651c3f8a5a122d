"""Commands about the configuration's versions: ``routes versions | diff | replay | rollback``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dicom_node.domain.errors import ConfigurationError
from dicom_node.terminal import (
    EXIT_NEGATIVE,
    ConfigOption,
    JsonOption,
    load,
    print_json,
    terminal,
)

if TYPE_CHECKING:
    from dicom_node.ports import Version
    from dicom_node.settings import Settings
    from dicom_node.store.ledger import SqlLedger

__all__ = ["diff", "replay", "rollback", "versions"]

NumberArgument = Annotated[int, typer.Argument(metavar="NUMBER", help="Of a version.")]
ImagesOption = Annotated[int, typer.Option("--images", min=1, help="Judge so many of the newest.")]


def versions(
    config: ConfigOption,
    limit: Annotated[int, typer.Option(min=1, help="List so many of the newest.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List the versions of the configuration that were in force, the newest first."""
    from rich.table import Table

    settings = load(config)
    found = _look(settings).versions(limit=limit)
    if as_json:
        print_json([_json(each) for each in found])
        return
    output = terminal()
    if not found:
        output.print("No version was written down yet: start the node once.")
        return
    table = Table(box=None, pad_edge=False)
    for title in ("version", "in force from", "author", "comment", "digest"):
        table.add_column(title)
    for each in found:
        of = each.version
        table.add_row(str(each.number), _when(each.at), of.author, of.comment, of.digest[:12])
    output.print(table)
    if settings.origin is not None and settings.origin.digest != found[0].version.digest:
        output.print("note: the file is another one now than the newest version", style="yellow")


def diff(
    config: ConfigOption,
    number: NumberArgument,
    other: Annotated[
        int | None,
        typer.Argument(metavar="[NUMBER]", help="Compare with this; left out, with the file."),
    ] = None,
) -> None:
    """Show what changed from a version to another one. Exit status 1 when something did."""
    from dicom_node.rulebook.merging import unified
    from dicom_node.settings.document import read_text

    ledger = _look(load(config))
    before = _version(ledger, number)
    if other is None:
        after, name = read_text(config), str(config)
    else:
        after, name = _version(ledger, other).version.text, f"version {other}"
    lines = unified(before.version.text, after, old=f"version {number}", new=name)
    for line in lines:
        typer.echo(line)
    if lines:
        raise typer.Exit(EXIT_NEGATIVE)


def rollback(
    config: ConfigOption,
    number: NumberArgument,
    comment: Annotated[str, typer.Option(help="What for.", metavar="WORDS")] = "",
) -> None:
    """Write the text of an older version into the file, as a new version.

    A running node takes it up by itself. Text that is no configuration any more is refused.
    """
    from dicom_node.audit.life import operator
    from dicom_node.ports import NewVersion
    from dicom_node.rulebook import file
    from dicom_node.rulebook.applying import prepare
    from dicom_node.settings import load_text
    from dicom_node.store.ledger import open_ledger

    settings = load(config)
    found = _version(_look(settings), number)
    prepare(load_text(found.version.text, config))
    said = comment or f"back to version {number}"
    old = found.version
    version = NewVersion(digest=old.digest, text=old.text, author=operator(), comment=said)
    ledger = open_ledger(settings.database_url())
    try:
        # Before the file, so that the node finds the author when it takes the file up.
        written = ledger.record_version(version, time.time())
        file.replace(config, old.text)
    finally:
        ledger.close()
    terminal().print(
        f"{config}: back to version {number}, as version {written.number}",
        highlight=False,
        soft_wrap=True,
    )


def replay(
    config: ConfigOption,
    candidate: Annotated[
        Path, typer.Argument(metavar="FILE", help="Another configuration.", show_default=False)
    ],
    images: ImagesOption = 500,
    as_json: JsonOption = False,
) -> None:
    """Show what another configuration would decide about the images that came last.

    Nothing is changed. Exit status 1 when an image would come out otherwise.
    """
    from rich.table import Table

    from dicom_node.bootstrap import SPOOL_FOLDER
    from dicom_node.rulebook import prepare
    from dicom_node.rulebook.replaying import replay as run
    from dicom_node.settings import load_text
    from dicom_node.settings.document import read_text
    from dicom_node.store.spool import FileSpool

    settings = load(config)
    # The other file is meant to take the place of this one: its paths start at the same folder.
    wanted = prepare(load_text(read_text(candidate), config)).rule_set(None)
    spool = FileSpool(settings.node.data_dir / SPOOL_FOLDER)
    found = run(prepare(settings).rule_set(None), wanted, _look(settings), spool, limit=images)
    if as_json:
        print_json(
            {
                "images": found.images,
                "unread": found.unread,
                "remade": found.remade,
                "changes": [
                    {
                        "before": str(each.before),
                        "after": str(each.after),
                        "count": each.count,
                        "images": [number for number, _, _ in each.examples],
                    }
                    for each in found.changes
                ],
            }
        )
    else:
        output = terminal()
        if found.changes:
            table = Table(box=None, pad_edge=False)
            for title in ("images", "now", "then", "for example"):
                table.add_column(title)
            for each in found.changes:
                example = each.examples[0][2].reason
                table.add_row(str(each.count), str(each.before), str(each.after), example)
            output.print(table)
        same = found.images - sum(each.count for each in found.changes)
        output.print(
            f"{found.images} images judged, {same} come out the same, {found.remade} of them "
            f"with other views; {found.unread} could not be read",
            highlight=False,
        )
    if found.changes:
        raise typer.Exit(EXIT_NEGATIVE)


def _look(settings: Settings) -> SqlLedger:
    from dicom_node.store.ledger import read_ledger

    return read_ledger(settings.database_url())


def _version(ledger: SqlLedger, number: int) -> Version:
    found = ledger.version(number)
    if found is None:
        raise ConfigurationError(f"there is no version {number}: see dicom-node routes versions")
    return found


def _json(version: Version) -> dict[str, object]:
    of = version.version
    return {
        "version": version.number,
        "at": version.at,
        "author": of.author,
        "comment": of.comment,
        "digest": of.digest,
        "parent": version.parent,
    }


def _when(unix_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(unix_s))
