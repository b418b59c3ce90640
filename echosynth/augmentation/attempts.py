"""Attempts at each planned sample, until the gate accepts one or the attempts are used up.

    seed(attempt) = derive_seed(root seed, sample_id, attempt)      one CPU generator per clip, batch size 1

so a clip depends on its name alone: not on order, on what else is made, or on where a killed run continued. The best
refused attempt (nearest to the target by the GATE) stays the sample's clip, marked as refused. The judge measures and
decides nothing.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from echosynth.augmentation.manifest import ManifestEntry, best_entries, package_versions
from echosynth.augmentation.plan import PlannedSample
from echosynth.augmentation.sampling import Sampling, Start, StepHook, make_clip
from echosynth.diffusion.pipeline import EchoCascadePipeline
from echosynth.errors import ConfigError
from echosynth.regression.base import EFPrediction, EFRegressor
from echosynth.seeding import derive_seed
from echosynth.video.clip import EchoClip

ModelT = TypeVar("ModelT")


@dataclass(frozen=True, eq=False)
class LoadedModel(Generic[ModelT]):
    """A model with the name and the hash that go into the manifest.

    Attributes:
        name: as the user knows it.
        weights: hash of its weights, 12 hex digits.
        model: the pipeline or regressor.
    """

    name: str
    weights: str
    model: ModelT


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


def is_finished(entries: Sequence[ManifestEntry], max_attempts: int) -> bool:
    """Whether a sample with these attempts needs no more."""
    return any(entry.accepted for entry in entries) or len(entries) >= max_attempts


def generate_samples(
    cascade: LoadedModel[EchoCascadePipeline],
    gate: LoadedModel[EFRegressor],
    judge: LoadedModel[EFRegressor] | None,
    plan: Sequence[PlannedSample],
    starts: Callable[[PlannedSample], Start],
    sampling: Sampling = Sampling(),  # noqa: B008  (frozen)
    done: Sequence[ManifestEntry] = (),
    folder: str = "clips",
    keep_refused: bool = True,
    on_step: StepHook | None = None,
) -> Iterator[Attempt]:
    """Make what the plan still lacks, one attempt at a time.

    The caller writes the clip first (if it is the best so far) and then the manifest line, so that a run killed between
    the two makes the same attempt again.

    Args:
        cascade: what generates.
        gate: what accepts.
        judge: what only measures; another network than the gate.
        plan: the samples.
        starts: gives what a sample starts from.
        sampling: seeds, attempts, tolerance.
        done: the manifest so far; finished samples are passed over, others continue at their next attempt.
        folder: of the clips, relative to the run, for the manifest.
        keep_refused: whether refused clips are kept as files.
        on_step: called after every solver step.

    Yields:
        Every attempt, as soon as it is measured.

    Raises:
        ConfigError: the judge is the gate.
    """
    if judge is not None and (judge.name == gate.name or judge.weights == gate.weights):
        raise ConfigError(f"the judge must not be the gate, and both are '{gate.name}'; choose another --judge")
    versions = package_versions()
    by_sample: dict[str, list[ManifestEntry]] = {}
    for entry in done:
        by_sample.setdefault(entry.sample_id, []).append(entry)
    for sample in plan:
        entries = by_sample.setdefault(sample.sample_id, [])
        start: Start | None = None
        while not is_finished(entries, sampling.max_attempts):
            started, attempt = time.perf_counter(), len(entries)
            start = starts(sample) if start is None else start
            seed = derive_seed(sampling.seed, sample.sample_id, attempt)
            clip = make_clip(cascade.model, start, sample.target_ef, seed, sampling, on_step, sample.sample_id)
            measured: EFPrediction = gate.model.predict([clip])[0]
            judged = judge.model.predict([clip])[0].ef if judge is not None else None
            verdict = sampling.tolerance.decide(sample.target_ef, measured.ef)
            before = best_entries(entries).get(sample.sample_id)
            best = verdict.accepted or before is None or verdict.distance < before.distance
            entry = ManifestEntry(
                sample_id=sample.sample_id,
                source=sample.source,
                frame=sample.frame,
                attempt=attempt,
                seed=seed,
                target_ef=sample.target_ef,
                gate_ef=measured.ef,
                gate_low=measured.low,
                gate_high=measured.high,
                judge_ef=judged,
                accepted=verdict.accepted,
                reason=verdict.reason,
                file=f"{folder}/{sample.sample_id}.avi" if verdict.accepted or (best and keep_refused) else None,
                seconds=round(time.perf_counter() - started, 3),
                model=cascade.name,
                model_hash=cascade.weights,
                gate=gate.name,
                gate_hash=gate.weights,
                judge=judge.name if judge is not None else None,
                judge_hash=judge.weights if judge is not None else None,
                versions=versions,
            )
            entries.append(entry)
            yield Attempt(sample, entry, clip, best, is_finished(entries, sampling.max_attempts))
