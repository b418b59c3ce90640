"""The terminal: progress bars and log lines on stderr, tables on stdout.

On a terminal there is one bar for the task in hand, with lines above it; elsewhere there are plain lines. stdout
belongs to results.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table as RichTable
from rich.text import Text

from echosynth.report.tables import Table
from echosynth.runtime import process_place

WIDEST = 500  # columns of a table: at a terminal's edge a line wraps, where rich would cut numbers off


def configure_logging() -> Console:
    """Send what the library logs to stderr, one plain line each; return the console that bars share with them.

    Of processes that were launched together, the first alone tells what goes well.
    """
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    handler: logging.Handler
    if console.is_terminal:
        handler = RichHandler(
            console=console, show_time=False, show_level=False, show_path=False, markup=False, highlighter=None
        )
    else:
        handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    library = logging.getLogger("echosynth")
    library.handlers[:] = [handler]
    library.setLevel(logging.INFO if process_place().is_first else logging.WARNING)
    library.propagate = False
    return console


class TerminalTask:
    """One task of a `TerminalProgress`."""

    def __init__(self, bar: Progress, task: TaskID, total: int) -> None:
        self._bar, self._task, self._total = bar, task, total

    def advance(self, steps: int = 1) -> None:
        """Count steps that are done."""
        self._bar.advance(self._task, steps)

    def extend(self, more: int) -> None:
        """Add steps to what is expected, or, below 0, take some off."""
        self._total += more
        self._bar.update(self._task, total=self._total)


class TerminalProgress:
    """The `Progress` of commands: a bar with the time left where stderr is a terminal, and nothing elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def task(self, total: int, label: str) -> Iterator[TerminalTask]:
        """See `echosynth.progress.Progress.task`."""
        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal or total <= 0,
        )
        with bar:
            yield TerminalTask(bar, bar.add_task(label, total=total), total)


def print_table(table: Table) -> None:
    """Print a table on stdout, words to the left and numbers to the right."""
    console = Console(file=sys.stdout, highlight=False, width=WIDEST)
    shown = RichTable(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, name in enumerate(table.columns):
        shown.add_column(Text(name), justify="left" if number in table.text_columns else "right", no_wrap=True)
    for row in table.rows:
        shown.add_row(*(Text(str(cell)) for cell in row))
    console.print(shown)
