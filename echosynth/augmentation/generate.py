"""Generate gated clips from conditioning frames and target EFs: what is asked for, and the run that answers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, ValidationInfo, field_serializer, field_validator, model_validator

from echosynth.augmentation.acceptance import Tolerance
from echosynth.augmentation.conditioning import FrameChoice, Picture, Source, load_conditioning_frames
from echosynth.augmentation.fictional import sample_fictional_frames
from echosynth.augmentation.models import RunModels
from echosynth.augmentation.plan import check_target_ef
from echosynth.augmentation.ranges import RANGES, check_range
from echosynth.augmentation.sampling import Sampling
from echosynth.augmentation.session import GenerateResult, GenerationJob, run_generation
from echosynth.config import VerbConfig
from echosynth.data.dataset import Split
from echosynth.diffusion.conditions import CONDITIONS, QUALITY_WORDS, read_conditions
from echosynth.errors import ConfigError
from echosynth.progress import SILENT, Progress
from echosynth.regression.loading import DEFAULT_JUDGE

PHASE_WORDS = {"ed": 0.0, "es": 0.4}  # end-systole at 70 beats a minute
_WORDS: dict[str, tuple[Mapping[str, float], str]] = {
    "phase": (PHASE_WORDS, "ed, es or a share of a beat"),
    "quality": (QUALITY_WORDS, "poor, medium, good or a number from 0 to 1"),
}


class GenerateConfig(VerbConfig):
    """What `generate` does. Either `source` or `fictional` is given.

    Attributes:
        source: file or folder; or `EchoClip`s or pictures uint8 (H, W), one or several.
        fictional: number of fictional patients to start from.
        ef: target EFs, per cent, 1-95, one or several.
        samples: clips per frame and EF.
        frame: index of the conditioning frame in each clip, or "ed" or "es", where the clip's tracings say it.
        split: of a dataset, whose clips alone are taken; None for all.
        limit: clips of a folder at most; None for all.
        max_attempts: attempts per clip until the gate accepts.
        tolerance: the gate accepts within this many points of EF.
        steps: solver steps of the base stage; None for the model's own.
        guidance: guidance scale of the base stage; None for the model's own.
        heart_rate: beats per minute; None for the model's choice, as for all conditions.
        phase: moment of the frame: "ed", "es", or share of a beat since end-diastole.
        quality: of the pictures: "poor", "medium", "good", or 0 (worst) to 1.
        edv: end-diastolic volume, ml.
        esv: end-systolic volume, ml; for a single EF.
        seconds: length of the clips; None for the model's own.
        fps: frame rate of the clips, Hz; None for the model's own.
        size: side of the clips, pixels; None for the model's own.
        keep: seconds of the source that are kept, from the frame on, and continued; None for none.
        seed: root seed.
        model: cascade, a name or folder; None for the bundled one.
        gate: regressor that accepts or refuses; None for the bundled one.
        judge: regressor that only measures, not the gate; None for the bundled one.
        device: "auto", "cpu" or "cuda".

    Raises:
        ConfigError: a value is out of range, or two values contradict each other.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    source: Source | None = None
    fictional: int | None = None
    ef: tuple[float, ...]
    samples: int = 1
    frame: FrameChoice = 0
    split: Split | None = None
    limit: int | None = None
    max_attempts: int = 3
    tolerance: float = 5.0
    steps: int | None = None
    guidance: float | None = None
    heart_rate: float | None = None
    phase: float | None = None
    quality: float | None = None
    edv: float | None = None
    esv: float | None = None
    seconds: float | None = None
    fps: float | None = None
    size: int | None = None
    keep: float | None = None
    seed: int = 0
    model: str | Path | None = None
    gate: str | Path | None = None
    judge: str | Path | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"

    @field_validator("source", mode="plain")
    @classmethod
    def _path_or_pictures(cls, value: Any) -> Any:
        if value is None or isinstance(value, Picture):
            return value
        if isinstance(value, str | Path):
            return Path(value)
        if isinstance(value, list | tuple) and value and all(isinstance(item, Picture) for item in value):
            return tuple(value)
        raise ConfigError(f"source must be a path, clips, or pictures uint8 (H, W), got {value!r:.60}", "source")

    @field_validator("ef", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, int | float) else value

    @field_validator("ef")
    @classmethod
    def _different_targets(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value:
            raise ConfigError("give at least one EF", "ef")
        return tuple(dict.fromkeys(check_target_ef(ef) for ef in value))

    @field_validator("frame", mode="before")
    @classmethod
    def _number_or_moment(cls, value: Any) -> Any:
        if isinstance(value, str) and value not in ("ed", "es"):
            try:
                return int(value)
            except ValueError:
                raise ConfigError(f"frame must be ed, es or the number of a frame, got {value!r}", "frame") from None
        return value

    @field_validator("phase", "quality", mode="before")
    @classmethod
    def _word_or_number(cls, value: Any, field: ValidationInfo) -> Any:
        name = str(field.field_name)
        words, wanted = _WORDS[name]
        try:
            return (words[value] if value in words else float(value)) if isinstance(value, str) else value
        except ValueError:
            raise ConfigError(f"{name} must be {wanted}, got {value!r}", name) from None

    @field_validator(*RANGES, check_fields=False)
    @classmethod
    def _in_range(cls, value: float | None, field: ValidationInfo) -> float | None:
        check_range(str(field.field_name), value)
        return value

    @model_validator(mode="after")
    def _agree(self) -> "GenerateConfig":
        if (self.source is None) == (self.fictional is None):
            raise ConfigError("give either a source or fictional N", "fictional")
        if self.fictional is not None and (self.fictional < 1 or self.keep is not None or self.frame):
            raise ConfigError("fictional takes a number of at least 1, and neither keep nor frame", "fictional")
        try:  # what the pipeline would refuse is refused before the folder is claimed
            read_conditions({"ef": self.ef, **self.conditions}, len(self.ef), "cpu")
        except ValueError as error:
            raise ConfigError(str(error)) from None
        return self

    @field_serializer("source")
    def _path_alone(self, value: Source | None) -> str | None:
        return str(value) if isinstance(value, Path) else None  # `hash_frames` tells what was in memory

    @property
    def conditions(self) -> dict[str, float]:
        """The `CONDITIONS` beside EF that are given, by name."""
        given = {name: getattr(self, name) for name in CONDITIONS if name != "ef"}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def sampling(self) -> Sampling:
        """How clips are sampled."""
        return Sampling(
            seed=self.seed,
            max_attempts=self.max_attempts,
            tolerance=Tolerance(self.tolerance),
            num_inference_steps=self.steps,
            guidance_scale=self.guidance,
            conditions=self.conditions,
            seconds=self.seconds,
            fps=self.fps,
            size=self.size,
        )


def generate(config: GenerateConfig, out: str | Path, progress: Progress = SILENT) -> GenerateResult:
    """Generate every clip that is missing in a run's folder; the same call again continues a run.

    Args:
        config: what is asked for.
        out: the run's folder.
        progress: shows solver steps.

    Returns:
        Every clip of the run, in the order of the plan: frames, then EFs, then samples.

    Raises:
        EchosynthError: models, source or folder cannot be used.
    """
    models = RunModels(config.model, config.gate, config.judge or DEFAULT_JUDGE, config.device)
    sampling = config.sampling
    if config.source is not None:
        frames = load_conditioning_frames(config.source, config.frame, config.limit, config.keep or 0.0, config.split)
    else:
        count = config.fictional or 0
        frames, sampling = sample_fictional_frames(count, config.ef[0], sampling, models.pipeline, progress)
    job = GenerationJob("generate", config, frames, config.ef, config.samples, models, sampling)
    return run_generation(job, Path(out), progress)
