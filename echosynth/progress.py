"""Progress of long work, as the library tells it; whoever calls decides how it is shown.

    with progress.task(len(clips), "measuring") as task:
        for clip in clips:
            ...
            task.advance()

Lines for people go through `logging` (loggers below "echosynth"), never through `print`.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


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
