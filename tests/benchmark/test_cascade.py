"""What a clip costs is counted: passes as the pipeline says them, work as one counts by hand, and no hook is left."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import nn

from echosynth.benchmark.cascade import CascadeBenchmark, count_work, measure_cascade
from echosynth.benchmark.reference import ReferenceTime
from echosynth.benchmark.settings import CascadeBenchmarkConfig, TrainingCostConfig
from echosynth.diffusion.cascade import StageSpec
from echosynth.diffusion.pipeline import EchoCascadePipeline
from echosynth.diffusion.unet3d import UNet3D
from echosynth.errors import ConfigError
from tests.pipelines import make_pipeline


@pytest.fixture(scope="module")
def pipeline() -> EchoCascadePipeline:
    return make_pipeline()


def test_passes_are_those_that_the_pipeline_says(pipeline: EchoCascadePipeline) -> None:
    work, passes = count_work(pipeline)
    assert passes == pipeline.passes()
    assert min(work.values()) > 0


def multiply_adds(network: UNet3D) -> int:
    """Multiply-adds of the convolutions and linear layers of the next call, by their weights and their outputs."""
    counted = [0]

    def count(module: nn.Module, _: tuple[torch.Tensor, ...], made: torch.Tensor) -> None:
        positions = made.numel() // made.shape[1 if isinstance(module, nn.Conv2d | nn.Conv3d) else -1]
        counted[0] += positions * module.weight.numel()  # type: ignore[operator]

    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Conv3d | nn.Linear)]
    handles = [layer.register_forward_hook(count) for layer in layers]
    side, frames = 14, 4
    with torch.no_grad():
        x = torch.zeros(2, 1, frames, side, side)
        network(x, torch.zeros(2), {"ef": torch.full((2,), 50.0)}, torch.zeros(2, 1, 56, 56), torch.ones(2).bool())
    for handle in handles:
        handle.remove()
    return counted[0]


def test_work_of_the_base_is_that_of_its_layers(pipeline: EchoCascadePipeline) -> None:
    work, passes = count_work(pipeline)
    layers = 2 * multiply_adds(pipeline.base_unet) * passes["base"] // 2  # a guided pass is a pair
    assert layers <= work["base"] < 1.2 * layers  # the rest is attention, where torch's counter knows its kernel


@pytest.mark.heavy
def test_hooks_are_taken_off_again(pipeline: EchoCascadePipeline) -> None:
    seen: list[str] = []

    @contextmanager
    def mine(spec: StageSpec) -> Iterator[None]:
        seen.append(spec.name)
        yield

    pipeline.stage_hook = mine
    try:
        cost = measure_cascade(pipeline, repeat=1, batch=2)
        assert pipeline.stage_hook is mine
        assert not seen
    finally:
        pipeline.stage_hook = None
    assert not any(module._forward_pre_hooks for module in pipeline.base_unet.modules())
    assert cost.batch == 2
    assert [stage.name for stage in cost.stages] == ["base", "sr1", "sr2"]
    assert cost.total.seconds == pytest.approx(sum(stage.seconds for stage in cost.stages))
    assert cost.total.peak_mb == max(stage.peak_mb for stage in cost.stages)
    timed = ReferenceTime("slow", 3, 1.0, 100 * cost.total.seconds)
    assert CascadeBenchmark("it", cost, timed).times_slower == pytest.approx(200)  # a clip of a batch of two


def test_wrong_settings_are_said_by_name() -> None:
    with pytest.raises(ConfigError, match="repeat: must be at least 1, got 0"):
        CascadeBenchmarkConfig(repeat=0)
    with pytest.raises(ConfigError, match="tflops: must be above zero, got 0"):
        TrainingCostConfig(config="any.yaml", tflops=0)
