"""Fill a dataset's EF histogram with synthetic clips: plan, generate, gate, write.

    OUT/manifest.jsonl     every attempt
    OUT/dataset/           accepted clips in EchoNet format, TRAIN only, with a card
    OUT/.parts/            what each part of the plan has made so far, see storage/parts.py

Frames come from the source's TRAIN clips alone, and only TRAIN is counted: what is held out stays unseen.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from echosynth.augmentation.acceptance import Tolerance
from echosynth.augmentation.models import RunModels
from echosynth.augmentation.plan import EFBins, PlannedSample, plan_balance
from echosynth.augmentation.sampling import Sampling, Start
from echosynth.augmentation.work import Work
from echosynth.augmentation.writer import SyntheticDataset
from echosynth.cardiac.ejection_fraction import HIGHEST_DRAWN_EF, HIGHEST_TARGET_EF, LOWEST_DRAWN_EF, LOWEST_TARGET_EF
from echosynth.config import RunName, VerbConfig
from echosynth.data.echonet_format import EchoNetDataset
from echosynth.errors import DatasetError
from echosynth.progress import SILENT, Progress
from echosynth.storage.run_folder import RunFolder
from echosynth.storage.shard import WHOLE, Shard

DATASET = "dataset"


class AugmentConfig(VerbConfig):
    """What `augment` does.

    Attributes:
        kind: "augmentation".
        name: of the run; the default output folder is runs/<name>.
        source: the dataset, a folder in EchoNet format.
        seed: root seed.
        per_bin: clips wanted in every bin of EF, the real ones included.
        bin_width: per cent.
        low: lower end of the first bin, per cent.
        high: upper end of the last bin, per cent.
        model: cascade, a name or folder; None for the bundled one.
        gate: regressor that accepts; None for the bundled one.
        tolerance: of the gate, points of EF.
        max_attempts: per sample.
        num_inference_steps: of the base; None for the model's own.
        guidance_scale: of the base; None for the model's own.
        device: "auto", "cpu" or "cuda"; a run may go on with another one.
    """

    kind: Literal["augmentation"] = "augmentation"
    name: RunName
    source: Path
    seed: int = 0
    per_bin: int = Field(gt=0)
    bin_width: float = Field(default=5.0, gt=0, le=94)
    low: float = Field(default=LOWEST_DRAWN_EF, ge=LOWEST_TARGET_EF, le=HIGHEST_TARGET_EF)
    high: float = Field(default=HIGHEST_DRAWN_EF, ge=LOWEST_TARGET_EF, le=HIGHEST_TARGET_EF)
    model: str | None = None
    gate: str | None = None
    tolerance: float = Field(default=5.0, ge=0)
    max_attempts: int = Field(default=3, ge=1)
    num_inference_steps: int | None = Field(default=None, ge=1)
    guidance_scale: float | None = Field(default=None, ge=0, lt=100)
    device: Literal["auto", "cpu", "cuda"] = "auto"

    @property
    def sampling(self) -> Sampling:
        """How clips are sampled."""
        return Sampling(
            self.seed, self.max_attempts, Tolerance(self.tolerance), self.num_inference_steps, self.guidance_scale
        )


@dataclass(frozen=True)
class AugmentResult:
    """What a run of `augment` made, all processes and shards together.

    Attributes:
        run: the run's folder.
        dataset: the folder with the accepted clips, in EchoNet format.
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


def plan_augmentation(config: AugmentConfig, dataset: EchoNetDataset) -> list[PlannedSample]:
    """Return the samples that fill the histogram of the dataset's TRAIN clips; source_index is the dataset's.

    Raises:
        DatasetError: no clip of the dataset is in TRAIN.
    """
    train = dataset.split("TRAIN")
    if not train:
        raise DatasetError(f"{dataset.root} has no clip in the split TRAIN; frames are taken from no other")
    rows = [dataset.rows[index] for index in train]
    plan = plan_balance(
        [row.ef for row in rows],
        [row.file_name for row in rows],
        [max(1, row.num_frames) for row in rows],
        EFBins(config.per_bin, config.bin_width, config.low, config.high),
        config.seed,
    )
    return [PlannedSample(s.sample_id, s.source, train[s.source_index], s.frame, s.target_ef) for s in plan]


def augment(config: AugmentConfig, out: str | Path, progress: Progress = SILENT, shard: Shard = WHOLE) -> AugmentResult:
    """Make the clips that are missing in a run's folder and write the dataset; the same call again continues a run.

    Processes that call this with the same folder share the work and return when all of it is done.

    Args:
        config: what is asked for.
        out: the run's folder.
        progress: shows solver steps.
        shard: a share of the plan, which alone is made and waited for.

    Raises:
        EchosynthError: models, source or folder cannot be used.
    """
    out = Path(out)
    source = EchoNetDataset(config.source)
    plan = plan_augmentation(config, source)
    models, sampling = RunModels(config.model, config.gate, None, config.device), config.sampling
    inputs = {**models.identities(), "source_hash": _hash_table(config.source)}

    def start_of(sample: PlannedSample) -> Start:
        pixels = source.clip(sample.source_index).pixels
        return Start(pixels[min(sample.frame, len(pixels) - 1)])  # a table may promise more frames than the video holds

    dataset = SyntheticDataset(out / DATASET, config.source.name, models, sampling)
    work = Work(
        run=out,
        plan=plan,
        start_of=start_of,
        models=models,
        sampling=sampling,
        store_of=lambda part: dataset.writer(work.parts.journal(part, "rows")),
        complete=lambda: dataset.write_tables(work.parts.journal(part, "rows") for part in range(work.parts.count)),
    )
    with RunFolder.open(out, "augment", config, inputs, may_change=["device"], shared=True):
        left = work.finish(shard, progress)
    counts = work.counts()
    return AugmentResult(
        run=out,
        dataset=dataset.root,
        planned=len(plan),
        accepted=counts.accepted,
        refused=counts.samples - counts.accepted,
        attempts=counts.attempts,
        seconds=round(counts.seconds, 1),
        parts_left=left,
        real_ef=tuple(source.rows[index].ef for index in source.split("TRAIN")),
        synthetic_ef=() if left else tuple(row.ef for row in EchoNetDataset(dataset.root).rows),
    )


def _hash_table(root: Path) -> str:
    return hashlib.sha256((root / "FileList.csv").read_bytes()).hexdigest()[:12]
