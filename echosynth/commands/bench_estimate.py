"""`echosynth bench --estimate CONFIG`: what training a cascade will take, counted without a GPU and without data."""

from dataclasses import asdict
from pathlib import Path
from typing import Any


def estimate(config_path: Path, gpus: int, tflops: float) -> dict[str, Any]:
    """Estimate and print a table.

    Raises:
        ConfigError: the config is not one of a cascade, or a number is out of range.
    """
    from echosynth.benchmark.training_cost import estimate_cascade
    from echosynth.config import load_config
    from echosynth.errors import ConfigError
    from echosynth.training.cascade import CascadeConfig

    if gpus < 1 or tflops <= 0:
        raise ConfigError(f"--gpus and --tflops must be above zero, got {gpus} and {tflops:g}")
    config = load_config(config_path, CascadeConfig)
    stages = [asdict(stage) for stage in estimate_cascade(config, gpus, tflops)]
    total: dict[str, Any] = {
        key: sum(stage[key] for stage in stages) for key in ("parameters", "passes", "clip_tflop", "hours")
    }
    total |= {"step_tflop": None, "memory_gb": max(stage["memory_gb"] for stage in stages)}
    line = "{:8} {:>12} {:>13} {:>13} {:>12} {:>10} {:>9}"
    print(line.format("stage", "parameters", "passes/clip", "TFLOP/clip", "TFLOP/step", "GB/GPU", "hours"))
    for stage in [*stages, total | {"name": "total"}]:
        step = "" if stage["step_tflop"] is None else f"{stage['step_tflop']:.2f}"
        numbers = f"{stage['clip_tflop']:.2f}", step, f"{stage['memory_gb']:.1f}", f"{stage['hours']:.2f}"
        print(line.format(stage["name"], stage["parameters"], stage["passes"], *numbers))
    print(f"work and memory are counted; hours: {gpus} GPUs (--gpus) that achieve {tflops:g} TFLOP/s each (--tflops)")
    return {"stages": stages, "total": total, "gpus": gpus, "tflops": tflops}
