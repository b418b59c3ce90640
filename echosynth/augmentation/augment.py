"""Fill a dataset's EF histogram with synthetic clips: plan, generate, gate, write.

    OUT/manifest.jsonl     every attempt
    OUT/dataset/           accepted clips, TRAIN only, with a card; in EchoNet format or as tars
    OUT/.parts/            what each part of the plan has made so far, see storage/parts.py

Frames come from the source's TRAIN clips alone, and only TRAIN is counted: what is held out stays unseen.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from echosynth.augmentation.augment_config import AugmentConfig
from echosynth.augmentation.manifest import Manifest, ManifestEntry
from echosynth.augmentation.models import RunModels
from echosynth.augmentation.plan import BalancePlan, EFBins, FrameSource, PlannedSample
from echosynth.augmentation.ray_engine import finish_with_ray
from echosynth.augmentation.sampling import Start
from echosynth.augmentation.tar_writer import SyntheticTars
from echosynth.augmentation.work import Counts, Work
from echosynth.augmentation.writer import SyntheticEchoNet
from echosynth.data.echonet_format import EchoNetDataset
from echosynth.errors import DatasetError, OutputError
from echosynth.progress import SILENT, Progress
from echosynth.storage.run_folder import RunFolder
from echosynth.storage.run_records import RunRecords
from echosynth.storage.shard import WHOLE, Shard

DATASET = "dataset"


@dataclass(frozen=True)
class AugmentResult:
    """What a run of `augment` made, all processes and shards together.

    Attributes:
        run: the run's folder.
        dataset: the folder with the accepted clips.
        planned: clips that were wanted.
        accepted: clips in the dataset.
        refused: clips of which no attempt was accepted.
        attempts: all of them.
        seconds: for all attempts.
        parts_left: parts of the plan that other shards have not finished; 0 once the dataset's tables are written.
        real_ef: EF of the source's TRAIN clips, per cent.
        synthetic_ef: EF of the clips in the dataset, per cent; none as long as parts are left.
    """

    run: Path
    dataset: Path
    planned: int
    accepted: int
    refused: int
    attempts: int
    seconds: float
    parts_left: int
    real_ef: tuple[float, ...]
    synthetic_ef: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """The object of `--json`."""
        return {
            "run": str(self.run),
            "dataset": str(self.dataset),
            "planned": self.planned,
            "accepted": self.accepted,
            "refused": self.refused,
            "attempts": self.attempts,
            "seconds": self.seconds,
            "parts_left": self.parts_left,
        }


@dataclass(frozen=True)
class AugmentStatus:
    """How far a run of `augment` is.

    Attributes:
        counts: of what is made.
        planned: clips that are wanted.
        parts: of the plan.
        unfinished: numbers of the parts that are not finished.
        held: those of them that a process works on now.
    """

    counts: Counts
    planned: int
    parts: int
    unfinished: Sequence[int]
    held: Sequence[int]

    def to_dict(self) -> dict[str, Any]:
        """The object of `--json`."""
        shown = {"planned": self.planned, **asdict(self.counts), "parts": self.parts}
        return {**shown, "unfinished": list(self.unfinished), "held": list(self.held)}


def plan_augmentation(config: AugmentConfig, dataset: EchoNetDataset) -> BalancePlan:
    """Return the samples that fill the histogram of the dataset's TRAIN clips.

    Raises:
        DatasetError: no clip of the dataset is in TRAIN.
    """
    train = dataset.split("TRAIN")
    if not train:
        raise DatasetError(f"{dataset.root} has no clip in the split TRAIN; frames are taken from no other")
    rows = [dataset.rows[index] for index in train]
    sources = [FrameSource(row.file_name, k, max(1, row.num_frames)) for k, row in zip(train, rows, strict=True)]
    bins = EFBins(config.per_bin, config.bin_width, config.low, config.high)
    return BalancePlan([row.ef for row in rows], sources, bins, config.seed)


class Augmentation:
    """One run of `augment`: its plan, its models, and what of it is made.

    Args:
        config: what is asked for.
        out: the run's folder.

    Attributes:
        work: what is to be made, part by part.

    Raises:
        EchosynthError: models or source cannot be used.
    """

    def __init__(self, config: AugmentConfig, out: str | Path) -> None:
        self.config, self.out = config, Path(out)
        self.source = EchoNetDataset(config.source)
        models, sampling = RunModels(config.model, config.gate, None, config.device), config.sampling
        layout = SyntheticEchoNet if config.format == "echonet" else SyntheticTars
        name, root = config.source.name, self.out / DATASET
        self.dataset = layout(root, name, models, sampling, config.label, config.keep_refused)
        self.work = Work(
            run=self.out,
            plan=plan_augmentation(config, self.source),
            start_of=self._start_of,
            models=models,
            sampling=sampling,
            store_of=lambda part: self.dataset.writer(self.work.parts, part),
            complete=lambda: self.dataset.complete(self.work.parts),
            part_size=None if config.format == "echonet" else config.clips_per_tar,
        )

    @staticmethod
    def of_folder(out: str | Path) -> "Augmentation":
        """Return the run that a folder holds.

        Raises:
            OutputError: it holds none.
        """
        records = RunRecords.read(Path(out))
        if records is None or records.command != "augment":
            raise OutputError(f"{out} holds no run of 'echosynth augment'")
        return Augmentation(AugmentConfig(**records.config), out)

    def open(self) -> AbstractContextManager[RunFolder]:
        """The run's folder, shared with other processes; see `RunFolder.open`."""
        inputs = {**self.work.models.identities(), "source_hash": _hash_table(self.config.source)}
        return RunFolder.open(self.out, "augment", self.config, inputs, may_change=["device"], shared=True)

    def entries(self) -> Iterator[ManifestEntry]:
        """Yield every attempt that was made, part by part."""
        for part in range(self.work.parts.count):
            yield from Manifest(self.work.parts.journal(part)).entries

    def result(self, left: int = 0) -> AugmentResult:
        """What is made so far; `left` parts were unfinished."""
        counts = self.work.counts()
        return AugmentResult(
            run=self.out,
            dataset=self.dataset.root,
            planned=len(self.work.plan),
            accepted=counts.accepted,
            refused=counts.samples - counts.accepted,
            attempts=counts.attempts,
            seconds=round(counts.seconds, 1),
            parts_left=left,
            real_ef=tuple(self.source.rows[index].ef for index in self.source.split("TRAIN")),
            synthetic_ef=() if left else tuple(self.dataset.efs()),
        )

    def _start_of(self, sample: PlannedSample) -> Start:
        pixels = self.source.clip(sample.source_index).pixels
        return Start(pixels[min(sample.frame, len(pixels) - 1)])  # a table may promise more frames than the video holds


def augment(
    config: AugmentConfig,
    out: str | Path,
    shard: Shard = WHOLE,
    engine: Literal["local", "ray"] = "local",
    progress: Progress = SILENT,
) -> AugmentResult:
    """Make the clips that are missing in a run's folder and write the dataset; the same call again continues a run.

    Processes that call this with the same folder share the work and return when all of it is done.

    Args:
        config: what is asked for.
        out: the run's folder.
        shard: a share of the plan, which alone is made and waited for; of the local engine.
        engine: this process and those beside it, or the processes of a Ray cluster.
        progress: shows solver steps.

    Raises:
        EchosynthError: models, source or folder cannot be used.
    """
    run = Augmentation(config, out)
    with run.open():
        if engine == "ray":
            finish_with_ray(run.work, partial(_work_of, config, out), progress)
            run.work.merge()
            left = 0
        else:
            left = run.work.finish(shard, progress)
    return run.result(left)


def _work_of(config: AugmentConfig, out: str | Path) -> Work:
    return Augmentation(config, out).work


def augmentation_status(out: str | Path) -> AugmentStatus:
    """Say what of a run is made; it may be at work.

    Raises:
        EchosynthError: the folder holds no such run, or its source or models are gone.
    """
    run = Augmentation.of_folder(out)
    parts = run.work.parts
    left = parts.unfinished()
    return AugmentStatus(
        run.work.counts(), len(run.work.plan), parts.count, left, [p for p in left if parts.is_held(p)]
    )


def merge_augmentation(out: str | Path) -> AugmentResult:
    """Complete a run whose shards are all finished: write the dataset's tables and the manifest.

    Raises:
        OutputError: parts are unfinished; the message names them.
        EchosynthError: the folder holds no such run, or its source or models are gone.
    """
    run = Augmentation.of_folder(out)
    with run.open():
        run.work.merge()
    return run.result()


def _hash_table(root: Path) -> str:
    return hashlib.sha256((root / "FileList.csv").read_bytes()).hexdigest()[:12]
