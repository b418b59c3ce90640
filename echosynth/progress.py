"""Progress of long work, as the library tells it; whoever calls decides how it is shown.

    with progress.task(len(clips), "measuring") as task:
        for clip in clips:
            ...
            task.advance()

Lines for people go through `logging` (loggers below "echosynth"), never through `print`.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

LOOK_AGAIN = 1.0  # seconds between two looks at what other processes have made

log = logging.getLogger(__name__)


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


class SharedTask:
    """Work that several processes share, shown by one of them as one task.

    Args:
        task: the task, begun.
        unit: steps of an item.
        finished: counts the items that all processes have finished; None to show this process alone.
    """

    def __init__(self, task: ProgressTask, unit: int, finished: Callable[[], int] | None) -> None:
        self._task, self._unit, self._finished = task, unit, finished
        self._before = finished() if finished else 0
        self._mine = self._others = 0
        self._looked = time.monotonic()

    def advance(self) -> None:
        """Count a step of this process."""
        self._task.advance()

    def finish(self) -> None:
        """Count an item of this process, whose steps were counted."""
        self._mine += 1
        self.catch_up()

    def retry(self) -> None:
        """Expect the steps of an item once more."""
        self._task.extend(self._unit)

    def catch_up(self) -> None:
        """Count the items that other processes have finished."""
        if self._finished is None or time.monotonic() < self._looked + LOOK_AGAIN:
            return
        others, self._looked = self._finished() - self._before - self._mine, time.monotonic()
        if others > self._others:
            self._task.advance(self._unit * (others - self._others))
            self._others = others
            log.info(f"{self._before + self._mine + others} are finished, by all processes")


@contextmanager
def share_progress(
    progress: Progress, label: str, items: int, unit: Callable[[], int], finished: Callable[[], int]
) -> Iterator[SharedTask]:
    """Begin a task of work that several processes share; one that is silent counts nothing.

    Args:
        progress: shows it.
        label: what is done, with "{}" for the number of items that are missing.
        items: of the whole work.
        unit: gives the steps of an item; not called if nothing is missing.
        finished: counts the items that all processes have finished.
    """
    missing = 0 if progress is SILENT else items - finished()
    steps = unit() if missing else 0
    with progress.task(steps * missing, label.format(missing)) as task:
        yield SharedTask(task, steps, finished if missing else None)
