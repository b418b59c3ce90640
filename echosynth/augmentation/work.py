"""What a run has to make, cut into parts that any number of processes share, see storage/parts.py.

The parts depend on the plan alone, and a clip on its name alone: one process or many, in any order, killed and started
again, make the same clips.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from echosynth.augmentation.attempts import ClipStore, is_finished, make_attempts
from echosynth.augmentation.manifest import Manifest, ManifestEntry
from echosynth.augmentation.models import RunModels
from echosynth.augmentation.plan import PlannedSample
from echosynth.augmentation.sampling import Sampling, Start
from echosynth.errors import OutputError
from echosynth.progress import SILENT, Progress, SharedTask, share_progress
from echosynth.runtime import process_place
from echosynth.stopping import StopRequest, stops_between_clips
from echosynth.storage.parts import Parts
from echosynth.storage.shard import WHOLE, Shard
from echosynth.storage.shared_run import SharedRun

MANIFEST = "manifest.jsonl"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Counts:
    """What was made of some samples.

    Attributes:
        samples: finished ones.
        accepted: of them.
        attempts: all, those at unfinished samples included.
        seconds: for all attempts.
    """

    samples: int = 0
    accepted: int = 0
    attempts: int = 0
    seconds: float = 0.0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @staticmethod
    def of(manifest: Manifest, max_attempts: int) -> "Counts":
        """Count the attempts of a manifest."""
        made = manifest.by_sample().values()
        return Counts(
            sum(is_finished(entries, max_attempts) for entries in made),
            sum(entry.accepted for entry in manifest.entries),
            len(manifest.entries),
            round(sum(entry.seconds for entry in manifest.entries), 3),
        )


@dataclass(frozen=True)
class Work:
    """Everything that one run makes.

    Attributes:
        run: the run's folder.
        plan: the samples.
        start_of: gives what a sample starts from.
        models: what generates, accepts and measures.
        sampling: seeds, attempts, tolerance.
        store_of: gives what keeps the clips of a part.
        complete: writes what is missing beside the clips once they are all made; called by one process at a time.
        part_size: samples of a part; None for as few as are handy.
    """

    run: Path
    plan: Sequence[PlannedSample]
    start_of: Callable[[PlannedSample], Start]
    models: RunModels
    sampling: Sampling
    store_of: Callable[[int], ClipStore]
    complete: Callable[[], None]
    part_size: int | None = None

    @property
    def parts(self) -> Parts:
        """The parts of the plan."""
        return Parts(self.run, len(self.plan), self.part_size)

    @property
    def manifest(self) -> Path:
        """The file with a line for every attempt, in the plan's order; there once everything is finished."""
        return self.run / MANIFEST

    def counts(self, parts: Iterable[int] | None = None) -> Counts:
        """What is made of some parts so far, or of all, whoever made it."""
        return sum(map(self._counts_of_part, range(self.parts.count) if parts is None else parts), Counts())

    def _counts_of_part(self, part: int) -> Counts:
        summary = self.parts.summary(part)
        if summary is not None:
            try:
                return Counts(**summary)
            except TypeError:
                raise OutputError(f"{self.run}: part {part} is marked by other counts than ours; mend it") from None
        return Counts.of(Manifest(self.parts.journal(part)), self.sampling.max_attempts)

    def begun(self) -> Iterator[str]:
        """Yield the ids of the samples that an attempt was made at."""
        for part in range(self.parts.count):
            yield from Manifest(self.parts.journal(part)).by_sample()

    def finish(self, shard: Shard = WHOLE, progress: Progress = SILENT) -> int:
        """Make what is missing of a shard, beside other processes; see `SharedRun.finish`.

        Args:
            shard: the parts that this process is to finish.
            progress: shows solver steps, those of all processes; the first process of a launch alone uses it.

        Raises:
            ConfigError: the cascade does not know a condition that `sampling` gives.
            OutputError: the folder cannot be used.
        """
        parts = self.parts
        wanted = shard.of(parts.count)
        with share_progress(
            progress if process_place().is_first else SILENT,
            "generating {} clips",
            sum(len(parts.items(part)) for part in wanted),
            lambda: self.sampling.num_steps(self.models.pipeline),
            lambda: self.counts(wanted).samples,
        ) as shown:
            return self._shared().finish(lambda part, stop: asdict(self._make(part, shown, stop)), shown, shard)

    def finish_part(self, part: int) -> None:
        """Finish one part, waiting for a process that holds it."""
        with share_progress(SILENT, "", 0, lambda: 0, lambda: 0) as shown, stops_between_clips() as stop:
            self.parts.work([part], lambda number: asdict(self._make(number, shown, stop)))

    def merge(self) -> None:
        """Complete a run whose parts are all finished; see `SharedRun.merge`."""
        self._shared().merge()

    def _shared(self) -> SharedRun:
        return SharedRun(self.parts, self.manifest, self.complete)

    def _make(self, part: int, shown: SharedTask, stop: StopRequest) -> Counts:
        """Finish the samples of a part that this process holds.

        Each clip is in the store before its line is in the journal, so a process that is killed between the two makes
        the same attempt again.
        """
        manifest, store, sampling = Manifest(self.parts.journal(part)), self.store_of(part), self.sampling
        made = manifest.by_sample()
        sampling.require_support(self.models.pipeline, self.models.cascade.name)
        for sample in map(self.plan.__getitem__, self.parts.items(part)):
            before = made.get(sample.sample_id, [])
            if is_finished(before, sampling.max_attempts):
                continue
            start = self.start_of(sample)
            for attempt in make_attempts(sample, start, self.models, sampling, store, before, shown.advance):
                store.add(attempt)
                manifest.append(attempt.entry)
                log.info(_line(attempt.entry))
                if attempt.last:
                    shown.finish()
                else:
                    shown.retry()
                stop.here_if_asked()
        store.close()
        return Counts.of(manifest, sampling.max_attempts)


def _line(entry: ManifestEntry) -> str:
    verdict = "accepted" if entry.accepted else "refused"
    return (
        f"{entry.sample_id}, attempt {entry.attempt + 1}: asked {entry.target_ef:g}, gate {entry.gate_ef:.1f}, "
        f"{verdict} ({entry.seconds:.1f} s)"
    )
