"""Fill a dataset's EF histogram with synthetic clips: plan, generate, gate, write.

    OUT/manifest.jsonl     every attempt
    OUT/dataset/           accepted clips in EchoNet format, TRAIN only, next to nothing but its card

Frames come from the source's TRAIN clips alone, and only TRAIN is counted: what is held out stays unseen.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from echosynth.augmentation.acceptance import Tolerance
from echosynth.augmentation.attempts import Attempt, LoadedModel, generate_samples
from echosynth.augmentation.manifest import Manifest
from echosynth.augmentation.plan import PlannedSample, plan_balance
from echosynth.augmentation.sampling import Sampling, Start, StepHook
from echosynth.augmentation.writer import SyntheticWriter
from echosynth.cardiac.ejection_fraction import HIGHEST_DRAWN_EF, HIGHEST_TARGET_EF, LOWEST_DRAWN_EF, LOWEST_TARGET_EF
from echosynth.config import RunName, StrictModel
from echosynth.data.echonet_format import EchoNetDataset
from echosynth.diffusion.pipeline import EchoCascadePipeline
from echosynth.errors import DatasetError
from echosynth.regression.base import EFRegressor

DATASET, MANIFEST = "dataset", "manifest.jsonl"


class AugmentConfig(StrictModel):
    """What `echosynth augment` does.

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
    """

    kind: Literal["augmentation"]
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

    @property
    def sampling(self) -> Sampling:
        """The part that `generate_samples` reads."""
        return Sampling(
            self.seed, self.max_attempts, Tolerance(self.tolerance), self.num_inference_steps, self.guidance_scale
        )


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
        config.per_bin,
        config.bin_width,
        config.low,
        config.high,
        config.seed,
    )
    return [PlannedSample(s.sample_id, s.source, train[s.source_index], s.frame, s.target_ef) for s in plan]


def augment(
    config: AugmentConfig,
    out: Path,
    cascade: LoadedModel[EchoCascadePipeline],
    gate: LoadedModel[EFRegressor],
    on_step: StepHook | None = None,
) -> Iterator[Attempt]:
    """Make what is missing in `out`, yielding every attempt after it is safe on disk.

    Args:
        config: what to do.
        out: the run's folder.
        cascade: what generates.
        gate: what accepts.
        on_step: called after every solver step.

    Raises:
        DatasetError: the source cannot be used.
        OutputError: the disk refused.
    """
    dataset = EchoNetDataset(config.source)
    manifest = Manifest(out / MANIFEST)
    facts = {
        "tolerance": config.tolerance,
        "source": config.source.name,
        "model": cascade.name,
        "model_hash": cascade.weights,
        "gate": gate.name,
        "gate_hash": gate.weights,
        "seed": config.seed,
    }

    def start_of(sample: PlannedSample) -> Start:
        pixels = dataset.clip(sample.source_index).pixels
        return Start(pixels[min(sample.frame, len(pixels) - 1)])  # a table may promise more frames than the video holds

    with SyntheticWriter(out / DATASET, facts) as writer:
        attempts = generate_samples(
            cascade,
            gate,
            None,
            plan_augmentation(config, dataset),
            start_of,
            config.sampling,
            manifest.entries.copy(),
            folder=f"{DATASET}/Videos",
            keep_refused=False,
            on_step=on_step,
        )
        for attempt in attempts:
            if attempt.entry.accepted:
                writer.add(attempt)
            manifest.append(attempt.entry)
            yield attempt
