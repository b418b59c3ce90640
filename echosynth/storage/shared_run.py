"""Finishing a run that any number of processes share: parts first, then what belongs to the whole.

Nothing but the files is shared: a process that comes late helps, one that is killed is missed by nobody.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from echosynth.errors import OutputError
from echosynth.progress import SharedTask
from echosynth.runtime import process_place, settle
from echosynth.stopping import StopRequest, stops_between_clips
from echosynth.storage.atomic import ABANDONED, remove_leftovers
from echosynth.storage.jsonl import join_records
from echosynth.storage.lock import hold
from echosynth.storage.parts import Parts
from echosynth.storage.shard import WHOLE, Shard

PATIENCE = 7 * 24 * 3600.0  # seconds; the tables of a million clips take a while
Make = Callable[[int, StopRequest], Mapping[str, Any]]


@dataclass(frozen=True)
class SharedRun:
    """A run in parts, which ends in one file with the lines of all of them.

    Attributes:
        parts: of the run.
        joined: the file; it is there once the run is complete.
        complete: writes what belongs to the whole, if it is not there, once all parts are finished; called by one
            process at a time, before `joined` is written and whenever a complete run is started again.
    """

    parts: Parts
    joined: Path
    complete: Callable[[], None]

    def finish(self, make: Make, shown: SharedTask, shard: Shard = WHOLE) -> int:
        """Finish what is missing of a shard, beside other processes that do the same.

        Args:
            make: finishes a part that this process holds, going on where its journal ends, and returns its counts;
                it asks the request between two clips whether to stop.
            shown: counts what other processes make while this one waits.
            shard: the parts that are to be finished. With the whole plan a process waits for what others hold, and
                takes it over if they die.

        Returns:
            The number of parts that are left to other shards; 0 if the run is complete.

        Raises:
            OutputError: the disk refused, shards overlap, or the folder is of a version that had no parts.
            StoppedBetweenClips: the process was asked to stop.
        """
        if self.joined.exists() and not self.parts.folder.is_dir() and self.parts.count:
            raise OutputError(f"{self.parts.run} was made by an earlier version of echosynth; choose another folder")
        self.parts.refuse_beside_engine()
        place = process_place()
        settle(place)
        wanted = shard.of(self.parts.count)
        first = len(wanted) * place.index // place.count
        with stops_between_clips() as stop:

            def wait() -> None:
                shown.catch_up()
                stop.here_if_asked()

            self.parts.work(
                wanted[first:] + wanted[:first],
                lambda part: make(part, stop),
                wait=shard == WHOLE or place.count > 1,
                while_waiting=wait,
            )
        left = len(self.parts.unfinished())
        if not left:
            self.merge()
        return left

    def merge(self) -> None:
        """Complete a run whose parts are all finished.

        Raises:
            OutputError: some are not, or the disk refused.
        """
        if left := self.parts.unfinished():
            some = ", ".join(map(str, left[:5])) + (", ..." if len(left) > 5 else "")
            raise OutputError(
                f"{len(left)} of {self.parts.count} parts of {self.parts.run} are unfinished ({some}); start the "
                "command of this run again, or its missing shards"
            )
        with hold(self.parts.folder, PATIENCE, ABANDONED):  # not the run's folder: others may begin and look meanwhile
            if not self.joined.exists():  # nobody writes now: what is half-written was left by killed processes
                remove_leftovers(self.parts.run)
            self.complete()
            if not self.joined.exists():
                join_records(self.joined, [self.parts.journal(part) for part in range(self.parts.count)])
