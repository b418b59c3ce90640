"""`bench generate --reference CONFIG`: how long a cascade of another config would take here, by one pass a stage.

Networks have random weights and run in float32, as published; a pass takes as long whatever they have learnt.
"""

import time
from pathlib import Path
from typing import Any


def time_reference(config_path: Path, device: str) -> dict[str, Any]:
    """Time one pass of every stage, after one to warm up, and multiply by the passes of a clip.

    Returns:
        {"name", "passes", "tflop", "seconds"}: of a clip.

    Raises:
        ConfigError: the config is not one of a cascade.
    """
    import torch

    from echosynth.benchmark.training_cost import estimate_cascade, evaluate_stage
    from echosynth.config import load_config
    from echosynth.training.cascade import CascadeConfig

    config = load_config(config_path, CascadeConfig)
    counted = {stage.name: stage for stage in estimate_cascade(config)}
    seconds = 0.0
    for name, stage in config.stages.items():
        network = stage.model_copy(update={"init": None}).network().eval().to(device)  # type: ignore[arg-type]
        with torch.no_grad():
            for _ in range(2):
                began = time.perf_counter()
                evaluate_stage(network, stage, stage.frames, stage.size, device).sum().item()
                one = time.perf_counter() - began
        seconds += one * counted[name].passes
    return {
        "name": config.name,
        "passes": sum(stage.passes for stage in counted.values()),
        "tflop": sum(stage.clip_tflop for stage in counted.values()),
        "seconds": seconds,
    }
