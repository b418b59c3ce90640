"""Counted work, measured time and memory of one clip, per stage of a cascade.

Work is counted, not estimated: torch's counter watches every network call of one clip, so guidance counts as the two
passes it is; the EF guide's readings and gradients, and the tissue tracker, count with the stage that they serve (2
operations per multiply-add). The counter does not know the fused attention of CPUs, which is 0.4 % of the bundled
cascade's work. Time is the fastest of the repeats after one warm-up, for all clips of a batch together.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from echosynth.benchmark.memory import PeakMemory
from echosynth.benchmark.reference import PUBLISHED, ReferenceTime, time_reference
from echosynth.benchmark.settings import CascadeBenchmarkConfig
from echosynth.diffusion.cascade import StageSpec
from echosynth.diffusion.loading import load_cascade
from echosynth.diffusion.pipeline import EchoCascadePipeline, StageHook
from echosynth.runtime import choose_device


@dataclass(frozen=True)
class StageCost:
    """What one stage costs.

    Attributes:
        name: of the stage, or "total".
        parameters: weights of its network and of the helpers that it asks.
        passes: network evaluations of one clip; a batched pair counts twice.
        tflop: their work, 1e12 operations.
        seconds: for all clips of the batch.
        peak_mb: most memory in use while the stage ran.
    """

    name: str
    parameters: int
    passes: int
    tflop: float
    seconds: float
    peak_mb: float


@dataclass(frozen=True)
class CascadeCost:
    """What a cascade costs: its stages, and the device and the number of clips at once that they were timed with."""

    stages: list[StageCost]
    device: str
    batch: int

    @property
    def total(self) -> StageCost:
        """The sum of the stages; of memory, the most."""
        sums: dict[str, Any] = {
            key: sum(getattr(stage, key) for stage in self.stages)
            for key in ("parameters", "passes", "tflop", "seconds")
        }
        return StageCost("total", peak_mb=max(stage.peak_mb for stage in self.stages), **sums)


@dataclass(frozen=True)
class CascadeBenchmark:
    """Result of `benchmark_cascade`."""

    model: str
    cost: CascadeCost
    reference: ReferenceTime | None = None

    @property
    def times_slower(self) -> float | None:
        """How many times as long a clip of the reference takes; None where none was timed."""
        if self.reference is None:
            return None
        return self.reference.seconds / (self.cost.total.seconds / self.cost.batch)

    def to_dict(self) -> dict[str, Any]:
        """The object of `bench generate --json`."""
        total = asdict(self.cost.total)
        del total["name"]
        made: dict[str, Any] = {"model": self.model, "stages": [asdict(stage) for stage in self.cost.stages]}
        made |= {"total": total, "device": self.cost.device, "reference": PUBLISHED}
        if self.reference is not None:
            made["measured_reference"] = asdict(self.reference) | {"times_slower": self.times_slower}
        return made


def benchmark_cascade(config: CascadeBenchmarkConfig) -> CascadeBenchmark:
    """Count and time a cascade, and time a reference beside it if one is named.

    Raises:
        CheckpointError: the cascade is unknown or damaged.
        ConfigError: the device is not there, or the reference is no config of a cascade.
    """
    pipeline = load_cascade(str(config.model), choose_device(config.device))
    cost = measure_cascade(pipeline, config.repeat, config.batch)
    timed = None if config.reference is None else time_reference(config.reference, pipeline.device.type)
    return CascadeBenchmark(str(config.model), cost, timed)


def measure_cascade(pipeline: EchoCascadePipeline, repeat: int = 3, batch: int = 1) -> CascadeCost:
    """Make one clip under the counter, and `batch` at once `repeat` times against the clock."""
    work, passes = count_work(pipeline)
    runs = [_time_stages(pipeline, batch) for _ in range(repeat + 1)]
    timed = min(runs[1:], key=lambda run: sum(seconds for seconds, _ in run.values()))
    stages = [
        StageCost(
            spec.name,
            _count_parameters(pipeline, spec),
            passes[spec.name],
            work[spec.name] / 1e12,
            timed[spec.name][0],
            max(run[spec.name][1] for run in runs),
        )
        for spec in pipeline.stages
    ]
    device = pipeline.device
    on = torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads"
    return CascadeCost(stages, on, batch)


def count_work(pipeline: EchoCascadePipeline) -> tuple[dict[str, int], dict[str, int]]:
    """Operations and network passes (a batched pair counts twice) of one clip, per stage."""
    work: dict[str, int] = {}
    passes: dict[str, int] = {spec.name: 0 for spec in pipeline.stages}
    running: list[str] = []

    def count_pass(module: Any, given: tuple[Any, ...]) -> None:
        passes[running[-1]] += len(given[0])

    @contextmanager
    def count_stage(spec: StageSpec) -> Iterator[None]:
        running.append(spec.name)
        with FlopCounterMode(display=False) as counter:
            yield
        work[spec.name] = counter.get_total_flops()

    parts: list[Any] = [getattr(pipeline, f"{name}_unet") for name in passes]
    parts += [part for part in (pipeline.ef_guide, pipeline.tissue_tracker) if part is not None]
    handles = [part.register_forward_pre_hook(count_pass) for part in parts]
    try:
        _make_clip(pipeline, 1, count_stage)
    finally:
        for handle in handles:
            handle.remove()
    return work, passes


def _time_stages(pipeline: EchoCascadePipeline, batch: int) -> dict[str, tuple[float, float]]:
    """Seconds and peak memory in MB of every stage."""
    seen: dict[str, tuple[float, float]] = {}
    memory = PeakMemory(pipeline.device.type)

    @contextmanager
    def watch(spec: StageSpec) -> Iterator[None]:
        memory.reset()
        began = time.perf_counter()
        yield
        if pipeline.device.type == "cuda":
            torch.cuda.synchronize()  # it answers before it has finished
        seen[spec.name] = (time.perf_counter() - began, memory.read())

    _make_clip(pipeline, batch, watch)
    return seen


def _make_clip(pipeline: EchoCascadePipeline, batch: int, hook: StageHook) -> None:
    side, before = pipeline.frame_side, pipeline.stage_hook
    pipeline.set_progress_bar_config(disable=True)
    pipeline.stage_hook = hook
    try:
        pipeline(torch.zeros(batch, 1, side, side), 50.0, generator=torch.Generator().manual_seed(0), output_type="pt")
    finally:
        pipeline.stage_hook = before


def _count_parameters(pipeline: EchoCascadePipeline, spec: StageSpec) -> int:
    parts: list[Any] = [getattr(pipeline, f"{spec.name}_unet")]
    parts += [pipeline.ef_guide] if spec.ef_guidance_scale or spec.correction else []
    parts += [pipeline.tissue_tracker] if spec.tracked else []
    return sum(p.numel() for part in parts if part is not None for p in part.parameters())
