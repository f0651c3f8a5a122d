"""``python -m synthesis``: views of a chest that were never exposed, and all that leads to them.

One module a command. They are thin: they read arguments, call the library and show what it says.
Errors of the library end in one place, `main`, as one sentence on stderr and exit status 2. Every
command imports what it needs when it runs, so that ``--help`` is quick.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from synthesis.cli.averaging import average
from synthesis.cli.consistency import evaluate_consistency
from synthesis.cli.converting import convert
from synthesis.cli.eligibility import evaluate_eligibility, train_eligibility
from synthesis.cli.evaluating import evaluate
from synthesis.cli.importing import import_drr
from synthesis.cli.inspecting import inspect
from synthesis.cli.options import EXIT_ERROR
from synthesis.cli.rendering import render
from synthesis.cli.sampling import sample
from synthesis.cli.stepping import evaluate_steps
from synthesis.cli.toning import train_tones
from synthesis.cli.training import train
from synthesis.errors import SynthesisError

__all__ = ["app", "main"]

app = typer.Typer(
    name="python -m synthesis",
    help="Views of a chest that were never exposed: render training data, train, sample, evaluate. "
    "Not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.command()(render)
app.command("import-drr")(import_drr)
app.command()(train)
app.command()(sample)
app.command()(evaluate)
app.command("evaluate-consistency")(evaluate_consistency)
app.command("train-eligibility")(train_eligibility)
app.command("evaluate-eligibility")(evaluate_eligibility)
app.command("train-tones")(train_tones)
app.command("evaluate-steps")(evaluate_steps)
app.command("mean-views")(average)
app.command()(inspect)
app.command()(convert)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: Left out, those of the process.

    Returns:
        Its exit status.
    """
    try:
        app(args=list(arguments) if arguments is not None else None)
    except (SynthesisError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_ERROR
    except SystemExit as stop:  # how the command line library ends
        return stop.code if isinstance(stop.code, int) else EXIT_ERROR
    except KeyboardInterrupt:
        return 130
    return 0
