"""Train a whole cascade from one configuration: stage after stage, then bundle them as a pipeline."""

import shutil
from itertools import pairwise
from pathlib import Path
from typing import Literal

import torch
from accelerate import PartialState
from diffusers import ModelMixin
from pydantic import Field, model_validator

from echosynth.config import RunName, StrictModel
from echosynth.diffusion.calibration import check_calibration
from echosynth.diffusion.cascade import check_chain
from echosynth.diffusion.ef_guide import EFGuide
from echosynth.diffusion.pipeline import EchoCascadePipeline
from echosynth.diffusion.tissue_tracker import TissueTracker
from echosynth.diffusion.unet3d import UNet3D
from echosynth.errors import ConfigError
from echosynth.storage.model_store import write_sums
from echosynth.training.clips.sources import (
    DatasetSource,
    PhantomSource,
    SourceConfig,
    open_source,
)
from echosynth.training.engine.loop import Task
from echosynth.training.engine.run import LogSchedule, Report, run_training
from echosynth.training.preview import make_preview
from echosynth.training.stage_config import StageConfig
from echosynth.training.tasks.consistency import DistillationTask
from echosynth.training.tasks.denoising import DiffusionTask
from echosynth.training.tasks.ef_guide import GuideConfig, GuideTask
from echosynth.training.tasks.tissue_tracker import TrackerConfig, TrackerTask


class CascadeConfig(StrictModel):
    """A cascade and its training.

    Attributes:
        kind: "cascade".
        name: of the finished model.
        seed: root of all randomness.
        data: training clips.
        validation: held-out clips.
        stages: name -> stage, in order: "base", "sr1", "sr2", ...; before them "frame", if there is one.
        tissue_tracker: what carries detail for stages that are tracked; trained before them; None for none.
        ef_guide: reads the EF of stages with a ef_guidance_scale or a correction; None for none.
        ef_calibration: see `EchoCascadePipeline`; measured by scripts/calibrate_ef.py once the stages are trained.
        only: train just these of `parts`; None for all.
        pace: how often to log, validate and save.
    """

    kind: Literal["cascade"]
    name: RunName
    seed: int = 0
    data: SourceConfig = Field(discriminator="source")
    validation: SourceConfig = Field(discriminator="source")
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
    def parts(self) -> dict[str, TrackerConfig | GuideConfig | StageConfig]:
        """Everything that is trained, by name, in order."""
        parts = {"tissue_tracker": self.tissue_tracker, "ef_guide": self.ef_guide, **self.stages}
        return {name: part for name, part in parts.items() if part is not None}

    def clips(self, name: str) -> tuple[SourceConfig, SourceConfig]:
        """Training and held-out clips of one of the `parts`: a stage's own, or the cascade's."""
        stage = self.stages.get(name)
        own = (stage.data, stage.validation) if stage else (None, None)
        return own[0] or self.data, own[1] or self.validation


def _finished_tracker(out: Path) -> TissueTracker:
    folder = out / "tissue_tracker" / "model"
    if not folder.is_dir():
        raise ConfigError(f"there is no {folder}: train tissue_tracker before the stages that are tracked")
    return TissueTracker.from_pretrained(folder).eval()


def _finished_guide(out: Path) -> EFGuide:
    folder = out / "ef_guide" / "model"
    if not folder.is_dir():
        raise ConfigError(f"there is no {folder}: train ef_guide before the stages that are tuned by it")
    return EFGuide.from_pretrained(folder).eval()


def train_cascade(config: CascadeConfig, out: Path, report: Report = print) -> Path | None:
    """Train every stage, and the guide, that is not finished; returns the pipeline's folder, or None while some miss.

    Running it again continues where it stopped.
    """
    opened: dict[str, PhantomSource | DatasetSource] = {}

    def open_once(source: SourceConfig) -> PhantomSource | DatasetSource:
        key = source.model_dump_json()
        if key not in opened:
            opened[key] = open_source(source, report)
        return opened[key]

    def open_clips(name: str) -> list[PhantomSource | DatasetSource]:
        return [open_once(source) for source in config.clips(name)]

    def said(part: StrictModel) -> str:
        # Options that are left alone are left out, so that a new one does not make old checkpoints strangers.
        return part.model_dump_json(exclude_defaults=True, exclude={"data", "validation"})

    def train(
        name: str, part: StageConfig | GuideConfig | TrackerConfig, network: ModelMixin, tasks: list[Task]
    ) -> None:
        task, validation = tasks
        preview = None
        shown = validation.stage if isinstance(validation, DistillationTask) else validation
        if isinstance(shown, DiffusionTask):
            how = shown.config.sampling
            read = how.correction or how.ef_guidance_scale
            guide = _finished_guide(out) if read and (out / "ef_guide" / "model").is_dir() else None
            preview = make_preview(shown, name, out / name / "previews", guide)
        run_training(
            name,
            task,
            network,
            part.optim,
            out,
            config.seed,
            config.pace,
            fingerprint=f"{config.seed} {said(config.clips(name)[0])} {said(part)}",
            validation=validation,
            preview=preview,
            report=report,
        )

    wanted = list(config.parts) if config.only is None else config.only
    if config.tissue_tracker is not None and "tissue_tracker" in wanted:
        tracker, both = config.tissue_tracker, open_clips("tissue_tracker")
        if not all(isinstance(clips, PhantomSource) for clips in both):
            if tracker.init is None:
                raise ConfigError("tissue_tracker: nobody knows how tissue moves in these clips; give the init of one")
            tracker = tracker.model_copy(update={"optim": tracker.optim.model_copy(update={"steps": 0})})
        before, stage = next(pair for pair in pairwise(config.stages.values()) if pair[1].sampling.tracked)
        torch.manual_seed(config.seed)  # only the weights' first values are drawn from the global generator
        train(
            "tissue_tracker",
            tracker,
            tracker.network(),
            [TrackerTask(stage, before, clips, tracker.window) for clips in both],
        )
    if config.ef_guide is not None and "ef_guide" in wanted:
        torch.manual_seed(config.seed)
        guide, base = config.ef_guide, config.stages["base"]
        views = zip(open_clips("ef_guide"), (base.jitter, None), strict=True)
        train("ef_guide", guide, guide.network(base.size), [GuideTask(guide, base, c, j) for c, j in views])
    previous: StageConfig | None = None
    for name, stage in config.stages.items():
        if name in wanted:
            torch.manual_seed(config.seed)
            follow = _finished_tracker(out) if stage.sampling.tracked else None
            views = zip(open_clips(name), (stage.jitter, None), strict=True)
            tasks: list[Task] = [DiffusionTask(stage, previous, c, follow, j) for c, j in views]
            if stage.consistency is not None:
                read = _finished_guide(out) if stage.consistency.ef_weight else None
                tasks = [DistillationTask(t, stage.optim.steps, read) for t in tasks if isinstance(t, DiffusionTask)]
            train(name, stage, stage.network(), tasks)
        previous = None if stage.kind == "frame" else stage
    if not all((out / name / "model").is_dir() for name in config.parts):
        return None
    processes = PartialState(cpu=not torch.cuda.is_available())
    if processes.is_main_process:
        bundle(config, out)
    processes.wait_for_everyone()
    return out / "pipeline"


def bundle(config: CascadeConfig, out: Path) -> Path:
    """Join the finished parts to a pipeline in half precision at OUT/pipeline."""
    pipeline = EchoCascadePipeline.from_stages(
        [stage.spec(name) for name, stage in config.stages.items()],
        {name: UNet3D.from_pretrained(out / name / "model") for name in config.stages},
        {name: stage.scheduler() for name, stage in config.stages.items()},
        config.ef_calibration,
        ef_guide=_finished_guide(out) if config.ef_guide else None,
        tissue_tracker=_finished_tracker(out) if config.tissue_tracker else None,
    )
    target = out / "pipeline"
    part = out / ".pipeline.tmp"
    shutil.rmtree(part, ignore_errors=True)
    pipeline.to(torch.float16).save_pretrained(part)
    write_sums(part)
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)
    return target
