"""What people see while the demo works."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from dicom_node.domain.errors import NodeError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Step", "Steps"]


class Step:
    """One step of the display."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task
        self.summary = ""

    def say(self, summary: str) -> None:
        """What it came to."""
        self.summary = summary

    def reached(self, count: int) -> None:
        """How much of its total is done."""
        self._progress.update(self._task, completed=count)


class Steps:
    """A line for every step that is over, and a live one for the step at work."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    @contextmanager
    def shown(self) -> Iterator[Steps]:
        """Keep the live line while the block runs."""
        with self._progress:
            yield self

    @contextmanager
    def step(self, description: str, total: int | None = None) -> Iterator[Step]:
        """Do a step in the block; say how it ended."""
        began = time.monotonic()
        task = self._progress.add_task(description, total=total)
        step = Step(self._progress, task)
        try:
            yield step
        except NodeError:
            self._console.print(f"[red]failed[/] {description}", highlight=False)
            raise
        finally:
            self._progress.remove_task(task)
        seconds = time.monotonic() - began
        self._console.print(
            f"[green]done[/]  {step.summary} [dim]({seconds:.1f} s)[/]", highlight=False
        )
