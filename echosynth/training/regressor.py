"""Train one EF regressor from a configuration, then measure the error that its intervals are made of."""

import json
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object
from pydantic import Field, model_validator
from torch.nn.modules.batchnorm import _BatchNorm

from echosynth.config import RunName, StrictModel
from echosynth.errors import ConfigError
from echosynth.metrics.clinical import conformal_margin
from echosynth.metrics.ef_metrics import compute_ef_scores
from echosynth.regression.base import EFRegressor
from echosynth.regression.loading import REGRESSORS
from echosynth.seeding import make_generator
from echosynth.storage.atomic import write_text
from echosynth.training.clips.sources import PhantomSourceConfig, SourceConfig, open_source
from echosynth.training.engine.checkpoint import load_weights
from echosynth.training.engine.optim import OptimConfig
from echosynth.training.engine.run import LogSchedule, Report, export, run_training
from echosynth.training.tasks.ef_regression import AugmentConfig, MeasuredSource, RegressionTask
from echosynth.training.tasks.losses import RegressionLoss

STATISTICS_BATCHES = 64


class RegressorConfig(StrictModel):
    """A regressor and its training.

    Attributes:
        kind: "regressor".
        name: of the finished model.
        seed: root of all randomness.
        data: training clips.
        validation: held-out clips.
        network: class, e.g. "R2Plus1D".
        arguments: of that class.
        init: folder of finished weights to start from, None for fresh ones; e.g. to fine-tune on one's own data.
        init_parts: take only weights whose names begin like these from there, e.g. "encoder." of another system.
        augmentation: random changes of training clips.
        loss: what is scored beside EF.
        optim: optimiser.
        pace: how often to log, validate and save.
    """

    kind: Literal["regressor"]
    name: RunName
    seed: int = 0
    data: SourceConfig = Field(discriminator="source")
    validation: SourceConfig = Field(discriminator="source")
    network: Literal["R2Plus1D", "FrameTransformer", "EchoE3Net", "CoReEcho", "MCSDR", "FrameAware"]
    arguments: dict[str, Any] = Field(default_factory=dict)
    init: Path | None = None
    init_parts: tuple[str, ...] = ()
    augmentation: AugmentConfig = AugmentConfig()
    loss: RegressionLoss = RegressionLoss()
    optim: OptimConfig
    pace: LogSchedule = LogSchedule()

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


@torch.no_grad()
def refresh_batch_norm(model: EFRegressor, task: RegressionTask, config: RegressorConfig) -> None:
    """Take the statistics of batch normalisation anew: those of the training belong to the weights before averaging.

    A frozen part keeps its own: they are what its weights were frozen with.
    """
    model.train()
    layers = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.training]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the plain mean over batches
    for k in range(STATISTICS_BATCHES if layers else 0):
        batch = task.make_batch(config.optim.batch_size, make_generator(config.seed, "statistics", k))
        model(batch["clip"].to(model.device), details=True)  # a layer that only details need is refreshed too
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum


def copy_to_all(model: EFRegressor) -> None:
    """Give every process the main one's weights."""
    state = [{name: value.cpu() for name, value in model.state_dict().items()}]
    model.load_state_dict(broadcast_object_list(state)[0])


@torch.no_grad()
def finish(model: EFRegressor, task: RegressionTask, config: RegressorConfig, processes: PartialState) -> None:
    """Fit what no gradient trains, on clips as they are augmented in training; processes share them."""
    model.eval()
    count, size = model.num_second_stage_patients, config.optim.batch_size
    parts: list[tuple[int, torch.Tensor, torch.Tensor]] = []
    for k in range(processes.process_index, -(-count // size), processes.num_processes):
        batch = task.make_batch(size, make_generator(config.seed, "finish", k))
        parts.append((k, model.features(batch["clip"].to(model.device)).cpu(), batch["ef"]))
    parts = sorted(gather_object(parts), key=lambda part: part[0])
    if processes.is_main_process:
        _, features, truth = (list(column) for column in zip(*parts, strict=True))
        with torch.enable_grad():
            model.fit_second_stage(*(torch.cat(column)[:count].to(model.device) for column in (features, truth)))
    copy_to_all(model)


@torch.no_grad()
def measure_held_out(
    model: EFRegressor, source: MeasuredSource, processes: PartialState
) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted EF of every held-out clip, per cent, (N,) each; a whole clip as `predict` reads it.

    Processes share the clips; all of them know all answers.
    """
    model.eval()
    told = []
    for index in range(processes.process_index, len(source), processes.num_processes):
        clip = source.clip(index)
        windows = model.iter_windows(clip)
        values = [model.predict_windows(part.to(model.device), clip.attributes).cpu() for part in windows]
        told.append((index, clip.ef, float(torch.cat(values).mean())))
    _, truth, predicted = np.array(sorted(gather_object(told)), dtype=float).T
    return truth, predicted


def train_regressor(config: RegressorConfig, out: Path, report: Report = print) -> Path:
    """Train; returns the folder of the finished model. Running it again continues where it stopped.

    Raises:
        ConfigError: the network cannot be built, or clips cannot be cut to what it is to be shown.
        CheckpointError: `init` holds no weights, or weights of another shape.
    """
    torch.manual_seed(config.seed)  # only the weights' first values are drawn from the global generator
    model = config.build()
    check_fit(config, model.contract)
    shape = (model.contract.fps, model.contract.frames, model.contract.size)
    seen, held_out = open_source(config.data, report), open_source(config.validation, report)
    check_size(config, "validation", held_out.size, model.contract.size)  # a dataset's is known once it is read
    check_size(config, "data", seen.size, model.contract.size)
    validation = RegressionTask(held_out, *shape, None, config.loss)
    training = RegressionTask(seen, *shape, config.augmentation, config.loss)
    if config.init is None or config.init_parts:  # finished weights keep the scale that they were trained with
        model.fit_attribute_scale(training.source.patients())
    final = run_training(
        config.name,
        training,
        model,
        config.optim,
        out,
        config.seed,
        config.pace,
        fingerprint=config.model_dump_json(exclude_defaults=True, exclude={"name", "validation", "pace"}),
        validation=validation,
        report=report,
    )
    processes = PartialState(cpu=not torch.cuda.is_available())
    path = out / config.name / "scores.json"
    # Only the main process looks: the file may appear before another one has looked.
    if broadcast_object_list([path.exists()])[0]:
        return final
    # Read anew: the trained one answers in the training's precision.
    finished = REGRESSORS[config.network].from_pretrained(final).to(processes.device)
    if processes.is_main_process:
        refresh_batch_norm(finished, training, config)
    copy_to_all(finished)
    if finished.num_second_stage_patients:
        finish(finished, training, config, processes)
    truth, predicted = measure_held_out(finished, held_out, processes)
    if processes.is_main_process:
        error = float((predicted - truth).mean())
        finished.subtract_bias(error)  # training's windows in slow motion leave one
        predicted -= error
        finished.register_to_config(error90=conformal_margin(predicted - truth, 0.9))
        export(finished, final)
        scores = compute_ef_scores(truth, predicted, [str(k) for k in range(len(truth))])
        report(f"{config.name}: held-out MAE {scores.mae:.2f}, R2 {scores.r2:.3f}, bias {scores.bias:+.2f}")
        write_text(path, json.dumps({"ceiling": scores.to_dict()}, indent=2) + "\n")
    processes.wait_for_everyone()
    return final
