"""One network's training: its folder, log, validation, previews and checkpoints around the loop of loop.py.

OUT/<name>/log.jsonl       one line per logged step; lines after the checkpoint a run resumes from are dropped
OUT/<name>/checkpoints/    complete or absent, see checkpoint.py
OUT/<name>/model/          the weights of the moving average, when the last step is done
"""

import copy
import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs, DistributedType
from diffusers import ModelMixin
from diffusers.training_utils import EMAModel

from echosynth.errors import CheckpointError, ConfigError, OutputError
from echosynth.progress import SILENT, Progress
from echosynth.seeding import make_generator
from echosynth.storage.atomic import replace_folder
from echosynth.storage.checksums import verify, write_sums
from echosynth.storage.jsonl import append_record, cut_torn_line, keep_records, read_records
from echosynth.storage.lock import hold
from echosynth.training.engine.best import BestWeights
from echosynth.training.engine.checkpoint import load_checkpoint, save_checkpoint
from echosynth.training.engine.loop import Step, Task, train
from echosynth.training.engine.optim import OptimConfig, choose_precision, make_optimizer
from echosynth.training.engine.processes import synchronise_batch_norm
from echosynth.training.engine.schedule import LogSchedule
from echosynth.training.engine.sharding import gather
from echosynth.training.engine.state import TrainState, ema_weights

logger = logging.getLogger(__name__)

Preview = Callable[[ModelMixin, int], None]
"""Takes a network and the number of steps it has learnt."""


@dataclass(frozen=True)
class TrainingJob:
    """One network that is to be trained.

    Attributes:
        name: of the part or regressor; its folder in the run's.
        task: batches and loss.
        validation: the same on held-out data.
        optim: optimiser.
        schedule: how often to log, validate and save.
        seed: root of all randomness.
        settings: what else decides the weights, as text; a checkpoint of other settings is refused.
        preview: shown the weights of the moving average now and then, on the main process.
    """

    name: str
    task: Task
    validation: Task | None
    optim: OptimConfig
    schedule: LogSchedule
    seed: int
    settings: str
    preview: Preview | None = None

    @property
    def fingerprint(self) -> str:
        """Hash of the settings."""
        return hashlib.sha256(self.settings.encode()).hexdigest()[:16]


def run_training(job: TrainingJob, model: ModelMixin, out: Path, progress: Progress = SILENT) -> Path:
    """Train one network, resuming if its folder holds a checkpoint; returns the folder of the finished model.

    A network that is finished is left alone, unless its job has more steps now: then it learns on from its last
    checkpoint.

    Args:
        job: how.
        model: with the weights that it starts from.
        out: the run's folder.
        progress: counts the steps.

    Raises:
        CheckpointError: a checkpoint is of another config, or of more steps.
        ConfigError: the network or this machine cannot be trained like that.
        OutputError: another process trains the same network in the same folder, or the system refused to write.
    """
    folder = out / job.name
    if is_finished(folder, job.optim.steps):
        logger.info("%s: finished, nothing to do", job.name)
        return folder / "model"
    accelerator = start_accelerator(job, folder)
    with hold(folder) if accelerator.is_main_process else nullcontext():
        run = TrainingRun(job, model, folder, accelerator)
        with progress.task(job.optim.steps - run.start, f"training {job.name}") as task:
            for step in run.steps():
                run.log_step(step, run.summarise_if_due(step) | run.validate_if_due(step))
                run.checkpoint_if_due(step)
                task.advance()
        return run.finish()


def is_finished(folder: Path, steps: int) -> bool:
    """Whether a network's folder holds the model of a training of at least so many steps.

    Raises:
        CheckpointError: the model is damaged.
        OutputError: the log is damaged.
    """
    if not (folder / "model").is_dir():
        return False
    verify(folder / "model")
    log = folder / "log.jsonl"
    logged = [_step_of(line, log) for line in read_records(log)]
    return not logged or logged[-1] >= steps


def _step_of(line: dict[str, Any], log: Path) -> int:
    step = line.get("step")
    if not isinstance(step, int):
        raise OutputError(f"{log} is damaged: a line names no step; mend it or use a new folder")
    return step


def start_accelerator(job: TrainingJob, folder: Path) -> Accelerator:
    """Processes and precision for one network."""
    precision = choose_precision(job.name, job.optim)
    # A stage uses part of its weights only: the base, for one, has no low-resolution clip whose noise it could embed.
    some_unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    # Accelerate keeps one precision per process; parts that are trained after one another choose their own.
    AcceleratorState._reset_state()
    return Accelerator(
        mixed_precision=precision,
        cpu=not torch.cuda.is_available(),
        kwargs_handlers=[some_unused],
        log_with=list(job.schedule.trackers) or None,
        project_dir=folder,
    )


def export_model(model: ModelMixin, folder: Path) -> None:
    """Write a network as a diffusers folder, whole or not at all.

    Raises:
        OutputError: the system refused.
    """
    with replace_folder(folder) as part:
        model.save_pretrained(part)
        write_sums(part)


class TrainingRun:
    """A training that is under way.

    Args:
        job: what is trained.
        model: with the weights that it starts from; wrapped for the processes, and given those of a checkpoint.
        folder: of the network.
        accelerator: processes and precision.

    Raises:
        CheckpointError: a checkpoint is of another config, or of more steps.
        ConfigError: the network cannot be trained like that.
    """

    def __init__(self, job: TrainingJob, model: ModelMixin, folder: Path, accelerator: Accelerator) -> None:
        self.job, self.folder, self.accelerator = job, folder, accelerator
        self.is_main, self.log = accelerator.is_main_process, folder / "log.jsonl"
        self.is_sharded = accelerator.distributed_type == DistributedType.FSDP
        self._prepare(model)
        self.start = load_checkpoint(folder / "checkpoints", self.state, job.fingerprint)
        if self.start > job.optim.steps:
            raise CheckpointError(f"{folder} has learnt {self.start} steps; optim.steps {job.optim.steps} is less")
        if self.is_main:
            cut_torn_line(self.log)
            keep_records(self.log, lambda line: _step_of(line, self.log) <= self.start)
            size = sum(p.numel() for p in self.model.parameters()) / 1e6
            steps = f"{self.start} -> {job.optim.steps}"
            logger.info("%s: %.2f M parameters, steps %s, %s", job.name, size, steps, accelerator.device)
        if job.schedule.trackers:
            accelerator.init_trackers(job.name)
        self.best = BestWeights(folder / "best", self.start) if job.schedule.keep_best else None
        self._began, self._window = time.perf_counter(), list[Step]()

    def _prepare(self, model: ModelMixin) -> None:
        """Bring the network to its device, wrap it for the processes, and give it an optimiser and an average."""
        optim, accelerator = self.job.optim, self.accelerator
        model.to(accelerator.device)
        synchronise_batch_norm(model, accelerator.num_processes, accelerator.device)
        if optim.checkpointing:
            if not model._supports_gradient_checkpointing:
                name = type(model).__name__
                raise ConfigError(f"{self.job.name}: optim.checkpointing is not known to {name}; leave it out")
            model.enable_gradient_checkpointing()
        if optim.compile:
            model.compile()
        self.exported = copy.deepcopy(model).cpu() if self.is_sharded else model  # sharded weights cannot be written
        if self.is_sharded:  # FSDP cuts contiguous weights only
            model.to(memory_format=torch.contiguous_format)
        self.wrapped, optimizer = accelerator.prepare(model, make_optimizer(model, optim))
        self.model: ModelMixin = accelerator.unwrap_model(self.wrapped)
        ema_kwargs = {"decay": optim.ema_decay, "use_ema_warmup": True, "power": 0.75}
        ema = EMAModel(self.model.parameters(), **ema_kwargs, foreach=not self.is_sharded)
        self.state = TrainState(self.model, ema, optimizer, accelerator.scaler)

    def steps(self) -> Iterator[Step]:
        """Train, one optimiser step after another."""
        job = self.job
        for step in train(job.task, self.wrapped, self.state, self.accelerator, job.optim, job.seed, self.start):
            self._window.append(step)
            yield step

    def summarise_if_due(self, step: Step) -> dict[str, float]:
        """Loss and seconds, means since the last line of the log, and what the step says itself."""
        if step.step % self.job.schedule.log_every and step.step != self.job.optim.steps:
            return {}
        window, self._window = self._window, []
        return {
            "step": step.step,
            "loss": float(sum(s.loss for s in window)) / len(window),
            "grad_norm": float(step.grad_norm),
            "lr": step.lr,
            "seconds": sum(s.seconds for s in window) / len(window),
        }

    def validate_if_due(self, step: Step) -> dict[str, float]:
        """Loss of the averaged weights over fixed held-out batches; saves a preview as well."""
        job, every = self.job, self.job.schedule.validate_every
        due = every and (step.step % every == 0 or step.step == job.optim.steps)
        if not due or not (self.is_main or self.is_sharded):
            return {}
        line: dict[str, float] = {}
        # Too few and too odd batches to compile for.
        with ema_weights(self.state), torch.compiler.set_stance("force_eager"):
            if job.validation is not None:
                line = {"step": step.step, "validation": self._validate(job.validation)}
                if self.best is not None:
                    self.best.offer(self.model, step.step, line["validation"], write=self.is_main)
            if job.preview is not None:
                job.preview(self.model, step.step)
        return line

    @torch.no_grad()
    def _validate(self, task: Task) -> float:
        """Mean loss over batches that depend on neither seed nor step of the run."""
        count, size = self.job.schedule.validation_batches, self.job.optim.batch_size
        self.model.eval()
        total = 0.0
        for k in range(count):
            batch = task.make_batch(size, make_generator(0, "validation", k))
            with self.accelerator.autocast():
                batch = {key: value.to(self.accelerator.device) for key, value in batch.items()}
                total += float(task.compute_loss(self.model, batch))
        self.model.train()
        return total / count

    def log_step(self, step: Step, line: dict[str, float]) -> None:
        """Add a line to the log, to the trackers and to what people read; an empty one is none."""
        if not line or not self.is_main:
            return
        append_record(self.log, line)
        self.accelerator.log({f"{self.job.name}/{key}": value for key, value in line.items()}, step=step.step)
        rate = (time.perf_counter() - self._began) / max(1, step.step - self.start)
        minutes = (self.job.optim.steps - step.step) * rate / 60
        values = ", ".join(f"{key} {value:.5g}" for key, value in line.items())
        logger.info("%s: %s, %.1f min left", self.job.name, values, minutes)

    def checkpoint_if_due(self, step: Step) -> None:
        """Save the state; every process has to ask for it."""
        if step.step % self.job.schedule.save_every:
            return
        if self.is_main or self.is_sharded:
            folder = self.folder / "checkpoints"
            save_checkpoint(folder, step.step, self.state, self.job.fingerprint, write=self.is_main)
        self.accelerator.wait_for_everyone()

    def finish(self) -> Path:
        """Write the averaged weights as the finished model; returns its folder."""
        folder = self.folder / "model"
        if self.is_main or self.is_sharded:
            self.state.ema.copy_to(self.model.parameters())
            if self.best is not None:
                self.best.give_back(self.model)
            self.exported.load_state_dict(gather(dict(self.model.state_dict())))
        if self.is_main:
            export_model(self.exported, folder)
        for tracker in self.accelerator.trackers:  # not `end_training`: other networks of the run need the processes
            tracker.finish()
        self.accelerator.wait_for_everyone()
        return folder
