"""Cascades to compare with: what was published, and how long one of another config would take here.

Networks have random weights and run in float32, as published; a pass takes as long whatever they have learnt.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from echosynth.benchmark.training_cost import estimate_cascade, evaluate_stage
from echosynth.config import load_config
from echosynth.training.cascade import CascadeConfig

PUBLISHED: dict[str, Any] = {
    "name": "EchoDiffusion, four stages (Reynaud et al. 2023), 64 frames of 112x112",
    "tflop": 1181.0,
    "passes": 632,
    "seconds": 279.0,
    "device": "NVIDIA A100",
}


@dataclass(frozen=True)
class ReferenceTime:
    """Passes, work (1e12 operations) and seconds of one clip of a cascade that is called `name`."""

    name: str
    passes: int
    tflop: float
    seconds: float


def time_reference(config_path: Path, device: str) -> ReferenceTime:
    """Time one pass of every stage, after one to warm up, and multiply by the passes of a clip.

    Raises:
        ConfigError: the config is not one of a cascade.
    """
    config = load_config(config_path, CascadeConfig)
    counted = {stage.name: stage for stage in estimate_cascade(config)}
    seconds = 0.0
    for name, stage in config.stages.items():
        network = stage.model_copy(update={"init": None}).network().eval().to(device)
        with torch.no_grad():
            for _ in range(2):
                began = time.perf_counter()
                evaluate_stage(network, stage, stage.frames, stage.size, device).sum().item()
                one = time.perf_counter() - began
        seconds += one * counted[name].passes
    return ReferenceTime(
        config.name,
        sum(stage.passes for stage in counted.values()),
        sum(stage.clip_tflop for stage in counted.values()),
        seconds,
    )
