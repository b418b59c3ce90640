"""Optimiser and learning rate. The rate is a pure function of the step, so a resumed run needs no scheduler state."""

import math
from typing import Any, Literal

import torch
from pydantic import field_validator
from torch import nn

from echosynth.config import StrictModel
from echosynth.diffusion.precision import has_fast_bf16
from echosynth.errors import ConfigError


class OptimConfig(StrictModel):
    """How a network is trained.

    Attributes:
        steps: optimiser steps in all.
        batch_size: samples per step, over all processes.
        micro_batch: samples that one process draws and passes through the network at once, their gradients summed up;
            None for all that it has to do. Results do not depend on how many processes share the pieces.
        checkpointing: compute activations again in the backward pass instead of keeping them: a third more work.
        compile: fuse the network's kernels by torch.compile: worth its minute on a GPU.
        lr: highest learning rate.
        warmup_steps: the rate rises linearly over these.
        decay_share: over this last share of the steps the rate falls to 1 % along a cosine.
        weight_decay: of AdamW, on matrices and kernels only.
        grad_clip: largest gradient norm.
        ema_decay: of the exponential moving average of the weights.
        mixed_precision: "bf16"; "fp16", with a loss scaled so that gradients do not vanish, for GPUs that know no bf16;
            "no"; or "auto": bf16 where the machine multiplies it natively, no elsewhere.
    """

    steps: int
    batch_size: int = 8
    micro_batch: int | None = None
    checkpointing: bool = False
    compile: bool = False
    lr: float = 1e-3
    warmup_steps: int = 100
    decay_share: float = 0.4
    weight_decay: float = 0.01
    grad_clip: float = 1.0
    ema_decay: float = 0.998
    mixed_precision: Literal["auto", "bf16", "fp16", "no"] = "auto"

    @field_validator("mixed_precision", mode="before")
    @classmethod
    def _no_is_a_word(cls, value: Any) -> Any:
        return "no" if value is False else value  # as YAML reads it without quotes


def choose_precision(name: str, optim: OptimConfig) -> str:
    """The precision that Accelerate shall train a network in, on this machine.

    Args:
        name: of the network, for the message.
        optim: its optimiser.

    Raises:
        ConfigError: fp16 without a GPU, where Accelerate would train in float32 without a word.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if optim.mixed_precision == "fp16" and device == "cpu":
        raise ConfigError(f"{name}: optim.mixed_precision fp16 needs a GPU; 'auto', 'bf16' and 'no' need none")
    if optim.mixed_precision == "auto":
        return "bf16" if has_fast_bf16(device) else "no"
    return optim.mixed_precision


def learning_rate(step: int, config: OptimConfig) -> float:
    """Rate of step 0, 1, ...: linear warm-up, then constant, then a cosine to 1 %."""
    warm = min(1.0, (step + 1) / max(1, config.warmup_steps))
    start = config.steps * (1 - config.decay_share)
    late = min(1.0, max(0.0, (step - start) / max(1.0, config.steps - start)))
    return config.lr * warm * (0.01 + 0.99 * (0.5 + 0.5 * math.cos(math.pi * late)))


def make_optimizer(model: nn.Module, config: OptimConfig) -> torch.optim.AdamW:
    """AdamW with weight decay on tensors of two or more dimensions."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    fused = all(p.is_cuda for p in parameters)
    return torch.optim.AdamW(groups, lr=config.lr, betas=(0.9, 0.99), fused=fused)
