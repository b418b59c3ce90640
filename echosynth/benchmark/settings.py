"""Settings of the benchmarks."""

from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator

from echosynth.config import VerbConfig
from echosynth.diffusion.loading import DEFAULT_CASCADE

Number = TypeVar("Number", int, float)


def _at_least_one(value: int) -> int:
    if value < 1:
        raise ValueError(f"must be at least 1, got {value}")
    return value


def _above_zero(value: Number) -> Number:
    if not value > 0:
        raise ValueError(f"must be above zero, got {value:g}")
    return value


Count = Annotated[int, AfterValidator(_at_least_one)]
Rate = Annotated[float, AfterValidator(_above_zero)]
Device = Literal["auto", "cpu", "cuda"]


class CascadeBenchmarkConfig(VerbConfig):
    """Settings of `benchmark_cascade`.

    Attributes:
        model: name or folder of the cascade.
        repeat: timed runs; the fastest one counts.
        batch: clips that are made at once.
        device: "auto" takes a GPU if there is one.
        reference: config of a cascade to time beside it, by one pass of each stage.
    """

    model: str | Path = DEFAULT_CASCADE
    repeat: Count = 3
    batch: Count = 1
    device: Device = "auto"
    reference: Path | None = None


class DataBenchmarkConfig(VerbConfig):
    """Settings of `benchmark_data`: the device that renders, and for how long each part is measured, seconds."""

    device: Device = "auto"
    seconds: Rate = 3.0


class RegressorBenchmarkConfig(VerbConfig):
    """Settings of `benchmark_regressors`: the device, and how many windows each regressor is timed with."""

    device: Device = "auto"
    repeat: Count = 3


class TrainingCostConfig(VerbConfig):
    """Settings of `estimate_training`.

    Attributes:
        config: YAML file of the training.
        gpus: GPUs that share a batch.
        tflops: what one of them achieves, 1e12 operations a second, 2 operations per multiply-add.
    """

    config: Path
    gpus: Annotated[int, AfterValidator(_above_zero)] = 1
    tflops: Rate = 100.0
