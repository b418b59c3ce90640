"""A `Progress` that counts."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class CountedTask:
    """A task with the steps that were counted."""

    label: str
    total: int
    done: int = 0

    def advance(self, steps: int = 1) -> None:
        self.done += steps

    def extend(self, more: int) -> None:
        self.total += more


@dataclass
class CountingProgress:
    """Keeps every task."""

    tasks: list[CountedTask] = field(default_factory=list)

    @contextmanager
    def task(self, total: int, label: str) -> Iterator[CountedTask]:
        self.tasks.append(CountedTask(label, total))
        yield self.tasks[-1]
