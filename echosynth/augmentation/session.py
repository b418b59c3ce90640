"""One run of `generate` or `demo`: frames and target EFs in, a folder of gated clips out.

    OUT/config.yaml run.json provenance.json    see storage/run_records.py
    OUT/manifest.jsonl                          every attempt
    OUT/clips/                                  see clip_folder.py

A clip and its previews are on disk before its line of the manifest, so a kill at any moment loses and doubles nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from echosynth.augmentation.clip_folder import ClipFolder
from echosynth.augmentation.conditioning import ConditioningFrame, hash_frames
from echosynth.augmentation.manifest import Manifest, ManifestEntry, best_entries
from echosynth.augmentation.models import RunModels
from echosynth.augmentation.plan import PlannedSample, plan_targets
from echosynth.augmentation.sampling import Sampling
from echosynth.augmentation.work import MANIFEST, Work
from echosynth.config import VerbConfig
from echosynth.progress import SILENT, Progress
from echosynth.storage.run_folder import RunFolder
from echosynth.video.clip import EchoClip

# The inputs `sources` and `frames_hash` say which frames a run starts from, wherever their files are.
NOT_DECISIVE = ("source", "fictional", "limit", "keep", "device")


@dataclass(frozen=True)
class GenerationJob:
    """Everything that decides which clips are made.

    Attributes:
        command: "generate" or "demo".
        config: what the user chose, for the run's records.
        frames: the conditioning frames.
        efs: target EFs, per cent.
        samples: clips per frame and EF.
        models: what generates, accepts and measures.
        sampling: seeds, attempts, tolerance, steps, guidance.
    """

    command: str
    config: VerbConfig
    frames: Sequence[ConditioningFrame]
    efs: Sequence[float]
    samples: int
    models: RunModels
    sampling: Sampling

    def plan(self) -> list[PlannedSample]:
        """The samples, in the order in which they are made."""
        return plan_targets([f.name for f in self.frames], self.efs, self.samples, [f.frame for f in self.frames])

    def inputs(self) -> dict[str, Any]:
        """What else than the config decides the clips: frames and weights. A run with other inputs is another run."""
        sources = [frame.source for frame in self.frames]
        return {"sources": sources, "frames_hash": hash_frames(self.frames), **self.models.identities()}


@dataclass(frozen=True)
class FinishedSample:
    """One finished sample of a run.

    Attributes:
        sample: what was asked for.
        entry: the attempt whose clip was kept.
        file: that clip, lossless.
        source: what gave the conditioning frame, as the user knows it.
        attempts: how many were made.
        seconds: for all of them.
    """

    sample: PlannedSample
    entry: ManifestEntry
    file: Path
    source: str
    attempts: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """One object of the list `clips` of `--json`."""
        return {
            "file": str(self.file),
            "source": self.source,
            "target_ef": self.entry.target_ef,
            "gate_ef": self.entry.gate_ef,
            "judge_ef": self.entry.judge_ef,
            "accepted": self.entry.accepted,
            "attempts": self.attempts,
            "seed": self.entry.seed,
            "seconds": self.seconds,
        }


@dataclass(frozen=True)
class GenerateResult:
    """What a run of `generate` made.

    Attributes:
        run: the run's folder.
        frames: the conditioning frames.
        clips: one per sample of the plan, in order.
        seed: root seed.
    """

    run: Path
    frames: Sequence[ConditioningFrame]
    clips: Sequence[FinishedSample]
    seed: int

    @property
    def manifest(self) -> Path:
        """The file with a line for every attempt."""
        return self.run / MANIFEST

    def load(self, clip: FinishedSample) -> EchoClip:
        """Read a clip from disk, its EF the target."""
        return ClipFolder(self.run).load(clip.sample.sample_id).replace(ef=clip.sample.target_ef)

    def to_dict(self) -> dict[str, Any]:
        """The object of `--json`."""
        return {"run": str(self.run), "clips": [clip.to_dict() for clip in self.clips]}


def run_generation(job: GenerationJob, out: Path, progress: Progress = SILENT) -> GenerateResult:
    """Make what is missing and return every sample of the plan, in order. Does nothing if nothing is missing.

    Raises:
        EchosynthError: models or folder cannot be used.
    """
    plan, inputs = job.plan(), job.inputs()
    starts, folder = [frame.start for frame in job.frames], ClipFolder(out)
    work = Work(
        run=out,
        plan=plan,
        start_of=lambda sample: starts[sample.source_index],
        models=job.models,
        sampling=job.sampling,
        store_of=lambda part: folder,
        complete=lambda: folder.add_missing_previews(sample.sample_id for sample in plan),
    )
    with RunFolder.open(out, job.command, job.config, inputs, may_change=NOT_DECISIVE, shared=True):
        folder.refuse_missing(work.begun())
        work.finish(progress=progress)
    manifest = Manifest(work.manifest)
    made, best = manifest.by_sample(), best_entries(manifest.entries)
    finished = [
        FinishedSample(
            sample,
            best[sample.sample_id],
            out / folder.file_of(sample.sample_id),
            job.frames[sample.source_index].source,
            len(made[sample.sample_id]),
            round(sum(entry.seconds for entry in made[sample.sample_id]), 3),
        )
        for sample in plan
    ]
    return GenerateResult(out, job.frames, finished, job.sampling.seed)
