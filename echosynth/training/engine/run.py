"""A training run: folder, log, validation, previews, checkpoints around the loop of loop.py.

OUT/<name>/log.jsonl       one line per logged step; lines after the checkpoint a run resumes from are dropped
OUT/<name>/checkpoints/    complete or absent, see checkpoint.py
OUT/<name>/model/          the averaged weights, when the last step is done
"""

import copy
import hashlib
import importlib.util
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Literal

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs, DistributedType
from diffusers import ModelMixin
from diffusers.training_utils import EMAModel
from torch.distributed.fsdp import FSDPModule

from echosynth.config import StrictModel
from echosynth.diffusion.precision import has_fast_bf16
from echosynth.errors import ConfigError, MissingDependencyError
from echosynth.seeding import make_generator
from echosynth.storage.lock import hold
from echosynth.storage.model_store import write_sums
from echosynth.training.engine.checkpoint import load_checkpoint, save_checkpoint
from echosynth.training.engine.loop import Task, train
from echosynth.training.engine.optim import OptimConfig, make_optimizer
from echosynth.training.engine.sharding import gather

Report = Callable[[str], None]


class LogSchedule(StrictModel):
    """How often a run logs, validates and saves, in optimiser steps.

    Attributes:
        log_every: lines of the log.
        validate_every: validation loss and preview; 0 never.
        save_every: checkpoints.
        validation_batches: fixed batches that the validation loss is the mean of.
        trackers: other places for the lines of the log: "tensorboard" writes beside it, "wandb" sends them away.
    """

    log_every: int = 20
    validate_every: int = 500
    save_every: int = 500
    validation_batches: int = 8
    trackers: tuple[Literal["tensorboard", "wandb"], ...] = ()


def check_trackers(pace: LogSchedule) -> None:
    """Raise MissingDependencyError if a tracker's package is missing: Accelerate would leave it out in silence."""
    for name in pace.trackers:
        if importlib.util.find_spec(name) is None:
            raise MissingDependencyError(f"{name} is not installed; install it with: pip install 'echosynth[trackers]'")


def choose_precision(name: str, optim: OptimConfig) -> str:
    """The precision that Accelerate shall train a network in, on this machine.

    Raises:
        ConfigError: fp16 without a GPU, where Accelerate would train in float32 without a word.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if optim.mixed_precision == "fp16" and device == "cpu":
        raise ConfigError(f"{name}: optim.mixed_precision fp16 needs a GPU; 'auto', 'bf16' and 'no' need none")
    if optim.mixed_precision == "auto":
        return "bf16" if has_fast_bf16(device) else "no"
    return optim.mixed_precision


def _trim_log(path: Path, step: int) -> None:
    """Drop what an interrupted run logged after its last checkpoint, a torn last line included."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text().splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line)
        except (ValueError, KeyError):
            continue
    path.write_text("".join(f"{line}\n" for line in kept))


@contextmanager
def averaged(model: ModelMixin, ema: EMAModel) -> Iterator[None]:
    """Lend a network its averaged weights inside the block."""
    kept = [weight.detach().clone() for weight in model.parameters()]
    ema.copy_to(model.parameters())
    yield
    if isinstance(model, FSDPModule):  # what a forward pass without a backward one leaves whole
        model.reshard()
    for weight, own in zip(model.parameters(), kept, strict=True):
        weight.data.copy_(own)


@torch.no_grad()
def validate(task: Task, model: ModelMixin, accelerator: Accelerator, config: OptimConfig, batches: int) -> float:
    """Mean loss over fixed batches, which depend on neither seed nor step of the run."""
    model.eval()
    total = 0.0
    for k in range(batches):
        batch = task.make_batch(config.batch_size, make_generator(0, "validation", k))
        with accelerator.autocast():
            total += float(task.compute_loss(model, {key: v.to(accelerator.device) for key, v in batch.items()}))
    model.train()
    return total / batches


def export(model: ModelMixin, folder: Path) -> None:
    """Write `model` as a diffusers folder, whole or not at all."""
    part = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(part, ignore_errors=True)
    model.save_pretrained(part)
    write_sums(part)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(part, folder)


def run_training(
    name: str,
    task: Task,
    model: ModelMixin,
    optim: OptimConfig,
    out: Path,
    seed: int,
    pace: LogSchedule,
    fingerprint: str,
    validation: Task | None = None,
    preview: Callable[[ModelMixin, int], None] | None = None,
    report: Report = print,
) -> Path:
    """Train one network, resuming if its folder holds a checkpoint; returns the folder of the finished model.

    Args:
        name: of the stage or regressor; its folder in `out`.
        task: batches and loss.
        model: fresh weights.
        optim: optimiser.
        out: the run's folder.
        seed: root of all randomness.
        pace: how often to log, validate and save.
        fingerprint: what the config says; a checkpoint of another config is refused.
        validation: the same task on held-out data.
        preview: called with the averaged model now and then, on the main process.
        report: takes one line of progress.

    Raises:
        CheckpointError: a checkpoint is of another config.
        ConfigError: the network or this machine cannot be trained like that.
        OutputError: another process trains the same network in the same folder.
    """
    folder = out / name
    final = folder / "model"
    if final.is_dir():
        report(f"{name}: finished, nothing to do")
        return final
    precision = choose_precision(name, optim)
    # A stage uses part of its weights only: the base, for one, has no low-resolution clip whose noise it could embed.
    several = DistributedDataParallelKwargs(find_unused_parameters=True)
    # Accelerate keeps one precision per process; stages and regressors trained after one another choose their own.
    AcceleratorState._reset_state()
    accelerator = Accelerator(
        mixed_precision=precision,
        cpu=not torch.cuda.is_available(),
        kwargs_handlers=[several],
        log_with=list(pace.trackers) or None,  # type: ignore[arg-type]
        project_dir=folder,
    )
    main = accelerator.is_main_process
    with hold(folder) if main else nullcontext():
        model.to(accelerator.device)  # type: ignore[arg-type]
        if optim.checkpointing:
            if not model._supports_gradient_checkpointing:
                raise ConfigError(f"{name}: optim.checkpointing is not known to {type(model).__name__}; leave it out")
            model.enable_gradient_checkpointing()
        if optim.compile:
            model.compile()
        spread = accelerator.distributed_type == DistributedType.FSDP
        twin = copy.deepcopy(model).cpu() if spread else model  # what is written: weights that are spread cannot be
        if spread:  # FSDP cuts contiguous weights only
            model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        model, optimizer = accelerator.prepare(model, make_optimizer(model, optim))
        bare: ModelMixin = accelerator.unwrap_model(model)
        law = {"decay": optim.ema_decay, "use_ema_warmup": True, "power": 0.75}
        ema = EMAModel(bare.parameters(), **law, foreach=not spread)
        fingerprint = hashlib.sha256(fingerprint.encode()).hexdigest()[:16]
        start = load_checkpoint(folder / "checkpoints", bare, ema, optimizer, fingerprint, accelerator.scaler)
        log = folder / "log.jsonl"
        if main:
            _trim_log(log, start)
            parameters = sum(p.numel() for p in bare.parameters())
            report(f"{name}: {parameters / 1e6:.2f} M parameters, steps {start} -> {optim.steps}, {accelerator.device}")
        if pace.trackers:
            accelerator.init_trackers(name)
        began, window = time.perf_counter(), []
        for step in train(task, model, ema, optimizer, accelerator, optim, seed, start):
            window.append(step)
            line: dict[str, float] = {}
            if step.step % pace.log_every == 0 or step.step == optim.steps:
                line = {
                    "step": step.step,
                    "loss": float(sum(s.loss for s in window)) / len(window),
                    "grad_norm": float(step.grad_norm),
                    "lr": step.lr,
                    "seconds": sum(s.seconds for s in window) / len(window),
                }
                window = []
            due = pace.validate_every and (step.step % pace.validate_every == 0 or step.step == optim.steps)
            if due and (main or spread):
                # Too few and too odd batches to compile for.
                with averaged(bare, ema), torch.compiler.set_stance("force_eager"):
                    if validation is not None:
                        line |= {"step": step.step}
                        line["validation"] = validate(validation, bare, accelerator, optim, pace.validation_batches)
                    if preview is not None:
                        preview(bare, step.step)
            if line and main:
                with log.open("a") as file:
                    file.write(json.dumps(line) + "\n")
                accelerator.log({f"{name}/{key}": value for key, value in line.items()}, step=step.step)
                left = (optim.steps - step.step) * (time.perf_counter() - began) / max(1, step.step - start)
                report(f"{name}: " + ", ".join(f"{k} {v:.5g}" for k, v in line.items()) + f", {left / 60:.1f} min left")
            if step.step % pace.save_every == 0 and (main or spread):
                state = (step.step, bare, ema, optimizer, fingerprint)
                save_checkpoint(folder / "checkpoints", *state, write=main, scaler=accelerator.scaler)
            if step.step % pace.save_every == 0:
                accelerator.wait_for_everyone()
        if main or spread:
            ema.copy_to(bare.parameters())
            twin.load_state_dict(gather(dict(bare.state_dict())))
        if main:
            export(twin, final)
        for tracker in accelerator.trackers:  # not `end_training`: other networks of the run still need the processes
            tracker.finish()
        accelerator.wait_for_everyone()
        return final
