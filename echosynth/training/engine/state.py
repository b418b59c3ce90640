"""What training changes: a network, its moving average and its optimiser."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from diffusers.training_utils import EMAModel
from torch import nn
from torch.distributed.fsdp import FSDPModule


@dataclass(frozen=True, eq=False)
class TrainState:
    """What training changes, and what a checkpoint holds.

    Attributes:
        model: the network itself, not what Accelerate wraps it in.
        ema: exponential moving average of its weights.
        optimizer: as Accelerate prepared it.
        scaler: of the loss, in fp16; None in other precisions.
    """

    model: nn.Module
    ema: EMAModel
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler | None = None


@contextmanager
def ema_weights(state: TrainState) -> Iterator[None]:
    """Lend the network the weights of its moving average inside the block."""
    own = [weight.detach().clone() for weight in state.model.parameters()]
    state.ema.copy_to(state.model.parameters())
    try:
        yield
    finally:
        if isinstance(state.model, FSDPModule):  # a forward pass without a backward one leaves weights whole
            state.model.reshard()
        for weight, value in zip(state.model.parameters(), own, strict=True):
            weight.data.copy_(value)
