"""Progress of long work, as the library tells it; whoever calls decides how it is shown.

    with progress.task(len(clips), "measuring") as task:
        for clip in clips:
            ...
            task.advance()

Lines for people go through `logging` (loggers below "echosynth"), never through `print`.
"""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as _Bar


class ProgressTask(Protocol):
    """One piece of work with a known number of steps."""

    def advance(self, steps: int = 1) -> None:
        """Count steps that are done."""

    def extend(self, more: int) -> None:
        """Add steps to what is expected (a refused clip is tried again) or, below 0, take some off."""


class Progress(Protocol):
    """Shows tasks, one at a time."""

    def task(self, total: int, label: str) -> AbstractContextManager[ProgressTask]:
        """Begin a task of `total` steps; it ends with the block."""


class _SilentTask:
    def advance(self, steps: int = 1) -> None:
        pass

    def extend(self, more: int) -> None:
        pass


class _Silent:
    @contextmanager
    def task(self, total: int, label: str) -> Iterator[ProgressTask]:
        yield _SilentTask()


SILENT: Progress = _Silent()
"""Shows nothing: the default of every function of the library."""


# --- the reporter that verbs own until each takes a Progress; to be deleted ---


class Reporter:
    """Counts steps and says what was finished; use it in a `with` block.

    Args:
        total: steps expected.
        what: a word for the bar, e.g. "generating".
    """

    def __init__(self, total: int, what: str) -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._bar: _Bar | None = None
        self._total = total
        if self.console.is_terminal and total > 0:
            self._bar = _Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                console=self.console,
            )
            self._task = self._bar.add_task(what, total=total)

    def step(self) -> None:
        """Count one step."""
        if self._bar is not None:
            self._bar.advance(self._task)

    def expect(self, more: int) -> None:
        """Add steps to what is expected (a refused clip is tried again) or, below 0, take some off."""
        self._total += more
        if self._bar is not None:
            self._bar.update(self._task, total=self._total)

    def say(self, line: str) -> None:
        """Print one line, above the bar if there is one."""
        if self._bar is not None:
            self._bar.console.print(line, markup=False)
        else:
            print(line, file=sys.stderr, flush=True)

    def __enter__(self) -> "Reporter":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
