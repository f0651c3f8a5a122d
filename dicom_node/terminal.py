"""What the commands share: options, how a configuration is read, how answers are written."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from dicom_node.settings import Settings

__all__ = [
    "EXIT_ERROR",
    "EXIT_NEGATIVE",
    "ConfigOption",
    "JsonOption",
    "load",
    "print_json",
    "terminal",
]

EXIT_ERROR: Final = 2
"""Exit status when a command could not do what was asked."""

EXIT_NEGATIVE: Final = 1
"""Exit status when a command did its work and the answer is no."""

ConfigOption = Annotated[
    Path,
    typer.Option(
        "--config",
        "-c",
        envvar="DICOM_NODE_CONFIG",
        metavar="FILE",
        help="The node's configuration.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON for machines.")]


def load(config: Path) -> Settings:
    """Read a configuration, with warnings of the log on stderr from now on."""
    import logging

    import structlog

    from dicom_node.settings import load as load_settings

    # Standard output is for answers; ``serve`` sets up its own log afterwards.
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    # Of what libraries meet, people hear by our errors: a database that goes away in the middle of
    # a backup is no reason for a traceback of its driver.
    logging.getLogger().addHandler(logging.NullHandler())
    return load_settings(config)


def terminal(*, stderr: bool = False) -> Console:
    """Where answers for people go."""
    from rich.console import Console

    # A file or a pipe has no width: a table must not be cut to 80 columns there.
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else 200)


def print_json(data: Any) -> None:
    """Where answers for machines go."""
    typer.echo(json.dumps(data, indent=2, ensure_ascii=False))
