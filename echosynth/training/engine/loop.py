"""The training loop: a generator of optimiser steps; logging, previews and checkpoints are its caller's.

The only counter is `step`. Data order, noise and learning rate derive from (seed, step), so a resumed run repeats an
uninterrupted one, and the batch is the same for any number of processes: each takes its share of it.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Protocol

import torch
from accelerate import Accelerator
from torch import nn

from echosynth.seeding import derive_seed, make_generator
from echosynth.training.engine.optim import OptimConfig, learning_rate
from echosynth.training.engine.sharding import gather
from echosynth.training.engine.state import TrainState

Batch = dict[str, torch.Tensor]
"""Tensors by name, batch first; in training "step" says of every sample how many optimiser steps came before it."""


class Task(Protocol):
    """What is being learnt."""

    def make_batch(self, size: int, generator: torch.Generator) -> Batch:
        """Draw `size` samples, batch first; everything random comes from `generator`, which is a CPU's.

        Small tensors are on the CPU, pictures where their source keeps them.
        """
        ...

    def compute_loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """Mean loss of a batch, a scalar."""
        ...


@dataclass(frozen=True)
class Step:
    """One optimiser step: how many are done, loss, gradient norm before clipping, learning rate, seconds.

    Loss and norm stay where they were computed: to read one is to wait for the device.
    """

    step: int
    loss: torch.Tensor
    grad_norm: torch.Tensor
    lr: float
    seconds: float


class BatchPartition:
    """Which samples of a step are one process's.

    Raises:
        ValueError: the batch, or its pieces, cannot be shared equally by the processes.
    """

    def __init__(self, config: OptimConfig, ranks: int, rank: int) -> None:
        self.size, self.micro, self.ranks, self.rank = config.batch_size, config.micro_batch, ranks, rank
        unit = self.micro or 1
        if self.size % (unit * ranks):
            pieces = "batch_size" if unit == 1 else f"pieces of {unit} of batch_size"
            raise ValueError(f"{pieces} {self.size} cannot be shared by {ranks} processes; make it a multiple")

    def draw(self, task: Task, seed: int, step: int) -> list[Batch]:
        """The process's batches of a step; what all processes draw together does not depend on how many they are."""
        if self.micro is None:  # every process draws the whole batch and keeps its share
            share = self.size // self.ranks
            batch = task.make_batch(self.size, make_generator(seed, "batch", step))
            drawn = [{k: v[self.rank * share : (self.rank + 1) * share] for k, v in batch.items()}]
        else:
            mine = range(self.rank, self.size // self.micro, self.ranks)
            drawn = [task.make_batch(self.micro, make_generator(seed, "batch", step, piece)) for piece in mine]
        return [batch | {"step": torch.full((len(next(iter(batch.values()))),), step)} for batch in drawn]


def train(
    task: Task,
    model: nn.Module,
    state: TrainState,
    accelerator: Accelerator,
    config: OptimConfig,
    seed: int,
    start: int = 0,
) -> Iterator[Step]:
    """Train from step `start` to `config.steps`.

    Args:
        task: batches and loss.
        model: prepared by Accelerate.
        state: the network that it wraps, its moving average and optimiser.
        accelerator: processes, precision.
        config: how.
        seed: root of all randomness.
        start: steps already done.

    Yields:
        A `Step` after each optimiser step.

    Raises:
        ValueError: the batch cannot be shared equally by the processes.
    """
    pieces = BatchPartition(config, accelerator.num_processes, accelerator.process_index)

    def fetch(step: int) -> list[Batch]:
        drawn = pieces.draw(task, seed, step)
        return [{k: v.to(accelerator.device) for k, v in batch.items()} for batch in drawn]

    model.train()
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(fetch, start)
        for step in range(start, config.steps):
            began = time.perf_counter()
            batches = coming.result()
            if step + 1 < config.steps:
                coming = reader.submit(fetch, step + 1)
            # Dropout draws from the global generator, whose state no checkpoint holds.
            torch.manual_seed(derive_seed(seed, "dropout", step, accelerator.process_index))
            lr = learning_rate(step, config)
            for group in state.optimizer.param_groups:
                group["lr"] = lr
            total = torch.zeros((), device=accelerator.device)
            for k, batch in enumerate(batches):
                # Processes exchange gradients once a step, with the last piece.
                with nullcontext() if k == len(batches) - 1 else accelerator.no_sync(model):
                    loss = task.compute_loss(model, batch) / len(batches)
                    accelerator.backward(loss)
                total += loss.detach()
            norm = gather(accelerator.clip_grad_norm_(model.parameters(), config.grad_clip))
            state.optimizer.step()
            state.optimizer.zero_grad()
            state.ema.step(state.model.parameters())
            mean = accelerator.reduce(total, "mean")
            yield Step(step + 1, mean, torch.as_tensor(0.0 if norm is None else norm), lr, time.perf_counter() - began)
