"""Train one EF regressor from a configuration, then measure the error that its intervals are made of."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from pydantic import Field, field_validator, model_validator

from echosynth.config import RunName
from echosynth.errors import ConfigError
from echosynth.progress import SILENT, Progress
from echosynth.regression.base import EFRegressor
from echosynth.regression.loading import REGRESSORS
from echosynth.storage.atomic import write_text
from echosynth.training.clips.phantom_source import PhantomSourceConfig
from echosynth.training.clips.sources import SourceField, open_source
from echosynth.training.engine.checkpoint import load_weights
from echosynth.training.engine.optim import OptimConfig
from echosynth.training.engine.run import TrainingJob, export_model, is_finished, run_training
from echosynth.training.engine.schedule import LogSchedule
from echosynth.training.finishing import (
    broadcast_weights,
    calibrate,
    fit_second_stage,
    measure_held_out,
    refresh_batch_norm,
)
from echosynth.training.tasks.ef_regression import Randomisation, RegressionTask
from echosynth.training.tasks.losses import RegressionLoss

logger = logging.getLogger(__name__)

SCORES_FILE = "scores.json"


class RegressorConfig(Randomisation):
    """A regressor and its training; what changes in training clips is said in `Randomisation`.

    Attributes:
        kind: "regressor".
        name: of the finished model.
        seed: root of all randomness.
        data: training clips.
        validation: held-out clips.
        network: class, one of `REGRESSORS`, e.g. "R2Plus1D".
        arguments: of that class.
        init: folder of finished weights to start from, None for fresh ones; e.g. to fine-tune on one's own data.
        init_parts: take only weights whose names begin like these from there, e.g. "encoder." of another system.
        loss: what is scored beside EF.
        optim: optimiser.
        pace: how often to log, validate and save.
    """

    kind: Literal["regressor"]
    name: RunName
    seed: int = 0
    data: SourceField
    validation: SourceField
    network: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    init: Path | None = None
    init_parts: tuple[str, ...] = ()
    loss: RegressionLoss = RegressionLoss()
    optim: OptimConfig
    pace: LogSchedule = LogSchedule()

    @field_validator("network")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in REGRESSORS:
            raise ValueError(f"must be one of {', '.join(REGRESSORS)}")
        return name

    @model_validator(mode="before")
    @classmethod
    def _read_old_key(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and "augmentation" in values and "transforms" not in values:
            return {("transforms" if key == "augmentation" else key): value for key, value in values.items()}
        return values

    @model_validator(mode="after")
    def _landmarks_stay_true(self) -> Self:
        if self.flow is not None and self.loss.landmarks is not None:
            raise ValueError("flow carries the borders away from their landmarks; leave flow or loss.landmarks out")
        return self

    @model_validator(mode="after")
    def _can_be_drawn(self) -> Self:
        if self.optim.steps < 1 or self.optim.batch_size < 1:
            raise ValueError("optim.steps and optim.batch_size must be at least 1")
        if self.loss.contrast is not None and self.optim.batch_size % 2:
            raise ValueError(f"optim.batch_size {self.optim.batch_size} is odd; a contrast takes two windows of a clip")
        for key, source in (("data", self.data), ("validation", self.validation)):
            if getattr(source, "patients", 1) < 1:
                raise ValueError(f"{key}.patients must be at least 1")
        return self

    def build(self) -> EFRegressor:
        """A regressor with fresh weights, or with those of `init`.

        Raises:
            ConfigError: `arguments` are not the network's.
            CheckpointError: `init` holds no weights, or weights of another shape.
        """
        try:
            fresh = REGRESSORS[self.network](**self.arguments)
        except (TypeError, ValueError, RuntimeError, IndexError, ZeroDivisionError) as error:
            reason = str(error).partition("\n")[0]
            raise ConfigError(
                f"{self.name}: with these 'arguments' no {self.network} can be built: {reason}"
            ) from error
        if self.init is not None:
            load_weights(fresh, self.init, parts=self.init_parts)
        return fresh


def check_fit(config: RegressorConfig, contract: Any) -> None:
    """Raise ConfigError unless clips of the sources can be cut to the contract.

    Whole frames are left out and whole pixels averaged: a rate or size that does not divide the source's would be
    another one than the regressor is then said to want.
    """
    for name in ("fps", "frames", "size"):
        if not isinstance(value := getattr(contract, name), int | float):
            raise ConfigError(f"{config.name}: arguments.{name} must be a number, got {value!r}")
    for key, source in (("data", config.data), ("validation", config.validation)):
        stride = source.fps / contract.fps if contract.fps > 0 else 0.0
        if stride < 1 or not stride.is_integer():
            raise ConfigError(f"{config.name}: arguments.fps {contract.fps:g} does not divide {key}.fps {source.fps:g}")
        reach = int(stride) * (contract.frames - 1) + 1
        if not 1 <= reach <= source.num_frames:
            raise ConfigError(
                f"{config.name}: {contract.frames} frames at {contract.fps:g} Hz take {reach} of {key}'s at "
                f"{source.fps:g} Hz, which has {source.num_frames} (arguments.frames, {key}.num_frames)"
            )
        if isinstance(source, PhantomSourceConfig):
            check_size(config, key, source.size, contract.size)


def check_size(config: RegressorConfig, key: str, side: int, size: int) -> None:
    """Raise ConfigError unless pictures of a source can be averaged down to the contract's size."""
    if size < 1 or side % size:
        raise ConfigError(f"{config.name}: arguments.size {size} does not divide {key}'s {side} pixels")


def train_regressor(config: RegressorConfig, out: Path, progress: Progress = SILENT) -> Path:
    """Train; returns the folder of the finished model. Running it again continues where it stopped.

    Raises:
        ConfigError: the network cannot be built, or clips cannot be cut to what it is to be shown.
        CheckpointError: `init` holds no weights or weights of another shape, or a checkpoint is of another config.
        OutputError: another process trains in the same folder, or the system refused to write.
    """
    torch.manual_seed(config.seed)  # only the weights' first values are drawn from the global generator
    model = config.build()
    check_fit(config, model.contract)
    shape = (model.contract.fps, model.contract.frames, model.contract.size)
    seen, held_out = open_source(config.data, progress), open_source(config.validation, progress)
    check_size(config, "validation", held_out.size, model.contract.size)  # a dataset's is known once it is read
    check_size(config, "data", seen.size, model.contract.size)
    training = RegressionTask(seen, *shape, config, config.loss)
    if config.init is None or config.init_parts:  # finished weights keep the scale that they were trained with
        model.fit_attribute_scale(seen.patients())
    processes = PartialState(cpu=not torch.cuda.is_available())
    scores = out / config.name / SCORES_FILE
    if processes.is_main_process and not is_finished(scores.parent, config.optim.steps):
        scores.unlink(missing_ok=True)  # of a training with fewer steps
    job = TrainingJob(
        name=config.name,
        task=training,
        validation=RegressionTask(held_out, *shape, None, config.loss),
        optim=config.optim,
        schedule=config.pace,
        seed=config.seed,
        settings=config.model_dump_json(
            exclude_defaults=True, exclude={"name": True, "validation": True, "pace": True, "optim": {"steps"}}
        ),
    )
    final = run_training(job, model, out, progress)
    # Only the main process looks: the file may appear before another one has looked.
    if broadcast_object_list([scores.exists()])[0]:
        return final
    # Read anew: the trained one answers in the training's precision.
    finished = REGRESSORS[config.network].from_pretrained(final).to(processes.device)
    if processes.is_main_process:
        refresh_batch_norm(finished, training, config.optim.batch_size, config.seed)
    broadcast_weights(finished)
    if finished.num_second_stage_patients:
        fit_second_stage(finished, training, config.optim.batch_size, config.seed)
    truth, predicted = measure_held_out(finished, held_out)
    if processes.is_main_process:
        reached = calibrate(finished, truth, predicted)
        export_model(finished, final)
        write_text(scores, json.dumps({"ceiling": reached.to_dict()}, indent=2) + "\n")
        logger.info("%s: held-out MAE %.2f, R2 %.3f", config.name, reached.mae, reached.r2)
    processes.wait_for_everyone()
    return final
