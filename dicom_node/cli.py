"""The command line: thin commands over the modules that do the work.

Every command imports what it needs when it runs, so that ``--help`` is quick. Errors of the node
end in one place, `main`, as a message on stderr and exit status 2.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dicom_node import (
    __version__,
    accounting,
    auditing,
    fetching,
    hosting,
    keeping,
    telling,
    versioning,
)
from dicom_node.domain.errors import ConfigurationError, NodeError
from dicom_node.terminal import (
    EXIT_ERROR,
    EXIT_NEGATIVE,
    ConfigOption,
    JsonOption,
    load,
    print_json,
    terminal,
)

if TYPE_CHECKING:
    from dicom_node.settings import Settings
    from dicom_node.store.ledger import SqlLedger

__all__ = ["app", "main"]

app = typer.Typer(
    name="dicom-node",
    help="Receives radiographs, synthesizes the views that were never exposed, stores them in the "
    "archive. Not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
routes_app = typer.Typer(
    help="Try the routing rules; see and compare their versions.", no_args_is_help=True
)
jobs_app = typer.Typer(help="Look at the jobs, beside the running node.", no_args_is_help=True)
deliveries_app = typer.Typer(help="Look at what goes to destinations.", no_args_is_help=True)
images_app = typer.Typer(help="Look at the received images.", no_args_is_help=True)
app.add_typer(routes_app, name="routes")
for command in (versioning.versions, versioning.diff, versioning.replay, versioning.rollback):
    routes_app.command()(command)
app.add_typer(auditing.app, name="audit")
app.add_typer(accounting.app, name="console")
app.add_typer(jobs_app, name="jobs")
app.add_typer(images_app, name="images")
app.add_typer(deliveries_app, name="deliveries")
app.command("backup")(keeping.backup)
app.command("restore")(keeping.restore)
app.command("verify-store")(keeping.verify_store)
app.command("fetch")(fetching.fetch)
app.command("serve-engine")(hosting.serve_engine)
app.command("notify")(telling.notify)

KeyArgument = Annotated[
    str, typer.Argument(metavar="[KEY]", help="A job's key, or its beginning.", show_default=False)
]
UidArgument = Annotated[
    str, typer.Argument(metavar="[UID]", help="SOP Instance UID.", show_default=False)
]
NumberArgument = Annotated[
    str, typer.Argument(metavar="[NUMBER]", help="As the list shows it.", show_default=False)
]
AllOption = Annotated[bool, typer.Option("--all", help="All in quarantine.", show_default=False)]
ReasonOption = Annotated[
    str, typer.Option(metavar="WORDS", help="Of --all, those whose reason holds these words.")
]
DestinationOption = Annotated[
    str, typer.Option(metavar="NAME", help="Only those to this destination.")
]
LimitOption = Annotated[int, typer.Option(min=1, help="List so many of the newest.")]


def _version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Write the version."),
    ] = False,
) -> None: ...


@app.command()
def serve(config: ConfigOption) -> None:
    """Run the node until SIGTERM or Ctrl-C; a second one stops it at once."""
    from dicom_node import supervisor

    supervisor.serve(load(config))


@app.command()
def demo(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder to write the results to.")
    ] = Path("demo-output"),
    source: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="A PA or AP chest radiograph; left out, one that comes along."
        ),
    ] = None,
    views: Annotated[
        str, typer.Option(metavar="NAME", help="A set of views; see the list below.")
    ] = "sweep-30",
    model: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A checkpoint; left out, the weights that come along."),
    ] = None,
) -> None:
    """See it work: a radiograph is sent to a node, and its views come back to an archive.

    View sets: sweep-30 (6 views), sweep-15 (12), turn-30 (11), obliques (2), laterals (2).
    """
    from dicom_node.demo import VIEW_SETS, run
    from dicom_node.settings.problems import did_you_mean

    if views not in VIEW_SETS:
        hint = did_you_mean(views, VIEW_SETS, otherwise="there are")
        raise ConfigurationError(f"--views: no view set is named {views!r}{hint}")
    run(out=out, source=source, views=views, model=model, console=terminal())


@app.command("check-config")
def check_config(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A configuration.")],
) -> None:
    """Check a configuration: all problems at once, each with its path."""
    from dicom_node.network.tls import check_files
    from dicom_node.settings.summary import notes, summary

    settings = load(file)
    settings.model_paths()
    check_files(settings.to_tls(), settings.to_destinations(), settings.syslog_tls())
    output = terminal()
    output.print(f"{file}: no problem found", style="green", highlight=False)
    output.print(summary(settings))
    for note in notes(settings):
        output.print(f"note: {note}", style="yellow", highlight=False)


@app.command()
def schema() -> None:
    """Write the JSON Schema of the configuration, for editors."""
    from dicom_node.settings import json_schema

    typer.echo(json_schema(), nl=False)


@routes_app.command("test")
def routes_test(
    config: ConfigOption,
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE...", help="DICOM files, or folders of them.")
    ],
    calling_ae_title: Annotated[
        str, typer.Option("--from", metavar="AE", help="AE title of the imagined sender.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Say which route each image would take, and which term decided. Nothing is touched.

    Exit status 1 when an image would be quarantined or cannot be read.
    """
    from dicom_node.inspection import files_of, inspect
    from dicom_node.listing import decision_line, inspected_table
    from dicom_node.ports import DecidedAs

    routes = load(config).to_routes()
    results = [
        inspect(routes, path, calling_ae_title=calling_ae_title) for path in files_of(images)
    ]
    if as_json:
        print_json([each.to_json() for each in results])
    else:
        output = terminal()
        for each in results:
            output.print(decision_line(each), soft_wrap=True)
            output.print(f"  {each.decision.reason}", markup=False, highlight=False)
            if each.views:
                output.print(f"  views: {', '.join(each.views)}", markup=False, highlight=False)
            if each.decision.terms:
                output.print(inspected_table(each))
    if any([each.decided_as is DecidedAs.QUARANTINE for each in results]):
        raise typer.Exit(EXIT_NEGATIVE)


@jobs_app.command("list")
def jobs_list(
    config: ConfigOption,
    state: Annotated[
        str | None, typer.Option(help="Only these: queued, running, done, quarantined, cancelled.")
    ] = None,
    limit: LimitOption = 1000,
    as_json: JsonOption = False,
) -> None:
    """List jobs, the newest first, with their deliveries."""
    from dicom_node.domain.jobs import JobState
    from dicom_node.listing import job_json, jobs_table

    wanted = None
    if state is not None:
        if state not in list(JobState):
            raise typer.BadParameter(f"{state!r} is none of {', '.join(JobState)}")
        wanted = JobState(state)
    rows = _look(load(config)).jobs(state=wanted, limit=limit)
    if as_json:
        print_json([job_json(row) for row in rows])
    elif rows:
        terminal().print(jobs_table(rows))
    else:
        terminal().print("There are no such jobs." if state else "There are no jobs.")


@jobs_app.command("show")
def jobs_show(
    config: ConfigOption,
    key: Annotated[str, typer.Argument(metavar="KEY", help="A job's key, or its beginning.")],
    as_json: JsonOption = False,
) -> None:
    """Show one job with everything that happened to it."""
    from dicom_node.listing import job_details, job_json

    row = _look(load(config)).job(key)
    if row is None:
        raise typer.BadParameter(f"no job, or more than one, has a key that begins with {key!r}")
    if as_json:
        print_json(job_json(row, events=True))
    else:
        terminal().print(*job_details(row), sep="\n")


@jobs_app.command("release")
def jobs_release(
    config: ConfigOption, key: KeyArgument = "", every: AllOption = False, reason: ReasonOption = ""
) -> None:
    """Let a quarantined job, or its quarantined deliveries, run again; or all quarantined jobs."""
    _settle(config, "jobs", "release", name=key, every=every, reason=reason)


@jobs_app.command("cancel")
def jobs_cancel(
    config: ConfigOption, key: KeyArgument = "", every: AllOption = False, reason: ReasonOption = ""
) -> None:
    """Give up a job that is in quarantine or waits; or all quarantined jobs."""
    _settle(config, "jobs", "cancel", name=key, every=every, reason=reason)


@images_app.command("list")
def images_list(
    config: ConfigOption, limit: LimitOption = 1000, as_json: JsonOption = False
) -> None:
    """List received images, the newest first, with what was decided about each."""
    from dicom_node.listing import image_json, images_table

    rows = _look(load(config)).images(limit=limit)
    if as_json:
        print_json([image_json(row) for row in rows])
    elif rows:
        terminal().print(images_table(rows))
    else:
        terminal().print("No image was received yet.")


@images_app.command("release")
def images_release(
    config: ConfigOption, uid: UidArgument = "", every: AllOption = False, reason: ReasonOption = ""
) -> None:
    """Plan a quarantined image anew, by the routes as they are now; or all of them."""
    _settle(config, "images", "release", name=uid, every=every, reason=reason)


@images_app.command("cancel")
def images_cancel(
    config: ConfigOption, uid: UidArgument = "", every: AllOption = False, reason: ReasonOption = ""
) -> None:
    """Give up a quarantined image, so that retention may let go of it; or all of them."""
    _settle(config, "images", "cancel", name=uid, every=every, reason=reason)


@deliveries_app.command("list")
def deliveries_list(
    config: ConfigOption,
    state: Annotated[str | None, typer.Option(help="Only these, as quarantined.")] = None,
    destination: DestinationOption = "",
    limit: LimitOption = 1000,
    as_json: JsonOption = False,
) -> None:
    """List deliveries, the newest first: attempts, next attempt and last error."""
    from dicom_node.domain.deliveries import DeliveryState
    from dicom_node.listing import deliveries_table, delivery_json

    if state is not None and state not in list(DeliveryState):
        raise typer.BadParameter(f"{state!r} is none of {', '.join(DeliveryState)}")
    rows = _look(load(config)).deliveries(
        state=None if state is None else DeliveryState(state), destination=destination, limit=limit
    )
    if as_json:
        print_json([delivery_json(row) for row in rows])
    elif rows:
        terminal().print(deliveries_table(rows))
    else:
        terminal().print("There are no such deliveries.")


@deliveries_app.command("release")
def deliveries_release(
    config: ConfigOption,
    number: NumberArgument = "",
    every: AllOption = False,
    destination: DestinationOption = "",
    reason: ReasonOption = "",
) -> None:
    """Send a quarantined delivery again, what is missing of it; or all of them."""
    _settle(
        config,
        "deliveries",
        "release",
        name=number,
        every=every,
        reason=reason,
        destination=destination,
    )


@deliveries_app.command("cancel")
def deliveries_cancel(
    config: ConfigOption,
    number: NumberArgument = "",
    every: AllOption = False,
    destination: DestinationOption = "",
    reason: ReasonOption = "",
) -> None:
    """Give up a delivery that is in quarantine or waits; or all quarantined ones."""
    _settle(
        config,
        "deliveries",
        "cancel",
        name=number,
        every=every,
        reason=reason,
        destination=destination,
    )


@app.command()
def echo(
    config: ConfigOption,
    destinations: Annotated[
        list[str] | None,
        typer.Argument(metavar="[DESTINATION]...", help="By name; left out, all of them."),
    ] = None,
) -> None:
    """Ask destinations whether they answer (C-ECHO). Exit status 1 when one does not."""
    from dicom_node.domain.errors import PeerError
    from dicom_node.network.choosing import store_client
    from dicom_node.settings.problems import did_you_mean

    settings = load(config)
    known = {each.name: each for each in settings.to_destinations()}
    for name in destinations or ():
        if name not in known:
            hint = did_you_mean(name, known, otherwise="there are")
            raise ConfigurationError(f"no destination is named {name!r}{hint}")
    client, output, silent = store_client(settings.node.ae_title), terminal(), False
    for name in destinations or known:
        each = known[name]
        address = f"{each.ae_title} at {each.host}:{each.port}"
        where = f"{name} ({each.web.url if each.web else address})"
        try:
            seconds = client.echo(each)
        except PeerError as error:
            silent = True
            output.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
        else:
            output.print(
                f"{where} answered in {seconds * 1000:.0f} ms",
                style="green",
                highlight=False,
                soft_wrap=True,
            )
    if silent:
        raise typer.Exit(EXIT_NEGATIVE)


@app.command()
def version() -> None:
    """Write the version."""
    typer.echo(__version__)


def _settle(
    config: Path,
    kind: str,
    deed: str,
    *,
    name: str,
    every: bool,
    reason: str,
    destination: str = "",
) -> None:
    import time

    from dicom_node.ports import Chosen, Deed, Kind
    from dicom_node.settling import settle

    settings = load(config)
    if every == bool(name):
        raise typer.BadParameter("name one, or give --all")
    if not every and (reason or destination):
        raise typer.BadParameter("--reason and --destination choose among --all")
    chosen = Chosen(name=name, reason=reason, destination=destination)
    done = settle(settings.database_url(), Kind(kind), Deed(deed), chosen, time.time())
    auditing.settled(settings, f"{kind}: {name or reason or destination or 'all'}", done)
    terminal().print(done, highlight=False, soft_wrap=True)


def _look(settings: Settings) -> SqlLedger:
    from dicom_node.store.ledger import read_ledger

    return read_ledger(settings.database_url())


def _report(error: NodeError) -> None:
    problems = error.problems if isinstance(error, ConfigurationError) else (str(error),)
    output = terminal(stderr=True)
    if len(problems) > 1:
        output.print(f"{len(problems)} problems:", style="bold red", highlight=False)
    for problem in problems:
        output.print("error: ", style="bold red", end="")
        output.print(problem, markup=False, highlight=False, soft_wrap=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: Left out, those of the process.

    Returns:
        Its exit status.
    """
    try:
        app(args=list(arguments) if arguments is not None else None)
    except NodeError as error:
        _report(error)
        return EXIT_ERROR
    except SystemExit as stop:  # how the command line library ends
        return stop.code if isinstance(stop.code, int) else EXIT_ERROR
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # ``| head`` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
