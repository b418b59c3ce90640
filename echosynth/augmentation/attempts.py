"""Attempts at one planned sample, until the gate accepts one or the attempts are used up.

    seed(attempt) = derive_seed(root seed, sample_id, attempt)      of one clip; its stages have seeds of their own

A clip therefore depends on its name alone: not on order, on what else is generated, or on where a killed run
continued. The best refused attempt (nearest to the target by the gate) stays the sample's clip, marked as refused. The
judge measures and decides nothing.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from echosynth.augmentation.manifest import ManifestEntry, best_entries, package_versions
from echosynth.augmentation.models import RunModels
from echosynth.augmentation.plan import PlannedSample
from echosynth.augmentation.sampling import Sampling, Start, StepHook, make_clip
from echosynth.runtime import one_thread
from echosynth.seeding import derive_seed
from echosynth.video.clip import EchoClip


@dataclass(frozen=True, eq=False)
class Attempt:
    """One attempt, just made.

    Attributes:
        sample: what was asked for.
        entry: its line of the manifest, not yet written.
        clip: the clip, with `ef` the target.
        best: whether it is the sample's clip so far.
        last: whether the sample is finished with it.
    """

    sample: PlannedSample
    entry: ManifestEntry
    clip: EchoClip
    best: bool
    last: bool


class ClipStore(Protocol):
    """Where a run keeps the clips of a part.

    Attributes:
        keeps_refused: whether the best refused attempt of a sample is kept.
    """

    keeps_refused: bool

    def file_of(self, sample_id: str) -> str:
        """Name of a sample's clip, relative to the run's folder."""
        ...

    def add(self, attempt: Attempt) -> None:
        """Keep an attempt's clip if it belongs here. Called again for an attempt whose run was killed."""
        ...

    def close(self) -> None:
        """End the part."""
        ...


def is_finished(entries: Sequence[ManifestEntry], max_attempts: int) -> bool:
    """Whether a sample with these attempts needs no more."""
    return any(entry.accepted for entry in entries) or len(entries) >= max_attempts


def make_attempts(
    sample: PlannedSample,
    start: Start,
    models: RunModels,
    sampling: Sampling,
    store: ClipStore,
    before: Sequence[ManifestEntry] = (),
    on_step: StepHook | None = None,
) -> Iterator[Attempt]:
    """Yield what a sample still needs, one attempt at a time, each as soon as it is measured.

    Args:
        sample: what is asked for.
        start: what its clip starts from.
        models: what generates, accepts and measures.
        sampling: seeds, attempts, tolerance.
        store: names the files; nothing is written here.
        before: the sample's attempts so far.
        on_step: called after every solver step.
    """
    entries = list(before)
    while not is_finished(entries, sampling.max_attempts):
        started, number = time.perf_counter(), len(entries)
        seed = derive_seed(sampling.seed, sample.sample_id, number)
        clip = make_clip(models.pipeline, start, sample.target_ef, seed, sampling, on_step, sample.sample_id)
        judge = models.judge_regressor
        with one_thread():  # what is measured, and so what is accepted, must not depend on the number of processes
            measured = models.gate_regressor.predict([clip])[0]
            judge_ef = None if judge is None else judge.predict([clip])[0].ef
        verdict = sampling.tolerance.decide(sample.target_ef, measured.ef)
        rival = best_entries(entries).get(sample.sample_id)
        best = verdict.accepted or rival is None or verdict.distance < rival.distance
        entry = ManifestEntry(
            sample_id=sample.sample_id,
            source=sample.source,
            frame=sample.frame,
            attempt=number,
            seed=seed,
            target_ef=sample.target_ef,
            gate_ef=measured.ef,
            gate_low=measured.low,
            gate_high=measured.high,
            judge_ef=judge_ef,
            accepted=verdict.accepted,
            reason=verdict.reason,
            file=store.file_of(sample.sample_id) if verdict.accepted or (best and store.keeps_refused) else None,
            seconds=round(time.perf_counter() - started, 3),
            model=models.cascade.name,
            model_hash=models.cascade.sha256,
            gate=models.gate.name,
            gate_hash=models.gate.sha256,
            judge=models.judge.name if models.judge else None,
            judge_hash=models.judge.sha256 if models.judge else None,
            versions=package_versions(),
        )
        entries.append(entry)
        yield Attempt(sample, entry, clip, best, is_finished(entries, sampling.max_attempts))
