"""The configuration of `augment`."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from echosynth.augmentation.acceptance import Tolerance
from echosynth.augmentation.sampling import Sampling
from echosynth.augmentation.synthetic_dataset import Label
from echosynth.cardiac.ejection_fraction import HIGHEST_DRAWN_EF, HIGHEST_TARGET_EF, LOWEST_DRAWN_EF, LOWEST_TARGET_EF
from echosynth.config import RunName, VerbConfig
from echosynth.errors import ConfigError


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
        label: what becomes the dataset's EF, the "target" or what the "gate" measured.
        format: of the dataset: "echonet" for a folder of videos, "webdataset" for tars.
        clips_per_tar: planned clips whose accepted ones make a tar; of the format webdataset.
        keep_refused: write what the gate refused too, to OUT/refused, to look at or to compare; not for training.
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
    label: Label = "target"
    format: Literal["echonet", "webdataset"] = "echonet"
    clips_per_tar: int = Field(default=1000, ge=1)
    keep_refused: bool = False
    max_attempts: int = Field(default=3, ge=1)
    num_inference_steps: int | None = Field(default=None, ge=1)
    guidance_scale: float | None = Field(default=None, ge=0, lt=100)
    device: Literal["auto", "cpu", "cuda"] = "auto"

    @model_validator(mode="after")
    def _can_keep_refused(self) -> "AugmentConfig":
        if self.keep_refused and self.format != "echonet":
            raise ConfigError("keep_refused needs the format echonet: tars hold accepted clips alone", "keep_refused")
        return self

    @property
    def sampling(self) -> Sampling:
        """How clips are sampled."""
        return Sampling(
            self.seed, self.max_attempts, Tolerance(self.tolerance), self.num_inference_steps, self.guidance_scale
        )
