"""What a training will take, before anything is bought: work, memory and hours of every stage, or of a regressor.

Networks are built on the meta device, which has shapes but no memory, and torch's counter watches one forward and
backward pass of one sample as it is trained (window, crop). Work and what the backward pass keeps are therefore
counted; hours on GPUs follow from a rate that the caller says, and memory leaves out what the allocator wastes. Hours
on this machine's CPU follow from one sample that is timed; changing clips at random and drawing them comes on top.
"""

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from echosynth.benchmark.settings import TrainingCostConfig
from echosynth.diffusion.blocks import SpaceTimeBlock
from echosynth.diffusion.cascade import FIRST_KINDS
from echosynth.diffusion.pipeline import EchoCascadePipeline
from echosynth.diffusion.unet3d import UNet3D
from echosynth.regression.base import EFRegressor
from echosynth.training.cascade import CascadeConfig
from echosynth.training.engine.optim import OptimConfig
from echosynth.training.regressor import RegressorConfig
from echosynth.training.stage_config import StageConfig
from echosynth.training.train import load_training_config

STATE_BYTES = 20  # per weight, float32: itself, its gradient, two moments of Adam, its moving average
TIMED_TFLOP = 0.5  # of a sample that is still timed on the CPU: some ten seconds
Pass = Callable[[Any, str], torch.Tensor]
"""One evaluation of an empty sample by a network on a device."""


@dataclass(frozen=True)
class StageEstimate:
    """One stage of a cascade, or a regressor.

    Attributes:
        name: of the stage, or of the regressor.
        parameters: weights.
        passes: network evaluations that a generated clip takes, guidance included; a stage that draws frames takes
            its own for fictional patients alone; a regressor reads a window in one, or in two with its mirror image.
        clip_tflop: their work.
        step_tflop: work of one optimiser step, forward and backward.
        memory_gb: on one GPU: weights with what the optimiser keeps of them, and the activations of one piece.
        hours: of all steps, on all GPUs together.
        cpu_hours: of all steps, on this machine's CPU; None where it was not timed, as of samples that take minutes.
    """

    name: str
    parameters: int
    passes: int
    clip_tflop: float
    step_tflop: float
    memory_gb: float
    hours: float
    cpu_hours: float | None = None


@dataclass(frozen=True)
class TrainingCost:
    """Result of `estimate_training`: the stages, and the GPUs and their 1e12 operations a second that hours rest on."""

    stages: list[StageEstimate]
    gpus: int
    tflops: float

    def to_dict(self) -> dict[str, Any]:
        """The object of `bench --estimate --json`; of the total's memory, that of the largest stage."""
        total: dict[str, Any] = {
            key: sum(getattr(stage, key) for stage in self.stages)
            for key in ("parameters", "passes", "clip_tflop", "hours")
        }
        total |= {"step_tflop": None, "memory_gb": max(stage.memory_gb for stage in self.stages)}
        timed = [stage.cpu_hours for stage in self.stages if stage.cpu_hours is not None]
        total |= {"cpu_hours": sum(timed) if len(timed) == len(self.stages) else None}
        return asdict(self) | {"total": total}


def estimate_training(config: TrainingCostConfig) -> TrainingCost:
    """Estimate what the training of a config will take, without a GPU and without data.

    Raises:
        ConfigError: the config is not one of a training.
    """
    training = load_training_config(config.config)
    if isinstance(training, CascadeConfig):
        stages = estimate_cascade(training, config.gpus, config.tflops)
    else:
        stages = [estimate_regressor(training, config.gpus, config.tflops)]
    return TrainingCost([_time(training, stage) for stage in stages], config.gpus, config.tflops)


def estimate_cascade(config: CascadeConfig, gpus: int = 1, tflops: float = 100.0) -> list[StageEstimate]:
    """Estimate every stage; the guide and the tracker are small beside them and left out.

    Args:
        config: the cascade.
        gpus: that share a batch.
        tflops: what one of them achieves, 1e12 operations a second, 2 operations per multiply-add.
    """
    pipeline = _build(config)
    passes = pipeline.passes(fictional=True)
    made = []
    for name, stage in config.stages.items():
        network = getattr(pipeline, f"{name}_unet")
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            evaluate_stage(network, stage, stage.frames, stage.size)
        work = counter.get_total_flops() * passes[name]
        learner = _Learner(name, network, stage.optim, _train_stage(stage), passes[name], work)
        made.append(learner.estimate(gpus, tflops))
    return made


def estimate_regressor(config: RegressorConfig, gpus: int = 1, tflops: float = 100.0) -> StageEstimate:
    """Estimate a regressor; see `estimate_cascade`."""
    with torch.device("meta"):
        network = _fresh(config)
        passes = 2 if getattr(network.contract, "mirrored", False) else 1
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            _evaluate_regressor(network, "meta")
    work = counter.get_total_flops() * passes
    return _Learner(config.name, network, config.optim, _evaluate_regressor, passes, work).estimate(gpus, tflops)


@dataclass(frozen=True)
class _Learner:
    """A network on the meta device, how it is trained, and its passes and operations for one clip."""

    name: str
    network: nn.Module
    optim: OptimConfig
    train: Pass
    passes: int
    work: int

    def estimate(self, gpus: int, tflops: float) -> StageEstimate:
        optim = self.optim
        trained, kept = _train_one(self.network, optim, self.train)
        step = trained * optim.batch_size
        piece = optim.micro_batch or -(-optim.batch_size // gpus)
        half = 1.0 if optim.mixed_precision == "no" else 0.5
        parameters = sum(p.numel() for p in self.network.parameters())
        return StageEstimate(
            self.name,
            parameters,
            self.passes,
            self.work / 1e12,
            step / 1e12,
            (parameters * STATE_BYTES + half * kept * piece) / 1e9,
            optim.steps * step / (tflops * 1e12 * gpus) / 3600,
        )


def _time(config: CascadeConfig | RegressorConfig, stage: StageEstimate) -> StageEstimate:
    """The same with the hours of this machine's CPU, unless one sample takes too long to be timed."""
    part = config.stages[stage.name] if isinstance(config, CascadeConfig) else config
    if stage.step_tflop / part.optim.batch_size > TIMED_TFLOP:
        return stage
    network = part.model_copy(update={"init": None}).network() if isinstance(part, StageConfig) else _fresh(part)
    train = _train_stage(part) if isinstance(part, StageConfig) else _evaluate_regressor
    seconds = []
    for _ in range(3):  # the first one warms up
        began = time.perf_counter()
        train(network, "cpu").sum().backward()
        seconds.append(time.perf_counter() - began)
    return replace(stage, cpu_hours=part.optim.steps * part.optim.batch_size * min(seconds) / 3600)


def _fresh(config: RegressorConfig) -> EFRegressor:
    # In training mode, batch normalisation refuses a batch of one.
    return config.model_copy(update={"init": None}).build().eval()


def _evaluate_regressor(network: EFRegressor, device: str) -> torch.Tensor:
    """What EF is read from, of one empty window."""
    shape = network.contract
    return network.embed(torch.zeros(1, 1, shape.frames, shape.size, shape.size, device=device))


def _train_stage(stage: StageConfig) -> Pass:
    """The pass of one sample as it is trained."""
    frames, size = stage.window or stage.frames, stage.crop or stage.size
    return lambda network, device: evaluate_stage(network, stage, frames, size, device)


def _build(config: CascadeConfig) -> EchoCascadePipeline:
    """The cascade on the meta device, with fresh weights whatever it is to start from."""
    fresh = {"init": None}
    guide, tracker, base = config.ef_guide, config.tissue_tracker, config.stages["base"]
    with torch.device("meta"):
        return EchoCascadePipeline.from_stages(
            [stage.spec(name) for name, stage in config.stages.items()],
            {name: stage.model_copy(update=fresh).network() for name, stage in config.stages.items()},
            {name: stage.scheduler() for name, stage in config.stages.items()},
            ef_guide=None if guide is None else guide.model_copy(update=fresh).network(base.size),
            tissue_tracker=None if tracker is None else tracker.model_copy(update=fresh).network(),
        )


def evaluate_stage(network: UNet3D, stage: StageConfig, frames: int, size: int, device: str = "meta") -> torch.Tensor:
    """One evaluation of one empty clip."""
    frame_side = size * (stage.unet.frame_patch or stage.unet.patch) // stage.unet.patch
    with torch.device(device):
        x, one = torch.zeros(1, 1, frames, size, size), torch.zeros(1)
        lowres = {} if stage.kind in FIRST_KINDS else {"lowres": x, "lowres_sigma": one}
        scalars = dict.fromkeys(stage.unet.scalars, one)
        frame = torch.zeros(1, 1, frame_side, frame_side)
    # The fused kernels are not counted on every device; plain matrix products, of as much work, are.
    with sdpa_kernel(SDPBackend.MATH) if device == "meta" else nullcontext():
        return network(x, one, scalars, frame, one.bool(), **lowres)


def _train_one(network: nn.Module, optim: OptimConfig, train: Pass) -> tuple[int, int]:
    """Operations of a forward and backward pass of one sample, and bytes that it keeps at its peak, in float32."""
    kept, largest = _count_kept(network, train)
    if optim.checkpointing:
        network.enable_gradient_checkpointing()  # type: ignore[operator]  # diffusers' networks have it
        kept, _ = _count_kept(network, train)
        kept += largest  # blocks are computed again one at a time
    with FlopCounterMode(display=False) as counter:
        train(network, "meta").sum().backward()
    network.zero_grad()
    return counter.get_total_flops(), kept


def _count_kept(network: nn.Module, train: Pass) -> tuple[int, int]:
    """Bytes that a forward pass keeps for the backward one, weights left out: in all, and by its largest block."""
    kept: dict[int, int] = {}
    seen: list[int] = [0, 0]  # bytes before the running block, and of the largest so far

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage.nbytes()
        return tensor

    def enter(*_: Any) -> None:
        seen[0] = sum(kept.values())

    def leave(*_: Any) -> None:
        seen[1] = max(seen[1], sum(kept.values()) - seen[0])

    blocks = [module for module in network.modules() if isinstance(module, SpaceTimeBlock)]
    handles = [b.register_forward_pre_hook(enter) for b in blocks] + [b.register_forward_hook(leave) for b in blocks]
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        train(network, "meta")
    for handle in handles:
        handle.remove()
    for weight in network.parameters():
        kept.pop(weight.untyped_storage()._cdata, None)
    return sum(kept.values()), seen[1]
