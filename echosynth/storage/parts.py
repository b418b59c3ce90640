"""The work of one run in parts, each done by the one process that holds it.

    RUN/.parts/00012.lock    held by the process at work; the system lets go of it however that process ends
    RUN/.parts/00012.jsonl   what it has made, one line each, see jsonl.py
    RUN/.parts/00012.json    the part is finished; a few counts of it

Any number of processes, on one machine or on several that share a disk, start the same command with the same folder
and take the next part that is neither finished nor held. None waits for a message from another, so each may be killed
at any moment: its part is free again, and whoever takes it goes on at its last line.
"""

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from echosynth.errors import OutputError
from echosynth.storage.atomic import refusal, write_text

FOLDER, ENGINE = ".parts", "engine"
MANY, LARGEST = 256, 1000  # a part is as small as leaves so many of them, and never larger
POLL = 0.5  # seconds between two looks at parts that others hold
GRACE = 3.0  # seconds for which a part of one's own may be held by another process


class Parts:
    """The parts of a run, each some consecutive items of what is to be made. They depend on the number of items alone.

    Args:
        run: the run's folder; `.parts` is made below it when a part is first taken.
        items: how many there are.
        size: items of a part; None for parts that are as small as leaves `MANY` of them.

    Attributes:
        size: items of a part; the last one may have fewer.
        count: of parts; they are numbered from 0.
    """

    def __init__(self, run: Path, items: int, size: int | None = None) -> None:
        self.run, self.folder, self._items = run, run / FOLDER, items
        self.size = size or min(LARGEST, max(1, math.ceil(items / MANY)))
        self.count = math.ceil(items / self.size)

    def items(self, part: int) -> range:
        """Numbers of the items of a part."""
        return range(part * self.size, min(self._items, (part + 1) * self.size))

    def journal(self, part: int, of: str = "") -> Path:
        """The file with the lines of a part, or another one, e.g. of "rows"."""
        return self._file(part, f"{of}.jsonl" if of else "jsonl")

    def summary(self, part: int) -> dict[str, Any] | None:
        """The counts of a finished part; None if it is not finished.

        Raises:
            OutputError: the file is damaged or cannot be read.
        """
        path = self._file(part, "json")
        try:
            counts = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise OutputError(f"cannot read {path}: {error.strerror}") from error
        except ValueError:
            counts = None
        if not isinstance(counts, dict):
            raise OutputError(f"{path} is damaged; remove it, the same command goes through the part again")
        return counts

    def is_finished(self, part: int) -> bool:
        """Whether a part is finished."""
        return self._file(part, "json").is_file()

    def unfinished(self) -> list[int]:
        """The parts that are not finished."""
        return [part for part in range(self.count) if not self.is_finished(part)]

    def is_held(self, part: int) -> bool:
        """Whether a process works on a part."""
        if not self._file(part, "lock").exists():
            return False
        with self._take(part) as mine:
            return not mine

    def work(
        self,
        wanted: Sequence[int],
        make: Callable[[int], Mapping[str, Any]],
        wait: bool = True,
        while_waiting: Callable[[], None] = lambda: None,
    ) -> None:
        """Finish every wanted part, those that others hold excepted as long as they live.

        Args:
            wanted: parts, in the order in which this process tries to take them.
            make: does the work of a part that is held, going on where its journal ends, and returns its counts.
            wait: come back to parts that others hold until they are finished; else a held one is an error.
            while_waiting: called now and then.

        Raises:
            OutputError: another process holds a wanted part and `wait` is off, or the system refused.
        """
        left, until = list(wanted), math.inf if wait else time.monotonic() + GRACE
        while left:
            before, left = len(left), list(self._pass(left, make))
            if len(left) < before:  # who looks whether a part is held (`is_held`) holds it for a moment
                until = math.inf if wait else time.monotonic() + GRACE
            if left and time.monotonic() > until:
                raise OutputError(
                    f"another process works on part {left[0]} of {self.run}, which is in this shard too; "
                    "let it finish, or give shards that do not overlap"
                )
            if left:
                while_waiting()
                time.sleep(POLL)

    @contextmanager
    def hold_alone(self, engine: str) -> Iterator[None]:
        """Keep other engines out of the run in the block: their processes would not know of one another.

        Raises:
            OutputError: a process that is no engine's, or another engine, works in the run.
        """
        with self._take_file(ENGINE) as mine:
            if not mine or any(map(self.is_held, self.unfinished())):
                raise OutputError(
                    f"another process is working in {self.run}; wait for it before {engine} goes on there"
                )
            yield

    def refuse_beside_engine(self) -> None:
        """Refuse to work beside an engine that holds the run alone.

        Raises:
            OutputError: there is one.
        """
        until = time.monotonic() + GRACE
        while (self.folder / f"{ENGINE}.lock").exists():
            with self._take_file(ENGINE) as mine:
                if mine:
                    return
            if time.monotonic() > until:  # who looks as we do holds it for a moment
                raise OutputError(f"an engine (--engine) is working in {self.run}; wait for it")
            time.sleep(POLL)

    def _pass(self, wanted: Iterable[int], make: Callable[[int], Mapping[str, Any]]) -> Iterator[int]:
        """Do each part that can be taken; yield those that others hold."""
        for part in wanted:
            if self.is_finished(part):
                continue
            with self._take(part) as mine:
                if not mine:
                    yield part
                elif not self.is_finished(part):  # by whoever held it until now
                    write_text(self._file(part, "json"), json.dumps(make(part)) + "\n")

    def _take(self, part: int) -> AbstractContextManager[bool]:
        """Hold a part in the block, and say whether it could be had."""
        return self._take_file(f"{part:05d}")

    @contextmanager
    def _take_file(self, name: str) -> Iterator[bool]:
        lock = FileLock(self.folder / f"{name}.lock", timeout=0)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            yield False
            return
        except OSError as error:
            raise refusal(self.folder, error) from error
        try:
            yield True
        finally:
            lock.release()

    def _file(self, part: int, kind: str) -> Path:
        return self.folder / f"{part:05d}.{kind}"
