"""Train a whole cascade from one configuration: part after part, then bundle them as a pipeline."""

import logging
from itertools import pairwise
from pathlib import Path
from typing import Literal

import torch
from accelerate import PartialState
from diffusers import ModelMixin
from pydantic import model_validator

from echosynth.config import RunName, StrictModel
from echosynth.diffusion.calibration import check_calibration
from echosynth.diffusion.cascade import check_chain
from echosynth.diffusion.ef_guide import EFGuide
from echosynth.diffusion.pipeline import MAX_STAGES, EchoCascadePipeline
from echosynth.diffusion.tissue_tracker import TissueTracker
from echosynth.diffusion.unet3d import UNet3D
from echosynth.progress import SILENT, Progress
from echosynth.storage.atomic import replace_folder
from echosynth.storage.checksums import write_sums
from echosynth.storage.lock import hold
from echosynth.training.clips.sources import Source, SourceConfig, SourceField, open_source
from echosynth.training.engine.run import TrainingJob, export_model, run_training
from echosynth.training.engine.schedule import LogSchedule
from echosynth.training.parts import (
    EF_GUIDE,
    TISSUE_TRACKER,
    GuidePart,
    Part,
    StagePart,
    TrackerPart,
    Workplace,
)
from echosynth.training.stage_config import StageConfig
from echosynth.training.tasks.ef_guide import GuideConfig
from echosynth.training.tasks.tissue_tracker import TrackerConfig

logger = logging.getLogger(__name__)


class CascadeConfig(StrictModel):
    """A cascade and its training.

    Attributes:
        kind: "cascade".
        name: of the finished model.
        seed: root of all randomness.
        data: training clips.
        validation: held-out clips.
        stages: name -> stage, in order: "base", "sr1", "sr2", ...; before them "frame", if there is one.
        tissue_tracker: follows the tissue for stages that are tracked; None for none.
        ef_guide: reads EF for stages with an ef_guidance_scale or a correction; None for none.
        ef_calibration: see `EchoCascadePipeline`; measured by scripts/calibrate_ef.py once the stages are trained.
        only: train just these of `parts`; None for all.
        pace: how often to log, validate and save.
    """

    kind: Literal["cascade"]
    name: RunName
    seed: int = 0
    data: SourceField
    validation: SourceField
    stages: dict[str, StageConfig]
    tissue_tracker: TrackerConfig | None = None
    ef_guide: GuideConfig | None = None
    ef_calibration: list[list[float]] | None = None
    only: list[str] | None = None
    pace: LogSchedule = LogSchedule()

    @model_validator(mode="after")
    def _chain_is_whole(self) -> "CascadeConfig":
        drawn = ["frame"] if "frame" in self.stages else []
        names = [*drawn, "base", *(f"sr{k}" for k in range(1, len(self.stages) - len(drawn)))]
        if list(self.stages) != names:
            raise ValueError(f"stages must be named {', '.join(names)} in this order, got {', '.join(self.stages)}")
        if len(names) - len(drawn) > MAX_STAGES:
            raise ValueError(
                f"a cascade has at most {MAX_STAGES} stages beside the frame stage, got {', '.join(names)}"
            )
        sampled = [stage.sampling for stage in self.stages.values()]
        if self.ef_guide is None and any(how.ef_guidance_scale or how.correction for how in sampled):
            raise ValueError(
                "a stage has an ef_guidance_scale or a correction, but there is no ef_guide to read its EF"
            )
        tracked = any(how.tracked for how in sampled)
        if tracked and self.tissue_tracker is None:
            raise ValueError("a stage is tracked, but there is no tissue_tracker")
        if self.tissue_tracker is not None and not tracked:
            raise ValueError("there is a tissue_tracker, but no stage is tracked")
        if unknown := set(self.only or []) - set(self.parts):
            raise ValueError(f"only names unknown stages: {', '.join(sorted(unknown))}")
        check_chain([stage.spec(name) for name, stage in self.stages.items()])
        check_calibration(self.ef_calibration)
        return self

    @property
    def parts(self) -> dict[str, Part]:
        """Everything that is trained, by name, in order."""
        parts: list[Part] = []
        if self.tissue_tracker is not None:
            before, stage = next(pair for pair in pairwise(self.stages.values()) if pair[1].sampling.tracked)
            parts.append(TrackerPart(self.tissue_tracker, stage, before))
        if self.ef_guide is not None:
            parts.append(GuidePart(self.ef_guide, self.stages["base"]))
        previous: StageConfig | None = None
        for name, stage in self.stages.items():
            parts.append(StagePart(name, stage, previous))
            previous = None if stage.kind == "frame" else stage
        return {part.name: part for part in parts}

    def clips(self, name: str) -> tuple[SourceConfig, SourceConfig]:
        """Training and held-out clips of one of the `parts`: a stage's own, or the cascade's."""
        stage = self.stages.get(name)
        own = (stage.data, stage.validation) if stage else (None, None)
        return own[0] or self.data, own[1] or self.validation


def train_cascade(config: CascadeConfig, out: Path, progress: Progress = SILENT) -> Path | None:
    """Train every part that is not finished; returns the pipeline's folder, or None while some parts miss.

    Running it again continues where it stopped.

    Raises:
        ConfigError: a part needs another one that is not finished, or cannot be trained on this machine.
        CheckpointError: an `init` holds no weights or weights of another shape, or a checkpoint is of another config.
        OutputError: another process trains the same part, or the system refused to write.
    """
    opened: dict[str, Source] = {}

    def open_once(source: SourceConfig) -> Source:
        key = source.model_dump_json()
        if key not in opened:
            opened[key] = open_source(source, progress)
        return opened[key]

    def open_clips(name: str) -> tuple[Source, Source]:
        seen, held_out = config.clips(name)
        return open_once(seen), open_once(held_out)

    place = Workplace(out, open_clips)
    for name, part in config.parts.items():
        if config.only is None or name in config.only:
            train_part(config, part, place, progress)
    if not all((out / name / "model").is_dir() for name in config.parts):
        return None
    processes = PartialState(cpu=not torch.cuda.is_available())
    if processes.is_main_process:
        bundle(config, out)
    processes.wait_for_everyone()
    return out / "pipeline"


def train_part(config: CascadeConfig, part: Part, place: Workplace, progress: Progress) -> None:
    """Train one part, or take its weights over."""
    torch.manual_seed(config.seed)  # only the weights' first values are drawn from the global generator
    network = part.network()
    tasks = None
    if not part.config.frozen:
        for need in part.needs:
            place.model(need, part.name)
        tasks = part.tasks(place)
    if tasks is None:
        take_over(part.name, network, place.out / part.name)
        return
    # Options that are left alone are left out, so that a new one does not make old checkpoints strangers.
    clips = config.clips(part.name)[0].model_dump_json(exclude_defaults=True)
    said = part.config.model_dump_json(
        exclude_defaults=True, exclude={"data": True, "validation": True, "optim": {"steps"}}
    )
    job = TrainingJob(
        name=part.name,
        task=tasks.training,
        validation=tasks.validation,
        optim=part.config.optim,
        schedule=config.pace,
        seed=config.seed,
        settings=f"{config.seed} {clips} {said}",
        preview=tasks.preview,
    )
    run_training(job, network, place.out, progress)


def take_over(name: str, network: ModelMixin, folder: Path) -> None:
    """Write the weights that a part starts from as its finished ones."""
    processes = PartialState(cpu=not torch.cuda.is_available())
    if (folder / "model").is_dir():
        logger.info("%s: finished, nothing to do", name)
    elif processes.is_main_process:
        with hold(folder):
            export_model(network, folder / "model")
        logger.info("%s: keeps the weights that it starts from", name)
    processes.wait_for_everyone()


def bundle(config: CascadeConfig, out: Path) -> Path:
    """Join the finished parts to a pipeline in half precision at OUT/pipeline.

    Raises:
        OutputError: the system refused.
    """
    guide, tracker = out / EF_GUIDE / "model", out / TISSUE_TRACKER / "model"
    pipeline = EchoCascadePipeline.from_stages(
        [stage.spec(name) for name, stage in config.stages.items()],
        {name: UNet3D.from_pretrained(out / name / "model") for name in config.stages},
        {name: stage.scheduler() for name, stage in config.stages.items()},
        config.ef_calibration,
        ef_guide=EFGuide.from_pretrained(guide).eval() if config.ef_guide else None,
        tissue_tracker=TissueTracker.from_pretrained(tracker).eval() if config.tissue_tracker else None,
    )
    with replace_folder(out / "pipeline") as folder:
        pipeline.to(torch.float16).save_pretrained(folder)
        write_sums(folder)
    return out / "pipeline"
