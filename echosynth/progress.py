"""Progress on stderr: a bar with the time left on a terminal, plain lines elsewhere. stdout belongs to results."""

import sys
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Reporter:
    """Counts steps and says what was finished; use it in a `with` block.

    Args:
        total: steps expected.
        what: a word for the bar, e.g. "generating".
    """

    def __init__(self, total: int, what: str) -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._bar: Progress | None = None
        self._total = total
        if self.console.is_terminal and total > 0:
            self._bar = Progress(
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
